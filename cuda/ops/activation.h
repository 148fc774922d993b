// Activations and their slopes, in float32, of one element; docs/numerics.md has the formulas.
#pragma once
#include <cmath>

#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

// What the slope is made from: z for gelu and swish, y for the others.
__host__ __device__ constexpr bool slope_needs_z(int64_t activation) { return activation == MG_GELU || activation == MG_SWISH; }

namespace activation {

__device__ __forceinline__ float sigmoid(float z) { return 1 / (1 + expf(-z)); }
__device__ __forceinline__ float normal_cdf(float z) { return 0.5f + 0.5f * erff(z * 0.70710678f); }
__device__ __forceinline__ float normal_density(float z) { return 0.39894228f * expf(-0.5f * z * z); }

}  // namespace activation

// f(z). NaN stays NaN. `kind`: the same for all lanes, or the warp takes several branches.
__device__ __forceinline__ float activate(int kind, float z) {
  switch (kind) {
    case MG_RELU: return z > 0 || z != z ? z : 0;
    case MG_TANH: return tanhf(z);
    case MG_SIGMOID: return activation::sigmoid(z);
    case MG_GELU: return z * activation::normal_cdf(z);
    case MG_SWISH: return z * activation::sigmoid(z);
    default: return z;
  }
}

// work(constant) with the activation as a constant, constant.value: one branch for all elements of a lane.
template <int kKind>
struct ActivationConstant {
  static constexpr int value = kKind;
};
template <class Work>
__device__ __forceinline__ void with_activation(int kind, const Work& work) {
  switch (kind) {
    case MG_RELU: return work(ActivationConstant<MG_RELU>{});
    case MG_TANH: return work(ActivationConstant<MG_TANH>{});
    case MG_SIGMOID: return work(ActivationConstant<MG_SIGMOID>{});
    case MG_GELU: return work(ActivationConstant<MG_GELU>{});
    case MG_SWISH: return work(ActivationConstant<MG_SWISH>{});
    default: return work(ActivationConstant<MG_LINEAR>{});
  }
}

// What a kernel is compiled for beside its shape: code that is not there takes no room in the instruction caches, which a kernel that runs through
// once feels.
enum class Activations { kAll, kReluOrLinear };
inline bool is_relu_or_linear(int64_t activation) { return activation == MG_RELU || activation == MG_LINEAR; }
template <Activations kWhich, class Work>
__device__ __forceinline__ void with_activation_of(int kind, const Work& work) {
  if constexpr (kWhich == Activations::kAll) return with_activation(kind, work);
  kind == MG_RELU ? work(ActivationConstant<MG_RELU>{}) : work(ActivationConstant<MG_LINEAR>{});
}

// f'(z) from what slope_needs_z() says. That of relu at 0 is 0.
__device__ __forceinline__ float slope(int kind, float y_or_z) {
  switch (kind) {
    case MG_RELU: return y_or_z > 0 ? 1 : 0;
    case MG_TANH: return 1 - y_or_z * y_or_z;
    case MG_SIGMOID: return y_or_z * (1 - y_or_z);
    case MG_GELU: return activation::normal_cdf(y_or_z) + y_or_z * activation::normal_density(y_or_z);
    case MG_SWISH: {
      const float s = activation::sigmoid(y_or_z);
      return s * (1 + y_or_z * (1 - s));
    }
    default: return 1;
  }
}

}  // namespace mg_cuda
