// Building blocks of products on the matrix instructions: fragments, and one step of a product.
//
//   c[m, n] += sum over k of a[m, k] b[k, n]
// Precision says how an operand becomes a fragment. Memory always holds float32:
//   kFloat32   split into hi + lo, both tf32: hi hi + hi lo + lo hi, so 22 bits of each operand count; sums are float32
//   kTf32      rounded to tf32 (10 bits)
//   kBfloat16  rounded to bfloat16 (7 bits); half as many steps
#pragma once
#include "cuda/device/async_copy.h"
#include "cuda/device/matrix.h"
#include "cuda/plan.h"

namespace mg_cuda {

// Depth of one step.
template <Precision kPrecision>
inline constexpr int kStep = kPrecision == Precision::kBfloat16 ? 16 : 8;

// Two and four floats that move at once.
struct alignas(8) Pair {
  float first, second;
};
struct alignas(16) Quad {
  float column[4];
};

// A number that memory holds as bfloat16.
using Bfloat16 = uint16_t;

// Whether loads may take 16 bytes. The same for all threads.
__device__ __forceinline__ bool moves_quads(const float* data, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 4 == 0;
}

// The first `left` numbers of a quad; a load has zeros for the others. aligned: 16 bytes may move at a time.
__device__ __forceinline__ Quad load_quad(const float* from, int left, bool aligned) {
  if (aligned && left >= 4) return *reinterpret_cast<const Quad*>(from);
  Quad quad{};
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < left) quad.column[i] = from[i];
  return quad;
}
__device__ __forceinline__ void store_quad(float* to, const Quad& quad, int left, bool aligned) {
  if (aligned && left >= 4) {
    *reinterpret_cast<Quad*>(to) = quad;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < left) to[i] = quad.column[i];
}

// The smaller of two numbers, as an int: the rest of a tile.
__device__ __forceinline__ int least(int64_t left, int most) { return left < most ? static_cast<int>(left) : most; }

// 16 x kStep of a, or kStep x 8 of b.
template <Precision kPrecision, int kWords>
struct Fragment {
  uint32_t high[kWords];
  uint32_t low[kPrecision == Precision::kFloat32 ? kWords : 1];
};
template <Precision kPrecision>
using FragmentA = Fragment<kPrecision, 4>;
template <Precision kPrecision>
using FragmentB = Fragment<kPrecision, 2>;

template <Precision kPrecision>
__device__ __forceinline__ void multiply(float (&c)[4], const FragmentA<kPrecision>& a, const FragmentB<kPrecision>& b) {
  if constexpr (kPrecision == Precision::kBfloat16) {
    matrix_step_bf16(c, a.high, b.high);
  } else if constexpr (kPrecision == Precision::kTf32) {
    matrix_step_tf32(c, a.high, b.high);
  } else {
    matrix_step_tf32(c, a.low, b.high);  // small terms first
    matrix_step_tf32(c, a.high, b.low);
    matrix_step_tf32(c, a.high, b.high);
  }
}

}  // namespace mg_cuda
