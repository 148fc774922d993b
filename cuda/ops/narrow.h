// Products with at most 4 columns of weights, such as the last layer of a tower: float32 sums without the matrix instructions, which would
// compute 32 columns. They are memory-bound. bfloat16 operands are rounded as everywhere; tf32 operands are not, as that gains nothing.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

inline bool is_narrow(const Weights& w) { return w.columns == 4; }

// z = x W + bias (z.data null: not kept), y = activation(z), for the first `columns` columns of W.
void launch_narrow_forward(const Context& context, const Weights& w, RowPointer x, RowPointer z, RowPointer y, int64_t columns, int64_t activation);

// Like launch_input_gradient, launch_weight_gradient and gradient_threads.
void launch_narrow_input_gradient(const Context& context, const Weights& w, int64_t rows, RowPointer dz, RowPointer dx, int64_t dx_columns,
                                  bool accumulate);
void launch_narrow_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row,
                                   int64_t rows, RowPointer x, RowPointer dz);
int64_t narrow_gradient_threads(const Weights& w);

}  // namespace mg_cuda
