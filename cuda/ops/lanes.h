// Distributes elements of rows over threads without a division. Each row gets the same power of two of lanes for its width, at most a warp.
// They move along the row, so neighbouring lanes read neighbouring floats.
#pragma once
#include <algorithm>

#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

struct RowLanes {
  static constexpr int kThreads = 256;

  int64_t rows;
  int64_t width;  // of a row, in units that a thread takes at a time
  int shift;      // log2 of the lanes per row

  RowLanes(int64_t row_count, int64_t row_width) : rows(row_count), width(row_width), shift(0) {
    while (shift < 5 && (int64_t{1} << shift) < row_width) shift++;
  }

  // The same lanes for rows of another width.
  __device__ __forceinline__ RowLanes of_width(int64_t other) const {
    RowLanes lanes = *this;
    lanes.width = other;
    return lanes;
  }

  Grid grid() const { return {static_cast<unsigned>(std::clamp<int64_t>(blocks_of(rows << shift, kThreads), 1, 65536))}; }

  // Calls work(row, column) for each element of this thread.
  template <class Work>
  __device__ __forceinline__ void each(const Work& work) const {
    for (int64_t row = grid_thread() >> shift; row < rows; row += grid_threads() >> shift)
      for (int64_t column = grid_thread() & ((1 << shift) - 1); column < width; column += 1 << shift) work(row, column);
  }
};

}  // namespace mg_cuda
