// How row inputs reach the device. If a data set is kept there, its columns are copied once and each batch is gathered there by row
// numbers, so a step copies no rows from the host (see mg_run.data_set). All others are gathered into pinned memory and copied at once; the
// next batch of a data set is copied while the device works on the current one (see mg_run.next_rows).
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// The columns of a data set on the device, one for each row input. They stay there as long as a run holds them.
struct KeptColumn;
using KeptColumns = std::vector<std::shared_ptr<KeptColumn>>;

// The columns of the run's data set, if its rows come from the device: the set is there, or fits and is copied now. Then plan.row_from is set.
// Empty: they come from the host. Throws if the set must be on the device but does not fit.
KeptColumns keep_data_set(Plan& plan, const mg_run& run);

// Fills the row inputs' device memory with the rows in plan.row_numbers, from the kept columns in plan.row_from.
void launch_gather_inputs(const Context& context);

// Copies the run's rows to plan.arrivals[plan.arrived] unless they are there, and sets plan.row_from. The plan's stream waits for them.
void bring_rows(Plan& plan, const mg_run& run);
// Copies the run's next rows to the other arrival, which becomes plan.arrived, while the device works on the run. If that fails, the run that
// wants them brings them.
void bring_next_rows(Plan& plan, const mg_run& run) noexcept;
// Fills the row inputs' device memory with the rows that arrived.
void launch_place_inputs(const Context& context);

// Drops the copies on one device.
void forget_data_set(int device, uint64_t data_set) noexcept;

}  // namespace mg_cuda
