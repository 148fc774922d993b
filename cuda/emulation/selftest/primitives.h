// Small kernels on the primitives of cuda/device that need a GPU of compute capability 9.0, for the emulation and for the CUDA compiler. Each
// takes the mistake that it makes.
#pragma once
#include "cuda/device/async_copy.h"
#include "cuda/device/barriers.h"
#include "cuda/device/matrix.h"
#include "cuda/device/warpgroup.h"

namespace mg_cuda::primitives {

enum class Mistake {
  kNone,
  kNoCopyWait,
  kNoFence,
  kFenceTooEarly,
  kNoBarrier,
  kNoBegin,
  kNoSecondBegin,
  kNoCommit,
  kNoWait,
  kNoExpect,
  kWrongParity,
  kNoArrival,
  kNoRelease,
  kNoReadWait,
  kNoMadeFence,
  kTouchesSums,
  kTouchesA,
  kTouchesAAfterBegin,
  kWritesOperand,
  kOtherOperands,
  kWrongCount,
  kNoFirstBarrier,
  kNoLastBarrier,
};

// Operands of [64, depth] and [64, depth] (b's columns), bfloat16, as cores: small whole numbers, so that sums are exact.
inline constexpr int kTestDepth = 32;  // two steps
inline constexpr int kTestOperandWords = 64 * kTestDepth / 2;

__host__ __device__ inline float test_number(int row, int k) { return static_cast<float>((row * 7 + k * 5) % 11 - 5); }
// The bits of a small whole number as bfloat16.
__device__ inline uint32_t test_bits(float number) { return bits_of_float(number) >> 16; }
__device__ inline uint32_t test_word(int row, int k) { return test_bits(test_number(row, k)) | test_bits(test_number(row, k + 1)) << 16; }
// The row and the depth of word i of an operand.
__host__ __device__ inline int word_row(int i) { return i / (kTestDepth / 8 * 32) * 8 + i % 32 / 4; }
__host__ __device__ inline int word_depth(int i) { return i / 32 % (kTestDepth / 8) * 8 + i % 4 * 2; }

// out[128, 32] (=): a lane's sums of a a^T for rows of a in shared memory. words: the operand. Copied: by async_copy, else by stores.
template <Mistake kMistake, bool kCopied>
__global__ void matrix_kernel(const float* words, float* out) {
  auto* const shared = shared_memory<float>();
  const auto thread = static_cast<int>(threadIdx.x);
  if (kMistake == Mistake::kFenceTooEarly && !kCopied) shared_written();
  for (int i = 4 * thread; i < kTestOperandWords; i += 4 * kWarpgroup)
    if constexpr (kCopied)
      async_copy<16>(shared + i, words + i);
    else
      for (int n = 0; n < 4; n++) shared[i + n] = words[i + n];
  if constexpr (kCopied) {
    async_commit();
    if (kMistake == Mistake::kFenceTooEarly) shared_written();
    if (kMistake != Mistake::kNoCopyWait) async_wait<0>();
  }
  if (kMistake != Mistake::kNoFence && kMistake != Mistake::kFenceTooEarly) shared_written();
  if (kMistake != Mistake::kNoBarrier) block_barrier();
  const auto* const cores = reinterpret_cast<const char*>(shared);
  float sums[32];
  if (kMistake != Mistake::kNoBegin) warpgroup_begin();
  for (int step = 0; step < 2; step++) {
    const int at = step * kStepCores * kCoreBytes + (kMistake == Mistake::kOtherOperands && thread / kWarp == 2 ? kCoreBytes : 0);
    const Operand operand = operand_of({cores + at, kTestDepth / 8 * kCoreBytes});
    warpgroup_step(sums, operand, operand, step > 0);
  }
  if (kMistake != Mistake::kNoCommit) warpgroup_commit();
  if (kMistake == Mistake::kTouchesSums) sums[3] = 1;
  if (kMistake == Mistake::kWritesOperand && thread == 5) shared[77] = 0;
  if (kMistake != Mistake::kNoWait) warpgroup_wait<0>();
  pin(sums);
  for (int i = 0; i < 32; i++) out[thread * 32 + i] = sums[i];
  async_wait<0>();
  warpgroup_commit();
  warpgroup_wait<0>();
}

// out[2, 128, 16] (=): twice the same for 32 columns, with rows of a in registers and two rounds of one step each, the second with twice a. Shared
// memory has b, written by stores.
template <Mistake kMistake>
__global__ void register_matrix_kernel(const float* words, float* out) {
  auto* const shared = shared_memory<float>();
  const auto thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < kTestOperandWords; i += kWarpgroup) shared[i] = words[i];
  shared_written();
  block_barrier();
  const auto* const cores = reinterpret_cast<const char*>(shared);
  const int row = warp() * 16 + lane() / 4, k = lane() % 4 * 2;
  uint32_t a[4];
  float sums[16];
  for (int round = 0; round < 2; round++) {
    const bool twice = round > 0;
    const auto word = [&](int r, int depth) {
      return test_bits(test_number(r, depth) * (twice ? 2 : 1)) | test_bits(test_number(r, depth + 1) * (twice ? 2 : 1)) << 16;
    };
    if (kMistake == Mistake::kTouchesAAfterBegin && twice) warpgroup_begin();
    a[0] = word(row, k), a[1] = word(row + 8, k), a[2] = word(row, k + 8), a[3] = word(row + 8, k + 8);
    if (!twice || (kMistake != Mistake::kNoSecondBegin && kMistake != Mistake::kTouchesAAfterBegin)) warpgroup_begin();
    warpgroup_step(sums, a, operand_of({cores, kTestDepth / 8 * kCoreBytes}), false);
    warpgroup_commit();
    if (kMistake == Mistake::kTouchesA && lane() == 9) a[2] = 0;
    warpgroup_wait<0>();
    pin(sums);
    for (int i = 0; i < 16; i++) out[(round * kWarpgroup + thread) * 16 + i] = sums[i];
  }
}

