// Stable sorts of lists of pairs of a 32-bit key and a 32-bit value, on the device, all lists at once: equal keys keep their order. The host
// knows only the number of pairs and of key bits.
#pragma once
#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

inline constexpr int kDigitBits = 8;
inline constexpr int64_t kSortDigits = int64_t{1} << kDigitBits;
inline constexpr int64_t kSortTile = 1024;
#if defined(MG_EMULATION)
inline constexpr int64_t kMostSortBlocks = 2;  // so that tests with a thousand rows have several tiles per block
#else
inline constexpr int64_t kMostSortBlocks = 256;  // per list: two per multiprocessor; also the most KiB of counts that a block adds at first
#endif

// One list, on the device. Its pairs stay in [begin, begin + count) of the arrays of all lists.
struct ListToSort {
  int64_t begin, count;
  uint32_t first_block;  // of the sort's blocks; lists are consecutive
  int32_t bits;          // bits of the largest possible key
  int32_t block_tiles;   // tiles per block

  // Number of scatters from one array into the other. The sorted list is in array passes() % 2.
  __host__ __device__ static int passes(int bits) { return (bits + kDigitBits - 1) / kDigitBits; }
  __host__ __device__ static int64_t tiles(int64_t count) { return (count + kSortTile - 1) / kSortTile; }
  __host__ __device__ static int32_t tiles_of_a_block(int64_t count) {
    return static_cast<int32_t>((tiles(count) + kMostSortBlocks - 1) / kMostSortBlocks);
  }
  __host__ __device__ static int64_t blocks(int64_t count) {
    const int32_t own = tiles_of_a_block(count);
    return (tiles(count) + own - 1) / own;
  }
};

struct ListsToSort {
  const ListToSort* lists;  // [count], on the device
  int count;
  int64_t blocks;     // of all lists
  int passes;         // the most of any list
  uint32_t* keys[2];  // the pairs are in the first
  uint32_t* values[2];
  uint32_t* digit_counts;  // [blocks, kSortDigits]
};

void launch_sort(Stream& stream, const ListsToSort& lists);

}  // namespace mg_cuda
