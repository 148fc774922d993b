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

// c (without what was there before) from the words of all lanes; kPair: words are pairs of bfloat16. Where tests spend their time: fast
// in builds that are not, and its arrays are its own.
template <bool kPair>
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("O3"), no_sanitize("address", "undefined")))
#endif
void combine_matrix_step(Words* lanes) {
  constexpr int kDepth = kPair ? 16 : 8;
  float a[16][kDepth], b[kDepth][8];
  constexpr int kNumbers = kPair ? 2 : 1;
  for (int l = 0; l < kWarp; l++) {
    const int g = l / 4, t = l % 4;
    for (int n = 0; n < kNumbers; n++) {
      // The upper half of a word that is shifted up for the low number; of tf32 the instruction does not look at the low bits.
      const int shift = kPair && n == 0 ? 16 : 0;
      const uint32_t mask = kPair ? 0xFFFF0000u : 0xFFFFE000u;
      for (int i = 0; i < 6; i++) {
        const uint32_t bits = lanes[l].word[i] << shift & mask;
        float* to = i < 4 ? &a[g + 8 * (i % 2)][kNumbers * (t + 4 * (i / 2)) + n] : &b[kNumbers * (t + 4 * (i - 4)) + n][g];
        std::memcpy(to, &bits, sizeof bits);
      }
    }
  }
  float c[16][8] = {};
  for (int row = 0; row < 16; row++)
    for (int k = 0; k < kDepth; k++)
      for (int column = 0; column < 8; column++) c[row][column] += a[row][k] * b[k][column];
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
