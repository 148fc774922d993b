// Barriers of some of a block's threads, barriers in shared memory, bulk copies, and clusters of blocks. Named barriers are for any GPU; the rest
// is for compute capability 9.0 and later, and does nothing in code for older ones.
//
// A barrier in shared memory has phases, numbered from 0. A phase ends when the arrivals that it was made for and the bytes that were
// expected have come; the next begins at once. barrier_wait(parity) waits for the end of the latest phase of that parity: a consumer begins with 0;
// a producer that waits for a free stage begins with 1, which does not wait.
//
// Bulk copies see shared memory as matrix instructions do (warpgroup.h): what threads have written needs shared_written() and a barrier. What
// a bulk_load has written is seen by all after a wait for its barrier, without a fence.
#pragma once
#include "cuda/device/kernel.h"

namespace mg_cuda {

struct alignas(8) MemoryBarrier {
  uint64_t word;
};

}  // namespace mg_cuda

#if defined(MG_EMULATION)
#include "cuda/emulation/barriers.h"
#else
namespace mg_cuda {

// Meets `threads` threads, a multiple of 32, at barrier `number`: 1 to 15. All lanes of a warp take part.
__device__ __forceinline__ void named_barrier(int number, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory"); }
// Counts as one of them without waiting.
__device__ __forceinline__ void named_arrive(int number, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(number), "r"(threads) : "memory"); }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

namespace device {
__device__ __forceinline__ uint32_t shared_address(const void* at) { return static_cast<uint32_t>(__cvta_generic_to_shared(at)); }
}  // namespace device

// By one thread, which then calls barriers_made(); others use it after a block_barrier(), other blocks after the cluster's barrier.
__device__ __forceinline__ void make_barrier(MemoryBarrier* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(device::shared_address(barrier)), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void barriers_made() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(MemoryBarrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(device::shared_address(barrier)) : "memory");
}
// The same at the barrier that is in the place of `own` in block `rank` of the cluster.
__device__ __forceinline__ void barrier_arrive_at(MemoryBarrier* own, unsigned rank) {
  uint32_t address;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(device::shared_address(own)), "r"(rank));
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(address) : "memory");
}
// The phase also waits for `bytes` more bytes of bulk loads. Call it before the last arrival of the phase.
__device__ __forceinline__ void barrier_expect(MemoryBarrier* barrier, uint32_t bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(device::shared_address(barrier)), "r"(bytes) : "memory");
}
// Whether the latest phase of this parity has ended. It may wait for a while.
__device__ __forceinline__ bool barrier_try_wait(MemoryBarrier* barrier, uint32_t parity) {
  uint32_t done;
  asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
               : "=r"(done)
               : "r"(device::shared_address(barrier)), "r"(parity)
               : "memory");
  return done != 0;
}
__device__ __forceinline__ void barrier_wait(MemoryBarrier* barrier, uint32_t parity) {
  while (!barrier_try_wait(barrier, parity)) {
  }
}

// Starts copying a multiple of 16 bytes; both addresses are multiples of 16. The bytes count at `barrier`. Called by one thread.
__device__ __forceinline__ void bulk_load(void* shared, const void* global, uint32_t bytes, MemoryBarrier* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(device::shared_address(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(device::shared_address(barrier))
               : "memory");
}
// The same to global memory. The thread commits its stores as a group and waits for groups in order.
__device__ __forceinline__ void bulk_store(void* global, const void* shared, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(__cvta_generic_to_global(global)),
               "r"(device::shared_address(shared)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Waits until at most kPending of this thread's groups are pending.
template <int kPending>
__device__ __forceinline__ void bulk_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}
// The same for reading shared memory, which may then be overwritten. A block's shared memory must have been read before the thread ends.
template <int kPending>
__device__ __forceinline__ void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

// The block's number in its cluster, and the number of blocks.
__device__ __forceinline__ unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ unsigned cluster_size() {
  unsigned size;
  asm volatile("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(size));
  return size;
}
// The place of `own`, in this block's shared memory, in that of another block of the cluster. All blocks must have begun (a barrier of the
// cluster), and none may end while others use its memory (another one).
template <class T>
__device__ __forceinline__ T* map_shared(T* own, unsigned rank) {
  uint64_t address;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(address) : "l"(own), "r"(rank));
  return reinterpret_cast<T*>(address);
}
// The cluster's barrier, in two parts. All threads of all its blocks take part.
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }

#else

__device__ __forceinline__ void make_barrier(MemoryBarrier*, int) {}
__device__ __forceinline__ void barriers_made() {}
__device__ __forceinline__ void barrier_arrive(MemoryBarrier*) {}
__device__ __forceinline__ void barrier_arrive_at(MemoryBarrier*, unsigned) {}
__device__ __forceinline__ void barrier_expect(MemoryBarrier*, uint32_t) {}
__device__ __forceinline__ bool barrier_try_wait(MemoryBarrier*, uint32_t) { return true; }
__device__ __forceinline__ void barrier_wait(MemoryBarrier*, uint32_t) {}
__device__ __forceinline__ void bulk_load(void*, const void*, uint32_t, MemoryBarrier*) {}
__device__ __forceinline__ void bulk_store(void*, const void*, uint32_t) {}
__device__ __forceinline__ void bulk_commit() {}
template <int kPending>
__device__ __forceinline__ void bulk_wait() {}
template <int kPending>
__device__ __forceinline__ void bulk_wait_read() {}
__device__ __forceinline__ unsigned cluster_rank() { return 0; }
__device__ __forceinline__ unsigned cluster_size() { return 1; }
template <class T>
__device__ __forceinline__ T* map_shared(T* own, unsigned) {
  return own;
}
__device__ __forceinline__ void cluster_arrive() {}
__device__ __forceinline__ void cluster_wait() {}

#endif

}  // namespace mg_cuda
#endif
