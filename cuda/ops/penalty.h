// L1 and L2 penalties of parameters: an element's part of the loss and of its gradient. The loss is summed in double: each thread adds its
// elements in order, then a block adds its threads in a fixed order to one partial sum of the scalar output.
#pragma once
#include "cuda/ops/pieces.h"

namespace mg_cuda {

struct PenaltyRates {
  double l1, l2;
  __host__ __device__ bool any() const { return l1 != 0 || l2 != 0; }
};

// Adds the elements' part of the loss; their gradient += l1 sign(w) + 2 l2 w.
template <int kFloats>
__device__ __forceinline__ void add_penalty(const PenaltyRates& rates, const Piece<kFloats>& w, Piece<kFloats>& gradient, double& loss) {
  const auto slope = static_cast<float>(rates.l1), twice = static_cast<float>(2 * rates.l2);
#pragma unroll
  for (int k = 0; k < kFloats; k++) {
    const float value = w.at[k];
    const double exact = value;
    loss += rates.l1 * fabs(exact) + rates.l2 * exact * exact;
    gradient.at[k] += fused(twice, value, value > 0 ? slope : value < 0 ? -slope : 0.0f);
  }
}

}  // namespace mg_cuda
