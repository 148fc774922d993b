// How row inputs reach the device. If a data set is kept there, its columns are copied once and each batch is gathered there by row
// numbers, so a step copies no rows from the host (see mg_run.data_set). All others are gathered into pinned memory and copied at once; the
// next batch of a data set is copied while the device works on the current one (see mg_run.next_rows).
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// Whether the run's rows come from the device: their data set is there, or fits and is copied now. Throws if it must be there but does not
// fit.
bool keep_data_set(Plan& plan, const mg_run& run);

// Fills the row inputs' device memory with the rows in plan.row_numbers, from the copies that keep_data_set made.
void launch_gather_inputs(const Context& context, const mg_run& run);

// Copies the run's rows to plan.arrivals[plan.arrived] unless they are there. The plan's stream waits for them.
void bring_rows(Plan& plan, const mg_run& run);
// Copies the run's next rows to the other arrival, which becomes plan.arrived, while the device works on the run.
void bring_next_rows(Plan& plan, const mg_run& run);
// Fills the row inputs' device memory with the rows that arrived.
void launch_place_inputs(const Context& context);

void forget_data_set(uint64_t data_set) noexcept;

}  // namespace mg_cuda
