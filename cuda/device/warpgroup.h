// The matrix instructions of a warpgroup: four warps that start at a multiple of four, only on GPUs of compute capability 9.0. They run
// asynchronously to the warps' own instructions and read operands from shared memory.
//
// A step: c[64, n] += a[64, 16] b[16, n], bfloat16, sums float32. Warp w of the group has rows 16 w to 16 w + 15 of c; with g = lane / 4 and
// t = lane % 4 a lane holds (row g, columns 8 j + 2 t and + 1), then the same columns of row g + 8, for j = 0 ... as the PTX manual lays out
// wgmma.m64nNk16. An operand in shared memory consists of cores of 8 x 8 numbers, 128 bytes: 16 bytes for each row of a (column of b), with
// the numbers along the depth side by side.
#pragma once
#include "cuda/device/kernel.h"

namespace mg_cuda {

inline constexpr int kWarpgroup = 4 * kWarp;
inline constexpr int kGroupRows = 64;  // of c
inline constexpr int kCoreBytes = 128;
inline constexpr int kStepCores = 2;  // along the depth

// An operand in shared memory, from a step on. Cores along the depth are adjacent; those across it are `across_bytes` apart. The same for all
// threads of a warpgroup.
struct Cores {
  const char* first;
  int across_bytes;
};

}  // namespace mg_cuda

#if defined(MG_EMULATION)
#include "cuda/emulation/warpgroup.h"
#else
namespace mg_cuda {

// Whether this compiles for a GPU that has them.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool kHasWarpgroups = true;
#else
inline constexpr bool kHasWarpgroups = false;
#endif

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Cores as the instructions name them.
struct Operand {
  uint64_t descriptor;
  __device__ __forceinline__ Operand behind(int bytes) const { return {descriptor + static_cast<uint64_t>(bytes >> 4)}; }
};
__device__ __forceinline__ Operand operand_of(const Cores& cores) {
  // The compiler does not know that the address is the same for all lanes: a shuffle puts it into a uniform register once, not at every step.
  const uint32_t address = __shfl_sync(0xFFFFFFFFu, static_cast<uint32_t>(__cvta_generic_to_shared(cores.first)), 0);
  return {(address >> 4) + (static_cast<uint64_t>(kCoreBytes >> 4) << 16) + (static_cast<uint64_t>(cores.across_bytes >> 4) << 32)};
}

// Makes this thread's writes to shared memory visible to its matrix instructions, and after a block_barrier() to those of other threads.
__device__ __forceinline__ void shared_written() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Call it before the first step after touching registers of sums or of a.
__device__ __forceinline__ void warpgroup_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void warpgroup_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Waits until at most kPending groups of steps are pending.
template <int kPending>
__device__ __forceinline__ void warpgroup_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from moving uses of sums across a begin or a wait.
template <int kCount>
__device__ __forceinline__ void pin(float (&sums)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i++) asm volatile("" : "+f"(sums[i])::"memory");
}

// c = a b, or += if it accumulates. Both operands are in shared memory.
__device__ __forceinline__ void warpgroup_step(float (&c)[32], Operand a, Operand b, bool accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
      "%32, %33, p, 1, 1, 0, 0;\n}"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]), "+f"(c[9]), "+f"(c[10]),
        "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]), "+f"(c[16]), "+f"(c[17]), "+f"(c[18]), "+f"(c[19]), "+f"(c[20]), "+f"(c[21]),
        "+f"(c[22]), "+f"(c[23]), "+f"(c[24]), "+f"(c[25]), "+f"(c[26]), "+f"(c[27]), "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31])
      : "l"(a.descriptor), "l"(b.descriptor), "r"(static_cast<int>(accumulate)));
}

// The same with a in registers, as in matrix_step_bf16.
__device__ __forceinline__ void warpgroup_step(float (&c)[16], const uint32_t (&a)[4], Operand b, bool accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %21, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, p, 1, 1, 0;\n}"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]), "+f"(c[9]), "+f"(c[10]),
        "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor), "r"(static_cast<int>(accumulate)));
}

#else

__device__ __forceinline__ void shared_written() {}
__device__ __forceinline__ void warpgroup_begin() {}
__device__ __forceinline__ void warpgroup_commit() {}
template <int kPending>
__device__ __forceinline__ void warpgroup_wait() {}
template <int kCount>
__device__ __forceinline__ void pin(float (&)[kCount]) {}
struct Operand {
  __device__ __forceinline__ Operand behind(int) const { return {}; }
};
__device__ __forceinline__ Operand operand_of(const Cores&) { return {}; }
__device__ __forceinline__ void warpgroup_step(float (&)[32], Operand, Operand, bool) {}
__device__ __forceinline__ void warpgroup_step(float (&)[16], const uint32_t (&)[4], Operand, bool) {}

#endif

}  // namespace mg_cuda
#endif
