// The kernels' primitives on the CPU, for tests. The threads of a block, or of a cluster of blocks, are fibers of one host thread, which switch
// only at barriers and warp-wide calls. It is slow, and stricter than a GPU:
// - warps run forwards, backwards and shuffled, and asynchronous copies arrive as early or as late as they can, changing from block to block,
//   so that a missing barrier or wait shows;
// - shared memory starts as NaN, and AddressSanitizer knows its end;
// - matrix instructions and bulk copies see of it only what a fence and a barrier have shown them;
// - the program stops with a message if lanes of a warp are in different warp-wide calls, if some threads never reach a barrier, or if
//   shared memory or groups of copies are out of step.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#include "cuda/emulation/sites.h"

namespace mg_cuda {

inline constexpr int kWarp = 32;
inline constexpr bool kBeforeHopper = false;

namespace emulation {

struct Index {
  unsigned x = 0, y = 0;
};

// A lane's input to a warp-wide call, and its result.
struct Words {
  uint32_t word[8];
};

// Meets the other lanes: each gives `mine`, the last one to arrive runs `combine` (nullable) over all 32, and every lane gets them. Valid
// until this lane's next call but one. `name` distinguishes calls.
const Words* meet(const char* name, const Words& mine, void (*combine)(Words* lanes));

void block_barrier();
void warp_barrier();
char* shared_memory();
void begin_kernel();

}  // namespace emulation

// Indices of the running thread.
extern emulation::Index threadIdx, blockIdx, blockDim, gridDim;

template <class T>
T* shared_memory() {
  return reinterpret_cast<T*>(emulation::shared_memory());
}

inline int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
inline int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

inline int thread_again() { return static_cast<int>(threadIdx.x); }
inline unsigned block_again() { return blockIdx.x; }

inline void begin_kernel(MG_SITE) { MG_UNLESS_OFF emulation::begin_kernel(); }

inline void block_barrier(MG_SITE) { MG_UNLESS_OFF emulation::block_barrier(); }
inline void warp_barrier(MG_SITE) { MG_UNLESS_OFF emulation::warp_barrier(); }

namespace emulation {

template <class T>
T exchange(const char* name, T value, int from) {
  static_assert(sizeof(T) <= sizeof(Words));
  Words mine{};
  std::memcpy(&mine, &value, sizeof value);
  const Words* lanes = meet(name, mine, nullptr);
  T result;
  std::memcpy(&result, &lanes[from], sizeof result);
  return result;
}

}  // namespace emulation

template <class T>
T shuffle_xor(T value, int mask) {
  return emulation::exchange("shuffle_xor", value, lane() ^ mask);
}
template <class T>
T shuffle(T value, int from) {
  return emulation::exchange("shuffle", value, from % kWarp);
}
template <class T>
T shuffle_up(T value, int by) {
  return emulation::exchange("shuffle_up", value, lane() >= by ? lane() - by : lane());
}

inline uint32_t match(uint32_t value) {
  const emulation::Words* lanes = emulation::meet("match", {{value}}, nullptr);
  uint32_t bits = 0;
  for (int i = 0; i < kWarp; i++) bits |= static_cast<uint32_t>(lanes[i].word[0] == value) << i;
  return bits;
}

inline uint32_t ballot(bool condition) {
  const emulation::Words* lanes = emulation::meet("ballot", {{condition ? 1u : 0u}}, nullptr);
  uint32_t bits = 0;
  for (int i = 0; i < kWarp; i++) bits |= lanes[i].word[0] << i;
  return bits;
}

inline int count_bits(uint32_t bits) { return __builtin_popcount(bits); }
inline int first_bit(uint32_t bits) { return __builtin_ctz(bits); }

inline uint32_t shared_add(uint32_t* to, uint32_t value) { return __atomic_fetch_add(to, value, __ATOMIC_RELAXED); }

inline uint32_t multiply_high(uint32_t a, uint32_t b) { return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32); }
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline float larger(float a, float b) { return a > b || a != a ? a : b; }

// See device/async_copy.h.
namespace emulation {
void async_copy(float* shared, const float* global, int bytes, int given);
void async_commit();
void async_wait(int pending);
}  // namespace emulation

template <int kBytes>
void async_copy(float* shared, const float* global, int given = kBytes) {
  static_assert(kBytes == 16 || kBytes == 4);
  emulation::async_copy(shared, global, kBytes, given);
}
inline void async_commit(MG_SITE) { MG_UNLESS_OFF emulation::async_commit(); }
template <int kPending>
void async_wait(MG_SITE) {
  MG_UNLESS_OFF emulation::async_wait(kPending);
}

}  // namespace mg_cuda
