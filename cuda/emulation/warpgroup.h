// The matrix instructions of a warpgroup on the CPU; see device/warpgroup.h. They take effect as late as they may:
// - a step runs when a warpgroup_wait lets it. Until then its sums hold NaN, and whoever writes to them makes the result NaN;
// - it reads shared memory as fences and barriers have shown it. An operand, in shared memory or in registers, that changes between the step
//   and its wait makes its sums NaN;
// - registers that have changed since the last warpgroup_begin(), and any that are used after a wait without a new one, make its sums NaN.
#pragma once
#include "cuda/emulation/matrix.h"

namespace mg_cuda {

inline constexpr bool kHasWarpgroups = true;

struct Operand : Cores {
  Operand behind(int bytes) const { return {{first + bytes, across_bytes}}; }
};
inline Operand operand_of(const Cores& cores) { return {cores}; }

namespace emulation {
void shared_written();
void warpgroup_begin();
void warpgroup_commit();
void warpgroup_wait(int pending);
// a_registers: four words of a, or null: `a` is in shared memory.
void warpgroup_step(float* sums, int count, const uint32_t* a_registers, const Cores& a, const Cores& b, bool accumulate);
}  // namespace emulation

inline void shared_written(MG_SITE) { MG_UNLESS_OFF emulation::shared_written(); }
inline void warpgroup_begin(MG_SITE) { MG_UNLESS_OFF emulation::warpgroup_begin(); }
inline void warpgroup_commit(MG_SITE) { MG_UNLESS_OFF emulation::warpgroup_commit(); }
template <int kPending>
void warpgroup_wait(MG_SITE) {
  MG_UNLESS_OFF emulation::warpgroup_wait(kPending);
}
// Only for the CUDA compiler: here registers are memory, and waits are calls that may change it.
template <int kCount>
void pin(float (&)[kCount]) {}

template <int kCount>
void warpgroup_step(float (&c)[kCount], const Operand& a, const Operand& b, bool accumulate) {
  emulation::warpgroup_step(c, kCount, nullptr, a, b, accumulate);
}
template <int kCount>
void warpgroup_step(float (&c)[kCount], const uint32_t (&a)[4], const Operand& b, bool accumulate) {
  emulation::warpgroup_step(c, kCount, a, {}, b, accumulate);
}

}  // namespace mg_cuda
