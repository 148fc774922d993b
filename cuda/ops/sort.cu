// A radix sort, least significant digit first. Each digit takes a count (4 bytes in per pair) and a scatter (8 in, 8 out). See sort.h.
//
// A launch processes all lists; the last launches skip lists that need fewer digits. Blocks own consecutive tiles of a list's pairs.
// count: counts each digit among a block's pairs, as integers in shared memory. scatter: every block adds the counts of all blocks (each
// thread adds one digit's), which saves a launch in between. A digit's pairs go after those of smaller digits and of earlier blocks. The
// order is kept everywhere: a block processes tiles in order, a tile its warps in order, a warp its rounds in order; in a round, lanes
// with equal digits find each other and count the lanes below.
#include "cuda/ops/sort.h"

#include "cuda/device/kernel.h"

namespace mg_cuda {
namespace {

constexpr int kDigits = kSortDigits;
constexpr int kThreads = kDigits;  // between rounds a thread handles one digit
constexpr int kWarps = kThreads / kWarp;
constexpr int kRounds = 4;  // per warp in a tile: keys and values stay in registers
constexpr int kTile = kThreads * kRounds;
static_assert(kTile == kSortTile);

// A block's work: pairs [begin, end) by digit `pass`. `blocks` blocks from number `first` on share their list.
struct Share {
  int64_t list, begin, end;  // list: its first pair
  unsigned first, blocks;
  int shift;
  uint32_t mask;

  // The work of this block. It has no pairs if its list is sorted.
  __device__ __forceinline__ Share(const ListToSort* lists, int count, int pass) {
    int from = 0;
    for (int past = count; past - from > 1;) {
      const int middle = (from + past) / 2;
      (lists[middle].first_block <= blockIdx.x ? from : past) = middle;
    }
    const ListToSort own = lists[from];
    const int passes = ListToSort::passes(own.bits), low = own.bits * pass / passes, high = own.bits * (pass + 1) / passes;
    const int64_t per_block = own.block_tiles * kSortTile, list_end = own.begin + own.count;
    list = own.begin, first = own.first_block, blocks = static_cast<unsigned>((own.count + per_block - 1) / per_block);
    begin = list + (blockIdx.x - first) * per_block;
    end = pass >= passes ? begin : begin + per_block < list_end ? begin + per_block : list_end;
    shift = low, mask = (1u << (high - low)) - 1;
  }
  __device__ __forceinline__ uint32_t digit(uint32_t key) const { return key >> shift & mask; }
};

// digit_counts[block, digit] (=)
__global__ void count_kernel(const ListToSort* lists, int count, int pass, const uint32_t* keys, uint32_t* digit_counts) {
  begin_kernel();
  const Share share(lists, count, pass);
  if (share.begin == share.end) return;
  auto* const own = shared_memory<uint32_t>();
  own[threadIdx.x] = 0;
  block_barrier();
#pragma unroll 4
  for (int64_t i = share.begin + threadIdx.x; i < share.end; i += kThreads) shared_add(own + share.digit(keys[i]), 1);
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
__global__ void scatter_kernel(const ListToSort* lists, int count, int pass, const uint32_t* keys, const uint32_t* values,
                               const uint32_t* digit_counts, uint32_t* to_keys, uint32_t* to_values) {
  begin_kernel();
  const Share share(lists, count, pass);
  if (share.begin == share.end) return;
  auto* const counts = shared_memory<uint32_t>();  // [warp, digit]: first the tile's count, then the next pair's place
  uint32_t* const scratch = counts + kWarps * kDigits;
  uint32_t* const of_warp = counts + warp() * kDigits;
  uint32_t all = 0, before = 0;
#pragma unroll 8
  for (unsigned b = share.first; b < share.first + share.blocks; b++) {
    const uint32_t found = digit_counts[static_cast<int64_t>(b) * kDigits + threadIdx.x];
    all += found;
    before += b < blockIdx.x ? found : 0;
  }
  uint32_t next = sum_before(all, scratch) + before;  // the place in the list of this block's next pair with digit threadIdx.x

  const int64_t end = share.end;
  for (int64_t tile = share.begin; tile < end; tile += kTile) {
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
      const uint32_t digit = share.digit(key[i]);
      const uint32_t equals = match(is_pair ? digit : kDigits);
      const int below = count_bits(equals & ((1u << lane()) - 1));
      rank[i] = of_warp[digit] + static_cast<uint32_t>(below);
      warp_barrier();
      if (is_pair && below == 0) of_warp[digit] += static_cast<uint32_t>(count_bits(equals));
      // No test shows this: the lanes meet in the next round's match() too, but only a barrier orders memory.
      warp_barrier();
    }
    block_barrier();
    for (int w = 0; w < kWarps; w++) {
      const uint32_t found = counts[w * kDigits + threadIdx.x];
      counts[w * kDigits + threadIdx.x] = next;
      next += found;
    }
    block_barrier();
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      if (first + i * kWarp >= end) continue;
      const int64_t to = share.list + of_warp[share.digit(key[i])] + rank[i];
      to_keys[to] = key[i];
      to_values[to] = value[i];
    }
    block_barrier();
  }
}

}  // namespace

void launch_sort(Stream& stream, const ListsToSort& sorted) {
  const Grid grid{static_cast<unsigned>(sorted.blocks)};
  for (int pass = 0; pass < sorted.passes; pass++) {
    const int from = pass % 2, to = 1 - from;
    stream.launch(count_kernel, grid, kThreads, kDigits * sizeof(uint32_t), sorted.lists, sorted.count, pass, sorted.keys[from], sorted.digit_counts);
    stream.launch(scatter_kernel, grid, kThreads, (kWarps * kDigits + kWarps) * sizeof(uint32_t), sorted.lists, sorted.count, pass, sorted.keys[from],
                  sorted.values[from], sorted.digit_counts, sorted.keys[to], sorted.values[to]);
  }
}

}  // namespace mg_cuda
