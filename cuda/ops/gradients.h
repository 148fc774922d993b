// The two products of a backward pass, which dense layers and mixtures share: dz against the weights, and the rows against dz.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// dx[rows, dx_columns] (= or, with accumulate, +=) dz[rows, w.columns] W^T, for the first dx_columns of w.depth. The first w.rounded
// columns in the plan's precision, the others in float32. The padding of dz (columns that no part of w has) must be 0.
void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, RowPointer dz, RowPointer dx, int64_t dx_columns, bool accumulate);

// For each slot that rows [first_row, first_row + rows) fill (first_row: a multiple of plan.slot_rows): the slot's [w.depth, w.columns] =
// x^T dz and its last row = the sum of dz, over the slot's rows. x and dz point at row first_row. Precision as above; the bias's sum is of
// dz as it is.
void launch_weight_gradient(const Context& context, const Weights& w, int64_t first_row, int64_t rows, RowPointer x, RowPointer dz);

}  // namespace mg_cuda
