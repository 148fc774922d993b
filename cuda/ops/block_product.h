// One tile of a product by one block: both operands come from global memory a stage at a time, copies of the next stages running while
// a stage is multiplied. Made of the parts in product.h; bias, activation and where sums go are the kernel's.
//
// Sums add up in the order of the depth, whatever the grid. In float32 each stage is summed on its own and then added: the matrix
// instructions cut off the bits of a sum that do not fit, an addition rounds them, so that the error of a long sum does not grow to one side.
#pragma once
#include <cstddef>

#include "cuda/ops/product.h"

namespace mg_cuda {

// The block's tile: [kTileRows, kColumns] sums, kColumns 32 or 64; 2 x 2 warps, each [32, kColumns / 2].
inline constexpr int kTileRows = 64;
inline constexpr int kTileThreads = 128;
inline constexpr int kStageDepth = 32;
inline constexpr int kStages = 3;
inline constexpr int kTileBlocks = 3;  // on a multiprocessor, by shared memory: up to 168 registers are free

template <int kColumns>
using TileSums = Sums<2, kColumns / 16>;

// Floats of a stage's tile with `outer` places across the depth.
template <Precision kPrecision, Lines kLines>
__host__ __device__ constexpr int stage_stride(int outer) {
  return stride_of<kPrecision, kLines>(kLines == Lines::kDepth ? kStageDepth : outer);
}
template <Precision kPrecision, Lines kLines>
__host__ __device__ constexpr int stage_floats(int outer) {
  return stage_stride<kPrecision, kLines>(outer) * (kLines == Lines::kDepth ? outer : kStageDepth);
}

// Lines of the finished sums in shared memory: 8 g + 2 t, and pairs, in all banks within half a warp.
template <int kColumns>
inline constexpr int kSumsStride = kColumns + 8;

// Shared memory of a block that calls add_tile_product with these (or with kFloat32) and each_sum.
template <Precision kPrecision, Lines kA, Lines kB, int kColumns>
__host__ __device__ constexpr size_t tile_shared_bytes() {
  const int in_precision = stage_floats<kPrecision, kA>(kTileRows) + stage_floats<kPrecision, kB>(kColumns);
  const int in_float32 = stage_floats<Precision::kFloat32, kA>(kTileRows) + stage_floats<Precision::kFloat32, kB>(kColumns);
  const int stages = kStages * (in_precision > in_float32 ? in_precision : in_float32);
  const int sums = kTileRows * kSumsStride<kColumns>;
  return sizeof(float) * static_cast<size_t>(stages > sums ? stages : sums);
}

// The part of an operand from `first` of its depth on.
template <Lines kLines>
__device__ __forceinline__ GlobalTile from_depth(const GlobalTile& whole, int first) {
  if constexpr (kLines == Lines::kDepth) return {whole.data + first, whole.stride, whole.lines, whole.width - first};
  return {whole.data + first * whole.stride, whole.stride, whole.lines - first, whole.width};
}

struct NoStage {
  __device__ void operator()(const float*, int) const {}
};

// sums += a b over `depth`. a, b: the whole depth of the tile's rows and columns. stage(b, stride): called with each stage of b, [kStageDepth,
// kColumns] where it lies across, zeros beyond its end. Ends with a barrier; shared memory is free then.
template <Precision kPrecision, Lines kA, Lines kB, int kColumns, class Stage = NoStage>
__device__ __forceinline__ void add_tile_product(TileSums<kColumns>& sums, const GlobalTile& a, const GlobalTile& b, int depth, float* shared,
                                                 const Stage& stage = {}) {
  constexpr int kAStride = stage_stride<kPrecision, kA>(kTileRows), kBStride = stage_stride<kPrecision, kB>(kColumns);
  constexpr int kAFloats = stage_floats<kPrecision, kA>(kTileRows), kBFloats = stage_floats<kPrecision, kB>(kColumns);
  const int thread = static_cast<int>(threadIdx.x), stages = (depth + kStageDepth - 1) / kStageDepth;
  // This warp's first row and column, in a stage's tiles.
  const int row = warp() / 2 * 32 * (kA == Lines::kDepth ? kAStride : 1);
  const int column = warp() % 2 * (kColumns / 2) * (kB == Lines::kDepth ? kBStride : 1);
  const auto place = [&](int number) { return shared + number % kStages * (kAFloats + kBFloats); };
  const auto fetch = [&](int number) {
    if (number < stages) {
      const int first = number * kStageDepth;
      constexpr bool kADeep = kA == Lines::kDepth, kBDeep = kB == Lines::kDepth;
      copy_tile(place(number), kAStride, kADeep ? kTileRows : kStageDepth, kADeep ? kStageDepth : kTileRows, from_depth<kA>(a, first), thread,
                kTileThreads);
      copy_tile(place(number) + kAFloats, kBStride, kBDeep ? kColumns : kStageDepth, kBDeep ? kStageDepth : kColumns,
                from_depth<kB>(b, first), thread, kTileThreads);
    }
    async_commit();  // beyond the end too: waits count groups
  };
#pragma unroll 1
  for (int number = 1 - kStages; number < stages; number++) {
    if (number >= 0) {
      async_wait<kStages - 2>();
      block_barrier();  // stage `number` is there, and all have done with the one before it, whose place the next copies take
    }
    fetch(number + kStages - 1);
    if (number < 0) continue;
    const float *stage_a = place(number), *stage_b = stage_a + kAFloats;
    stage(stage_b, kBStride);
    const int left = depth - number * kStageDepth, steps = (left + kStep<kPrecision> - 1) / kStep<kPrecision>;
    const int stage_depth = left < kStageDepth ? steps * kStep<kPrecision> : kStageDepth;
    if constexpr (kPrecision == Precision::kFloat32) {
      TileSums<kColumns> part;
      part.template add_product<kPrecision, kA, kB>(stage_a + row, kAStride, stage_b + column, kBStride, stage_depth);
      sums.add(part);
    } else {
      sums.template add_product<kPrecision, kA, kB>(stage_a + row, kAStride, stage_b + column, kBStride, stage_depth);
    }
  }
  block_barrier();
}

// Calls at(row, column, value) for the sums of the tile's first [rows, columns], a warp for neighbouring columns of a row, so that
// stores coalesce wherever a view starts. Takes shared memory; sums are gone.
template <int kColumns, class At>
__device__ __forceinline__ void each_sum(TileSums<kColumns>& sums, float* shared, int rows, int columns, const At& at) {
  constexpr int kStride = kSumsStride<kColumns>;
  float* mine = shared + warp() / 2 * 32 * kStride + warp() % 2 * (kColumns / 2);
  sums.each([&](int row, int column, float value) { mine[row * kStride + column] = value; });
  block_barrier();
  const int column = static_cast<int>(threadIdx.x) % kColumns;
  if (column < columns)
    for (int row = static_cast<int>(threadIdx.x) / kColumns; row < rows; row += kTileThreads / kColumns)
      at(row, column, shared[row * kStride + column]);
}

// The least of two numbers, as an int: what is left of a tile.
__device__ __forceinline__ int least(int64_t left, int most) { return left < most ? static_cast<int>(left) : most; }

// work(constant) with the precision as a constant: constant.value.
template <Precision kPrecision>
struct PrecisionConstant {
  static constexpr Precision value = kPrecision;
};
template <class Work>
void with_precision(Precision precision, const Work& work) {
  switch (precision) {
    case Precision::kFloat32: return work(PrecisionConstant<Precision::kFloat32>{});
    case Precision::kTf32: return work(PrecisionConstant<Precision::kTf32>{});
    case Precision::kBfloat16: return work(PrecisionConstant<Precision::kBfloat16>{});
  }
}

}  // namespace mg_cuda
