// Activations and their slopes, in float32, of one element; docs/numerics.md has the formulas.
#pragma once
#include <cmath>

#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

// The slope's input: z for gelu and swish, y for the others.
__host__ __device__ constexpr bool slope_needs_z(int64_t activation) { return activation == MG_GELU || activation == MG_SWISH; }

namespace activation {

__device__ __forceinline__ float sigmoid(float z) { return 1 / (1 + expf(-z)); }
__device__ __forceinline__ float normal_cdf(float z) { return 0.5f + 0.5f * erff(z * 0.70710678f); }
__device__ __forceinline__ float normal_density(float z) { return 0.39894228f * expf(-0.5f * z * z); }

}  // namespace activation

// f(z). NaN stays NaN. `kind` should be the same for all lanes, else the warp takes several branches.
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

// f'(z) from z or y as slope_needs_z() says. For relu it is 0 at 0.
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

// The activations that a kernel is compiled for. Omitted code takes no room in the instruction caches, which matters to a kernel that runs its
// code once.
enum class Activations { kAll, kReluOrLinear };
__host__ __device__ constexpr bool is_relu_or_linear(int64_t activation) { return activation == MG_RELU || activation == MG_LINEAR; }

// Both without a branch: the compiler would duplicate all later code for each side of a branch.
class ReluOrLinear {
 public:
  __device__ __forceinline__ explicit ReluOrLinear(int kind) : linear_(kind == MG_LINEAR), least_(linear_ ? -HUGE_VALF : 0) {}
  __device__ __forceinline__ float value(float z) const { return larger(z, least_); }
  __device__ __forceinline__ float slope(float, float y) const { return linear_ || y > 0 ? 1 : 0; }

 private:
  bool linear_;
  float least_;
};

// The other activations, each a compile-time constant.
template <int kKind>
struct ActivationConstant {
  __device__ __forceinline__ float value(float z) const { return activate(kKind, z); }
  __device__ __forceinline__ float slope(float z, float y) const { return mg_cuda::slope(kKind, slope_needs_z(kKind) ? z : y); }
};
template <class Work>
__device__ __forceinline__ void with_function(int kind, const Work& work) {
  switch (kind) {
    case MG_TANH: return work(ActivationConstant<MG_TANH>{});
    case MG_SIGMOID: return work(ActivationConstant<MG_SIGMOID>{});
    case MG_GELU: return work(ActivationConstant<MG_GELU>{});
    default: return work(ActivationConstant<MG_SWISH>{});
  }
}

}  // namespace mg_cuda
