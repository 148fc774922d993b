// How row inputs come to the device. Those of a data set that is kept there: its columns are copied once, and a batch is gathered there by
// its row numbers, so that a step brings no rows from the host (see mg_run.data_set). All others: gathered into pinned memory and brought
// over at once, the next batch of a data set while the device works on the one before (see mg_run.next_rows).
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// Whether the run's rows come from the device: they are of a data set that is there, or fits (copied now then). Throws where it should be
// there and does not fit.
bool keep_data_set(Plan& plan, const mg_run& run);

// The row inputs' device memory = the rows that plan.row_numbers lists, from the copies that keep_data_set has made.
void launch_gather_inputs(const Context& context, const mg_run& run);

// Brings the run's rows to plan.arrivals[plan.arrived], unless they are there; the plan's stream waits for them.
void bring_rows(Plan& plan, const mg_run& run);
// Brings the run's next rows to the other arrival, which becomes plan.arrived. While the device works on the run.
void bring_next_rows(Plan& plan, const mg_run& run);
// The row inputs' device memory = what has arrived.
void launch_place_inputs(const Context& context);

void forget_data_set(uint64_t data_set) noexcept;

}  // namespace mg_cuda