inline constexpr int kTestStages = 2, kTestTiles = 5, kTestTileFloats = 64;

// out[tiles, 64] (=): each number of `in` and its tile's neighbour's, doubled. Warp 0 loads tiles into stages by bulk copies; warps 1 and 2 double
// them, 32 numbers each, and store the tile.
template <Mistake kMistake>
__global__ void bulk_kernel(const float* in, float* out) {
  struct Shared {
    float stages[kTestStages][kTestTileFloats], results[kTestTileFloats];
    MemoryBarrier full[kTestStages], free[kTestStages];
  };
  auto& shared = *shared_memory<Shared>();
  constexpr int kConsumers = 2 * kWarp;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kTestStages; i++) make_barrier(&shared.full[i], 1), make_barrier(&shared.free[i], kConsumers);
    if (kMistake != Mistake::kNoMadeFence) barriers_made();
  }
  if (kMistake != Mistake::kNoBarrier) block_barrier();
  constexpr uint32_t kBytes = sizeof shared.stages[0];
  if (warp() == 0) {
    if (lane() != 0) return;
    for (int tile = 0; tile < kTestTiles; tile++) {
      const int stage = tile % kTestStages;
      const auto parity = static_cast<uint32_t>(tile / kTestStages % 2);
      if (kMistake != Mistake::kNoRelease) barrier_wait(&shared.free[stage], parity ^ 1);
      if (kMistake != Mistake::kNoExpect) barrier_expect(&shared.full[stage], kBytes);
      bulk_load(shared.stages[stage], in + tile * kTestTileFloats, kBytes, &shared.full[stage]);
      if (kMistake != Mistake::kNoArrival) barrier_arrive(&shared.full[stage]);
    }
    return;
  }
  const auto i = static_cast<int>(threadIdx.x) - kWarp;
  for (int tile = 0; tile < kTestTiles; tile++) {
    const int stage = tile % kTestStages;
    const auto parity = static_cast<uint32_t>(tile / kTestStages % 2);
    if (kMistake != Mistake::kNoWait) barrier_wait(&shared.full[stage], kMistake == Mistake::kWrongParity ? parity ^ 1 : parity);
    const float value = shared.stages[stage][i] + shared.stages[stage][i ^ 32];
    barrier_arrive(&shared.free[stage]);
    if (i == 0 && kMistake != Mistake::kNoReadWait) bulk_wait_read<0>();
    named_barrier(1, kConsumers);  // the results have been stored
    shared.results[i] = 2 * value;
    if (kMistake != Mistake::kNoFence) shared_written();
    if (kMistake != Mistake::kNoFirstBarrier) named_barrier(1, kConsumers);
    if (i == 0) {
      bulk_store(out + tile * kTestTileFloats, shared.results, kBytes);
      if (kMistake != Mistake::kNoCommit) bulk_commit();
    }
  }
  if (i == 0 && kMistake != Mistake::kNoLastBarrier) bulk_wait<0>();
}

