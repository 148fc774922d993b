// The primitives of kernels: thread indices, barriers, shuffles, shared memory. Each intrinsic has one wrapper here, in async_copy.h or in
// matrix.h. Kernels use only these, so the same source also compiles for the CPU (emulation/), where tests run it.
//
// Rules on both: shared memory is dynamic, taken once by shared_memory(). All threads of a warp take part in every warp-wide call,
// and all threads of a block in every block_barrier(); barriers.h has barriers of some of them.
#pragma once
#include <cstdint>

#if defined(MG_EMULATION)
#include "cuda/emulation/kernel.h"
#else

namespace mg_cuda {

inline constexpr int kWarp = 32;

// Whether this compiles for a GPU older than Hopper (compute capability 9.0).
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
inline constexpr bool kBeforeHopper = true;
#else
inline constexpr bool kBeforeHopper = false;
#endif

extern __shared__ __align__(16) char dynamic_shared_memory[];

// The first statement of every kernel. Waits until the kernel before it on the stream has ended, and lets the next one be brought up meanwhile:
// see Stream::launch. A kernel that was launched without that has nothing to wait for.
__device__ __forceinline__ void begin_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// The block's shared memory, as large as the launch asked for.
template <class T>
__device__ __forceinline__ T* shared_memory() {
  return reinterpret_cast<T*>(dynamic_shared_memory);
}

__device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

// Rereads threadIdx.x and blockIdx.x, so values derived from them after a loop take no registers during it.
__device__ __forceinline__ int thread_again() {
  int number;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(number));
  return number;
}
__device__ __forceinline__ unsigned block_again() {
  unsigned number;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(number));
  return number;
}

__device__ __forceinline__ void block_barrier() { __syncthreads(); }
__device__ __forceinline__ void warp_barrier() { __syncwarp(); }

// The value of the lane whose number differs by `mask`; of the lane `from`; of the lane `by` above (its own value if there is none).
template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
}
template <class T>
__device__ __forceinline__ T shuffle(T value, int from) {
  return __shfl_sync(0xFFFFFFFFu, value, from);
}
template <class T>
__device__ __forceinline__ T shuffle_up(T value, int by) {
  return __shfl_up_sync(0xFFFFFFFFu, value, static_cast<unsigned>(by));
}

// One bit per lane: whether its condition holds.
__device__ __forceinline__ uint32_t ballot(bool condition) { return __ballot_sync(0xFFFFFFFFu, condition); }
// One bit per lane: whether it has the same value.
__device__ __forceinline__ uint32_t match(uint32_t value) { return __match_any_sync(0xFFFFFFFFu, value); }
__device__ __forceinline__ int count_bits(uint32_t bits) { return __popc(bits); }
// The number of the lowest bit that is set; there must be one.
__device__ __forceinline__ int first_bit(uint32_t bits) { return __ffs(static_cast<int>(bits)) - 1; }

// Adds to shared memory. Integers only, because their sums do not depend on the order.
__device__ __forceinline__ uint32_t shared_add(uint32_t* to, uint32_t value) { return atomicAdd(to, value); }

__device__ __forceinline__ uint32_t multiply_high(uint32_t a, uint32_t b) { return __umulhi(a, b); }
// a b + c, rounded once.
__device__ __forceinline__ float fused(float a, float b, float c) { return fmaf(a, b, c); }
// The larger number; NaN if one is.
__device__ __forceinline__ float larger(float a, float b) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}

}  // namespace mg_cuda
#endif

namespace mg_cuda {

// This thread's number among all of the launch, and their count, along x.
__device__ __forceinline__ int64_t grid_thread() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int64_t grid_threads() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

// The sum over the warp, in every lane, in a fixed order.
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

template <class T>
__device__ __forceinline__ T warp_max(T value) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const T other = shuffle_xor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}

// The sum over the block, in thread 0, in a fixed order. `scratch`: one T per warp in shared memory, free again after the next
// block_barrier().
template <class T>
__device__ T block_sum(T value, T* scratch) {
  value = warp_sum(value);
  if (lane() == 0) scratch[warp()] = value;
  block_barrier();
  T sum = 0;
  if (threadIdx.x == 0)
    for (int i = 0; i < static_cast<int>(blockDim.x) / kWarp; i++) sum += scratch[i];
  return sum;
}

}  // namespace mg_cuda
