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

// c (without what was there before) from the words of all lanes; kPair: words are pairs of bfloat16.
template <bool kPair>
void combine_matrix_step(Words* lanes) {
  constexpr int kDepth = kPair ? 16 : 8;
  float a[16][kDepth], b[kDepth][8];
  const auto put = [](float* at, int stride, uint32_t word) {
    if (kPair) {
      at[0] = float_of_bits(word << 16);
      at[stride] = float_of_bits(word & 0xFFFF0000u);
    } else {
      at[0] = float_of_bits(word & 0xFFFFE000u);  // the instruction does not look at the low bits
    }
  };
  constexpr int kNumbers = kPair ? 2 : 1;
  for (int l = 0; l < kWarp; l++) {
    const int g = l / 4, t = l % 4;
    for (int i = 0; i < 4; i++) put(&a[g + 8 * (i % 2)][kNumbers * (t + 4 * (i / 2))], 1, lanes[l].word[i]);
    for (int i = 0; i < 2; i++) put(&b[kNumbers * (t + 4 * i)][g], 8, lanes[l].word[4 + i]);
  }
  float c[16][8];
  for (int row = 0; row < 16; row++)
    for (int column = 0; column < 8; column++) {
      float sum = 0;
      for (int k = 0; k < kDepth; k++) sum += a[row][k] * b[k][column];
      c[row][column] = sum;
    }
  for (int l = 0; l < kWarp; l++)
    for (int i = 0; i < 4; i++) lanes[l].word[i] = bits_of_float(c[l / 4 + 8 * (i / 2)][2 * (l % 4) + i % 2]);
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
