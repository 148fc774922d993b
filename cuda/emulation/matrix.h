// The matrix instructions on the CPU; see device/matrix.h for the layout.
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

// c += a b. Hidden from the sanitizers, which check the indices where these references are made.
void matrix_step_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void matrix_step_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

inline bool is_finite_bits(uint32_t bits) { return (bits & 0x7F800000u) != 0x7F800000u; }

inline uint32_t to_tf32(float value) {
  const uint32_t bits = bits_of_float(value);
  return is_finite_bits(bits) ? (bits + 0x1000u) & 0xFFFFE000u : bits;
}

inline uint32_t low_halves(uint32_t first, uint32_t second) { return (first & 0xFFFFu) | second << 16; }
inline uint32_t high_halves(uint32_t first, uint32_t second) { return first >> 16 | (second & 0xFFFF0000u); }

inline uint32_t to_bf16_pair(float low, float high) {
  const auto round = [](float value) {
    const uint32_t bits = bits_of_float(value);
    return is_finite_bits(bits) ? (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16 : bits >> 16 | ((bits & 0x7FFFFFu) != 0 ? 0x40u : 0u);
  };
  return round(low) | round(high) << 16;
}

}  // namespace mg_cuda