// out[32] (=): twice `in`, from warp 0 to warp 1 and back through shared memory. Warp 2 does something else.
template <Mistake kMistake>
__global__ void named_kernel(const float* in, float* out) {
  auto* const shared = shared_memory<float>();
  constexpr int kBoth = 2 * kWarp;
  if (warp() == 0) {
    shared[lane()] = in[lane()];
    if (kMistake != Mistake::kNoArrival) named_arrive(1, kBoth);
    if (kMistake != Mistake::kNoBarrier) named_barrier(2, kMistake == Mistake::kWrongCount ? 3 * kWarp : kBoth);
    out[lane()] = shared[kWarp + (lane() ^ 1)];
  } else if (warp() == 1) {
    if (kMistake != Mistake::kNoWait) named_barrier(1, kBoth);
    shared[kWarp + (lane() ^ 1)] = 2 * shared[lane()];
    named_barrier(2, kBoth);
  }
}

// out[blocks, 32] (=): block b of a cluster of n gets the numbers of block b + 1, from its shared memory, and adds those that block b - 1 has put
// into its own. `in`: [blocks, 32].
template <Mistake kMistake>
__global__ void cluster_kernel(const float* in, float* out) {
  struct Shared {
    float numbers[kWarp], given[kWarp];
    MemoryBarrier arrived;
  };
  auto& shared = *shared_memory<Shared>();
  const unsigned rank = cluster_rank(), size = cluster_size(), next = (rank + 1) % size;
  shared.numbers[lane()] = in[blockIdx.x * kWarp + static_cast<unsigned>(lane())];
  if (threadIdx.x == 0) {
    make_barrier(&shared.arrived, kWarp);
    barriers_made();
  }
  if (kMistake != Mistake::kNoFirstBarrier) cluster_arrive(), cluster_wait();
  const float number = map_shared(&shared.numbers[lane()], next)[0];
  *map_shared(&shared.given[lane()], next) = shared.numbers[lane()];
  if (kMistake != Mistake::kNoArrival) barrier_arrive_at(&shared.arrived, next);
  if (kMistake != Mistake::kNoWait) barrier_wait(&shared.arrived, kMistake == Mistake::kWrongParity ? 1 : 0);
  out[blockIdx.x * kWarp + static_cast<unsigned>(lane())] = number + shared.given[lane() ^ 1];
  if (kMistake != Mistake::kNoLastBarrier) cluster_arrive(), cluster_wait();
}

// out[blocks, 32] (=): the numbers of the next block, read after the cluster's barrier.
template <Mistake kMistake>
__global__ void remote_kernel(const float* in, float* out) {
  auto* const numbers = shared_memory<float>();
  numbers[lane()] = in[blockIdx.x * kWarp + static_cast<unsigned>(lane())];
  if (kMistake != Mistake::kNoFirstBarrier) cluster_arrive();
  const float* const remote = map_shared(numbers, (cluster_rank() + 1) % cluster_size());
  if (kMistake != Mistake::kNoFirstBarrier && kMistake != Mistake::kNoWait) cluster_wait();
  out[blockIdx.x * kWarp + static_cast<unsigned>(lane())] = remote[lane()];
  if (kMistake == Mistake::kNoWait) cluster_wait();
  if (kMistake != Mistake::kNoLastBarrier) cluster_arrive(), cluster_wait();
}

}  // namespace mg_cuda::primitives
