// Rows of any width as pieces that a thread moves at once: 16 bytes if every row is aligned to 16 bytes, else one float. Neighbouring
// lanes take neighbouring pieces of a row. A warp takes several rows if they are short.
#pragma once
#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

template <int kFloats>
struct alignas(kFloats * sizeof(float)) Piece {
  float at[kFloats];
};

template <int kFloats>
__device__ __forceinline__ Piece<kFloats> load_piece(const float* from) {
  return *reinterpret_cast<const Piece<kFloats>*>(from);
}
template <int kFloats>
__device__ __forceinline__ void store_piece(float* to, const Piece<kFloats>& piece) {
  *reinterpret_cast<Piece<kFloats>*>(to) = piece;
}

// sum += scale piece
template <int kFloats>
__device__ __forceinline__ void add_piece(Piece<kFloats>& sum, const Piece<kFloats>& piece, float scale) {
#pragma unroll
  for (int k = 0; k < kFloats; k++) sum.at[k] = fused(scale, piece.at[k], sum.at[k]);
}

// 2^log neighbouring threads share a row of pieces; each takes every 2^log-th piece.
struct RowSplit {
  int pieces, log;

  __host__ __device__ int lanes() const { return 1 << log; }
  // Number of blocks of this many threads for `rows` rows, one row per group of lanes.
  int64_t blocks(int64_t rows, int threads) const { return blocks_of(rows, threads >> log); }
  __device__ __forceinline__ int64_t row() const { return grid_thread() >> log; }
  __device__ __forceinline__ int64_t row_step() const { return grid_threads() >> log; }
  __device__ __forceinline__ int lane() const { return static_cast<int>(threadIdx.x) & (lanes() - 1); }
};

inline RowSplit split_row(int64_t width, int floats) {
  RowSplit split{static_cast<int>(width / floats), 0};
  while (split.lanes() < split.pieces && split.lanes() < kWarp) split.log++;
  return split;
}

}  // namespace mg_cuda
