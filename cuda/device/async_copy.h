// Copies from global to shared memory that run while the thread continues. A thread commits its copies as a group and waits for
// groups in order. Other threads see the copies after that wait and a block_barrier().
#pragma once
#include "cuda/device/kernel.h"

#if !defined(MG_EMULATION)
namespace mg_cuda {

// Copies 16 or 4 bytes; both addresses are aligned to that size. 16 bytes bypass the L1 cache. Reads the first `given` bytes; the rest are 0.
template <int kBytes>
__device__ __forceinline__ void async_copy(float* shared, const float* global, int given = kBytes) {
  static_assert(kBytes == 16 || kBytes == 4);
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  if constexpr (kBytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(given) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(global), "r"(given) : "memory");
}

__device__ __forceinline__ void async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most kPending of this thread's groups are pending.
template <int kPending>
__device__ __forceinline__ void async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace mg_cuda
#endif
