// Copies from global to shared memory that run while the thread goes on. A thread commits what it has asked for as a group and
// waits for groups in order; other threads see the copies after its wait and a block_barrier().
#pragma once
#include "cuda/device/kernel.h"

#if !defined(MG_EMULATION)
namespace mg_cuda {

// 16 or 4 bytes; both addresses aligned to as much. 16 bytes go past the L1 cache. Of them the first `given` are read, the others are 0.
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

// Until at most kPending of this thread's groups are under way.
template <int kPending>
__device__ __forceinline__ void async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace mg_cuda
#endif
