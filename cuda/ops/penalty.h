// L1 and L2 penalties of parameters: what an element adds to the loss and to its gradient. The loss is summed in double: each thread in the
// order in which it comes by its elements, a block's threads in a fixed order to one partial sum of the scalar output.
#pragma once
#include "cuda/ops/pieces.h"

namespace mg_cuda {

struct PenaltyRates {
  double l1, l2;
  __host__ __device__ bool any() const { return l1 != 0 || l2 != 0; }
};

// Adds up what the elements w add to the loss; their gradient += l1 sign(w) + 2 l2 w.
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
