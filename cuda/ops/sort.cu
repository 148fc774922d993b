// The least significant digit first: for each digit a count (4 bytes in per pair) and a scatter (8 in, 8 out). See sort.h.
//
// Blocks own consecutive tiles of the pairs. count: how often each digit occurs among a block's pairs, integers in shared memory. scatter:
// every block adds up the counts of all blocks (each thread one digit's), so that no launch in between has to: a digit's pairs go behind
// those of smaller digits and those of earlier blocks; within a block tile follows tile, within a tile warp follows warp, within a warp
// round follows round, and within a round lanes of equal digits find each other and count those below: the order is kept everywhere.
#include "cuda/ops/sort.h"

#include <algorithm>

#include "cuda/device/kernel.h"

namespace mg_cuda {
namespace {

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kThreads = kDigits;  // a thread looks after one digit between rounds
constexpr int kWarps = kThreads / kWarp;
constexpr int kRounds = 4;  // of a warp in a tile: its keys and values stay in registers
constexpr int kTile = kThreads * kRounds;
constexpr int64_t kMostBlocks = 256;  // two per multiprocessor; what a block adds up at first is this many KiB at most

// Pairs [block * per_block, ...) are a block's.
struct Shares {
  int64_t count, per_block;
  int shift;
  uint32_t mask;

  __device__ __forceinline__ int64_t begin() const { return blockIdx.x * per_block; }
  __device__ __forceinline__ int64_t end() const {
    const int64_t next = begin() + per_block;
    return next < count ? next : count;
  }
  __device__ __forceinline__ uint32_t digit(uint32_t key) const { return key >> shift & mask; }
};

// digit_counts[block, digit] (=)
__global__ void count_kernel(Shares shares, const uint32_t* keys, uint32_t* digit_counts) {
  auto* const own = shared_memory<uint32_t>();
  own[threadIdx.x] = 0;
  block_barrier();
  const int64_t end = shares.end();
#pragma unroll 4
  for (int64_t i = shares.begin() + threadIdx.x; i < end; i += kThreads) shared_add(own + shares.digit(keys[i]), 1);
  block_barrier();
  digit_counts[static_cast<int64_t>(blockIdx.x) * kDigits + threadIdx.x] = own[threadIdx.x];
}

// The sum of the values of all threads before this one. `scratch`: one word per warp.
__device__ __forceinline__ uint32_t sum_before(uint32_t value, uint32_t* scratch) {
  uint32_t sum = value;
  for (int by = 1; by < kWarp; by *= 2) {
    const uint32_t below = shuffle_up(sum, by);
    if (lane() >= by) sum += below;
  }
  if (lane() == kWarp - 1) scratch[warp()] = sum;
  block_barrier();
  uint32_t before = sum - value;
  for (int w = 0; w < warp(); w++) before += scratch[w];
  return before;
}

// to_keys, to_values (=): the pairs, stably by digit.
__global__ void scatter_kernel(Shares shares, const uint32_t* keys, const uint32_t* values, const uint32_t* digit_counts, uint32_t* to_keys,
                               uint32_t* to_values) {
  auto* const counts = shared_memory<uint32_t>();  // [warp, digit]: first how many of the tile, then where the next one goes
  uint32_t* const scratch = counts + kWarps * kDigits;
  uint32_t* const of_warp = counts + warp() * kDigits;
  uint32_t all = 0, before = 0;
#pragma unroll 8
  for (unsigned b = 0; b < gridDim.x; b++) {
    const uint32_t count = digit_counts[b * kDigits + threadIdx.x];
    all += count;
    before += b < blockIdx.x ? count : 0;
  }
  uint32_t next = sum_before(all, scratch) + before;  // where this block's next pair of digit threadIdx.x goes

  const int64_t end = shares.end();
  for (int64_t tile = shares.begin(); tile < end; tile += kTile) {
    for (int w = 0; w < kWarps; w++) counts[w * kDigits + threadIdx.x] = 0;
    const int64_t first = tile + warp() * (kWarp * kRounds) + lane();
    uint32_t key[kRounds], value[kRounds], rank[kRounds];
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const bool is_pair = first + i * kWarp < end;
      key[i] = is_pair ? keys[first + i * kWarp] : 0;
      value[i] = is_pair ? values[first + i * kWarp] : 0;
    }
    block_barrier();
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const bool is_pair = first + i * kWarp < end;
      const uint32_t digit = shares.digit(key[i]);
      const uint32_t equals = match(is_pair ? digit : kDigits);
      const int below = count_bits(equals & ((1u << lane()) - 1));
      rank[i] = of_warp[digit] + static_cast<uint32_t>(below);
      warp_barrier();
      if (is_pair && below == 0) of_warp[digit] += static_cast<uint32_t>(count_bits(equals));
      warp_barrier();
    }
    block_barrier();
    for (int w = 0; w < kWarps; w++) {
      const uint32_t count = counts[w * kDigits + threadIdx.x];
      counts[w * kDigits + threadIdx.x] = next;
      next += count;
    }
    block_barrier();
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      if (first + i * kWarp >= end) continue;
      const uint32_t to = of_warp[shares.digit(key[i])] + rank[i];
      to_keys[to] = key[i];
      to_values[to] = value[i];
    }
    block_barrier();
  }
}

}  // namespace

int64_t sort_digit_counts(int64_t count) { return std::min(blocks_of(count, kTile), kMostBlocks) * kDigits; }

int launch_sort(Stream& stream, const PairsToSort& pairs) {
  int bits = 0;
  while (bits < 32 && pairs.largest_key >> bits != 0) bits++;
  const int passes = (bits + kDigitBits - 1) / kDigitBits;
  const int64_t tiles = blocks_of(pairs.count, kTile), tiles_per_block = blocks_of(tiles, kMostBlocks);
  const Grid grid{static_cast<unsigned>(blocks_of(tiles, tiles_per_block))};
  for (int pass = 0; pass < passes; pass++) {
    const int from = pass % 2, to = 1 - from;
    const int first = bits * pass / passes, past = bits * (pass + 1) / passes;
    const Shares shares{pairs.count, tiles_per_block * kTile, first, (1u << (past - first)) - 1};
    stream.launch(count_kernel, grid, kThreads, kDigits * sizeof(uint32_t), shares, pairs.keys[from], pairs.digit_counts);
    stream.launch(scatter_kernel, grid, kThreads, (kWarps * kDigits + kWarps) * sizeof(uint32_t), shares, pairs.keys[from], pairs.values[from],
                  pairs.digit_counts, pairs.keys[to], pairs.values[to]);
  }
  return passes % 2;
}

}  // namespace mg_cuda
