// The matrix instructions on the CPU; see device/matrix.h for who holds what. The lanes' words are put together by that layout, so a
// wrong index in a kernel gives wrong numbers here too.
#pragma once
#include <cstring>

#include "cuda/emulation/kernel.h"

namespace mg_cuda {

inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

namespace emulation {

// Eight columns of a row, in the processor's vectors: most of an emulated product's time goes into these sums.
using Columns = float __attribute__((vector_size(32)));

// c (without what was there before) from the words of all lanes; kPair: words are pairs of bfloat16. No code under test: the sanitizers
// leave it alone, for speed.
template <bool kPair>
__attribute__((no_sanitize("address", "undefined"))) void combine_matrix_step(Words* lanes) {
  constexpr int kNumbers = kPair ? 2 : 1, kDepth = 8 * kNumbers;
  float a[16][kDepth], b[kDepth][8];
  for (int l = 0; l < kWarp; l++)
    for (int i = 0; i < 6; i++) {
      const int g = l / 4, k = kNumbers * (l % 4 + 4 * (i < 4 ? i / 2 : i - 4));
      for (int n = 0; n < kNumbers; n++) {
        const uint32_t word = lanes[l].word[i];
        // tf32: the instruction does not look at the low bits
        const uint32_t bits = !kPair ? word & 0xFFFFE000u : n == 0 ? word << 16 : word & 0xFFFF0000u;
        std::memcpy(i < 4 ? &a[g + 8 * (i % 2)][k + n] : &b[k + n][g], &bits, sizeof bits);
      }
    }
  float c[16][8];
  Columns b_rows[kDepth];
  std::memcpy(b_rows, b, sizeof b);
  for (int row = 0; row < 16; row++) {
    Columns sum = {};
    for (int k = 0; k < kDepth; k++) sum += a[row][k] * b_rows[k];
    std::memcpy(c[row], &sum, sizeof sum);
  }
  for (int l = 0; l < kWarp; l++)
    for (int i = 0; i < 4; i++) std::memcpy(&lanes[l].word[i], &c[l / 4 + 8 * (i / 2)][2 * (l % 4) + i % 2], sizeof(float));
}

template <bool kPair>
void matrix_step(const char* name, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const Words* lanes = meet(name, {{a[0], a[1], a[2], a[3], b[0], b[1]}}, combine_matrix_step<kPair>);
  for (int i = 0; i < 4; i++) c[i] += float_of_bits(lanes[lane()].word[i]);
}

}  // namespace emulation

inline void matrix_step_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulation::matrix_step<false>("matrix_step_tf32", c, a, b);
}
inline void matrix_step_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulation::matrix_step<true>("matrix_step_bf16", c, a, b);
}

inline bool is_finite_bits(uint32_t bits) { return (bits & 0x7F800000u) != 0x7F800000u; }

inline uint32_t to_tf32(float value) {
  const uint32_t bits = bits_of_float(value);
  return is_finite_bits(bits) ? (bits + 0x1000u) & 0xFFFFE000u : bits;
}

inline uint32_t to_bf16_pair(float low, float high) {
  const auto round = [](float value) {
    const uint32_t bits = bits_of_float(value);
    return is_finite_bits(bits) ? (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16 : bits >> 16 | ((bits & 0x7FFFFFu) != 0 ? 0x40u : 0u);
  };
  return round(low) | round(high) << 16;
}

}  // namespace mg_cuda
