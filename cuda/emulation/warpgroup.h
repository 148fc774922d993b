// The matrix instructions of a warpgroup on the CPU; see device/warpgroup.h. A warp's rows need only its own lanes, so a step runs when the warp
// asks for it. Tests here find a wrong place or a missing barrier, but not a missing wait or fence.
#pragma once
#include "cuda/emulation/matrix.h"

namespace mg_cuda {

inline constexpr bool kHasWarpgroups = true;

struct Operand : Cores {
  Operand behind(int bytes) const { return {{first + bytes, across_bytes}}; }
};
inline Operand operand_of(const Cores& cores) { return {cores}; }

inline void shared_written() {}
inline void warpgroup_begin() {}
inline void warpgroup_commit() {}
template <int kPending>
void warpgroup_wait() {}
template <int kCount>
void pin(float (&)[kCount]) {}

namespace emulation {

// Words (row, t) and (row, t + 4) of a step's operand, for lane 4 row + t.
inline void load_core_words(uint32_t (&to)[2], const Cores& cores) {
  for (int i = 0; i < kStepCores; i++) std::memcpy(&to[i], cores.first + i * kCoreBytes + lane() * 4, 4);
}

// kPanels panels of 8 columns; their cores are b.across_bytes apart.
template <int kPanels>
void step(float* c, const uint32_t (&a)[4], const Cores& b, bool accumulate) {
  if (!accumulate) std::memset(c, 0, 4 * kPanels * sizeof(float));
  for (int j = 0; j < kPanels; j++) {
    uint32_t words[2];
    load_core_words(words, {b.first + j * b.across_bytes, 0});
    float sums[4] = {c[4 * j], c[4 * j + 1], c[4 * j + 2], c[4 * j + 3]};
    matrix_step_bf16(sums, a, words);
    for (int i = 0; i < 4; i++) c[4 * j + i] = sums[i];
  }
}

}  // namespace emulation

inline void warpgroup_step(float (&c)[32], const Cores& a, const Cores& b, bool accumulate) {
  uint32_t words[4];
  const char* const rows = a.first + warp() % 4 * 2 * a.across_bytes;  // 16 of them
  for (int half = 0; half < 2; half++) {
    uint32_t two[2];
    emulation::load_core_words(two, {rows + half * a.across_bytes, 0});
    words[half] = two[0], words[half + 2] = two[1];
  }
  emulation::step<8>(c, words, b, accumulate);
}

inline void warpgroup_step(float (&c)[16], const uint32_t (&a)[4], const Cores& b, bool accumulate) { emulation::step<4>(c, a, b, accumulate); }

}  // namespace mg_cuda
