// The matrix instructions of a warp and the conversions of their operands.
//
// A product of one step: c[16, 8] += a[16, k] b[k, 8], k = 8 words. A word is one tf32 number, or two bfloat16 neighbours
// along k, the first one low (then k is 16 numbers). With g = lane / 4 and t = lane % 4 a lane holds
//   a  words (row g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
//   b  words (t, column g), (t + 4, g)
//   c  (row g, columns 2t, 2t + 1), (g + 8, 2t, 2t + 1)
// as the PTX manual lays out mma.m16n8k8 (tf32) and mma.m16n8k16 (bf16). Sums are float32.
#pragma once
#include "cuda/device/kernel.h"

#if !defined(MG_EMULATION)
namespace mg_cuda {

__device__ __forceinline__ void matrix_step_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void matrix_step_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Rounds to tf32, to nearest, ties away from zero: the low 13 bits are 0.
__device__ __forceinline__ uint32_t to_tf32(float value) {
  uint32_t word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(value));
  return word;
}

// Rounds a pair to bfloat16, to nearest, ties to even.
__device__ __forceinline__ uint32_t to_bf16_pair(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

// The low halves of two words, and their high halves; the first word's half is low.
__device__ __forceinline__ uint32_t low_halves(uint32_t first, uint32_t second) { return __byte_perm(first, second, 0x5410); }
__device__ __forceinline__ uint32_t high_halves(uint32_t first, uint32_t second) { return __byte_perm(first, second, 0x7632); }

__device__ __forceinline__ float float_of_bits(uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ uint32_t bits_of_float(float value) { return __float_as_uint(value); }

}  // namespace mg_cuda
#else
#include "cuda/emulation/matrix.h"
#endif

namespace mg_cuda {

// value = high + low with a relative error of 2^-22, both tf32. High is rounded like to_tf32, with a third of the instructions: it may lose a NaN,
// but low does not. The parts of an infinite value are infinities of both signs, so its products are NaN.
__device__ __forceinline__ void split_finite_tf32(float value, uint32_t& high, uint32_t& low) {
  constexpr uint32_t kBits = 0xFFFFE000u;
  high = (bits_of_float(value) + 0x1000u) & kBits;
  low = bits_of_float(value - float_of_bits(high)) & kBits;
}

// The same, but a value that high cannot hold (infinite, NaN, or rounded up to infinity) is all in low. Two more instructions.
__device__ __forceinline__ void split_tf32(float value, uint32_t& high, uint32_t& low) {
  constexpr uint32_t kBits = 0xFFFFE000u;
  constexpr float kMost = 0x1.ffcp127f;
  high = fabsf(value) <= kMost ? (bits_of_float(value) + 0x1000u) & kBits : 0u;
  low = bits_of_float(value - float_of_bits(high)) & kBits;
}

}  // namespace mg_cuda
