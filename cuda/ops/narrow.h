// Products with at most 4 columns of weights, such as the last layer of a tower: float32 sums without the matrix instructions, which would
// compute 32 columns. They are memory-bound. bfloat16 operands are rounded as everywhere; tf32 operands are not, as that gains nothing.
#pragma once
#include "cuda/ops/gradients.h"
#include "cuda/plan.h"

namespace mg_cuda {

inline bool is_narrow(const Weights& w) { return w.columns == 4; }

// Dense layers. Those that follow one another share a launch per product.
void add_narrow(PlanBuilder& builder, const Weights& w, const mg_dense_forward& op);
void add_narrow(PlanBuilder& builder, const Weights& w, const GradientPlace& gradient, const mg_dense_backward& op);

// Like launch_input_gradient, launch_weight_gradient and gradient_threads.
void launch_narrow_input_gradient(const Context& context, const Weights& w, int64_t rows, const Dz& dz, RowPointer dx, int64_t dx_columns,
                                  bool accumulate, const PointwiseRows& epilogue);
void launch_narrow_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row,
                                   int64_t rows, RowPointer x, const Dz& dz);
int64_t narrow_gradient_threads(const Weights& w);

}  // namespace mg_cuda
