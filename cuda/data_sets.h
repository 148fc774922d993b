// Data sets that are kept on the device: their columns are copied once, and a batch is gathered there by its row numbers, so that a step
// brings no rows from the host. See mg_run.data_set.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// Whether the run's rows can come from the device: they are of a data set that is there, or fits (copied now then).
bool keep_data_set(Plan& plan, const mg_run& run);

// The row inputs' device memory = the rows that plan.row_numbers lists, from the copies that keep_data_set has made.
void launch_gather_inputs(const Context& context, const mg_run& run);

void forget_data_set(uint64_t data_set) noexcept;

}  // namespace mg_cuda
