// The two products of a backward pass; see gradients.h. Of dz [n, columns], W [depth + 1, columns] packed and x [n, depth]:
//   dx[r, k] (=, +=) sum over c of dz[r, c] W[k, c]     split[k, c] = sum over r of x[r, k] dz[r, c]     split[depth, c] = sum over r of dz[r, c]
// x and dz may start and be strided anyhow; nothing but the results is written. A block makes a tile [64 rows, 32 or 64 columns] of dx, or
// [64, 32 or 64] of a split of a slot, whose rows it sums from first to last: no sum is shared between blocks. Columns before and after
// `rounded` are added one after the other (dx) or in tiles of their own (splits).
// Per row, with C columns and D of the depth: dx reads 4 C bytes, again for each 64 of D but then mostly from the L2 cache, and writes 4 D
// for 2 C D operations; splits read 4 (C + D), x again for each 64 of C and dz for each 64 of D, for 2 C D, and write W's size once each.
// In float32 the matrix instructions do three times the operations.
#include "cuda/ops/gradients.h"

#include "cuda/ops/block_product.h"
#include "cuda/ops/narrow.h"

namespace mg_cuda {
namespace {

// Tiles follow each other along dx's columns first: blocks that run together share dz.
template <Precision kPrecision, int kColumns>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    input_gradient_kernel(int64_t rows, const float* w, int64_t w_columns, int64_t rounded, RowPointer dz, RowPointer dx, int64_t dx_columns,
                          bool accumulate) {
  float* shared = shared_memory<float>();
  const int64_t tiles = (dx_columns + kColumns - 1) / kColumns;
  const int64_t row = blockIdx.x / tiles * kTileRows, column = blockIdx.x % tiles * kColumns;
  const int tile_rows = least(rows - row, kTileRows), tile_columns = least(dx_columns - column, kColumns);
  const auto depth = static_cast<int>(rounded), rest = static_cast<int>(w_columns - rounded);
  const float *a = dz.data + row * dz.stride, *b = w + column * w_columns;
  TileSums<kColumns> sums;
  add_tile_product<kPrecision, Lines::kDepth, Lines::kDepth, kColumns>(sums, {a, dz.stride, tile_rows, depth}, {b, w_columns, tile_columns, depth},
                                                                       depth, shared);
  if constexpr (kPrecision != Precision::kFloat32)
    add_tile_product<Precision::kFloat32, Lines::kDepth, Lines::kDepth, kColumns>(
        sums, {a + depth, dz.stride, tile_rows, rest}, {b + depth, w_columns, tile_columns, rest}, rest, shared);
  float* to = dx.data + row * dx.stride + column;
  each_sum<kColumns>(sums, shared, tile_rows, tile_columns, [&](int r, int c, float value) {
    float* at = to + r * dx.stride + c;
    *at = accumulate ? *at + value : value;
  });
}

// A tile of a slot, and its part of the last row where it has the first rows.
template <Precision kPrecision, int kColumns>
__device__ __forceinline__ void weight_gradient_tile(int rows, int tile_depth, int tile_columns, const float* x, int64_t x_stride, const float* dz,
                                                     int64_t dz_stride, float* shared, float* slot, float* bias, int64_t w_columns) {
  TileSums<kColumns> sums;
  const int thread = static_cast<int>(threadIdx.x);
  const bool sums_bias = bias != nullptr && thread < tile_columns;
  float bias_sum = 0;
  add_tile_product<kPrecision, Lines::kAcross, Lines::kAcross, kColumns>(
      sums, {x, x_stride, rows, tile_depth}, {dz, dz_stride, rows, tile_columns}, rows, shared, [&](const float* stage, int stride) {
        if (!sums_bias) return;
        float sum = 0;
#pragma unroll
        for (int r = 0; r < kStageDepth; r++) sum += stage[r * stride + thread];
        bias_sum += sum;
      });
  if (sums_bias) bias[thread] = bias_sum;
  each_sum<kColumns>(sums, shared, tile_depth, tile_columns, [&](int k, int c, float value) { slot[k * w_columns + c] = value; });
}

// blockIdx.x: tiles along the columns first; blockIdx.y: splits of slots.
template <Precision kPrecision, int kColumns>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    weight_gradient_kernel(SlotSplits slots, RowPointer x, RowPointer dz, int64_t w_depth, int64_t w_columns, int64_t rounded) {
  float* shared = shared_memory<float>();
  const int64_t rounded_tiles = (rounded + kColumns - 1) / kColumns, tiles = rounded_tiles + (w_columns - rounded + kColumns - 1) / kColumns;
  const int64_t tile = blockIdx.x % tiles, depth = blockIdx.x / tiles * kTileRows;
  const bool in_float32 = tile >= rounded_tiles;
  const int64_t column = in_float32 ? rounded + (tile - rounded_tiles) * kColumns : tile * kColumns;
  const int tile_columns = least((in_float32 ? w_columns : rounded) - column, kColumns), tile_depth = least(w_depth - depth, kTileRows);
  const int64_t row = slots.row(blockIdx.y);
  const auto rows = static_cast<int>(slots.count(blockIdx.y));
  const float *from_x = x.data + row * x.stride + depth, *from_dz = dz.data + row * dz.stride + column;
  float* slot = slots.matrix(blockIdx.y) + column;
  float* bias = depth == 0 ? slot + w_depth * w_columns : nullptr;
  if (kPrecision == Precision::kFloat32 || in_float32)
    weight_gradient_tile<Precision::kFloat32, kColumns>(rows, tile_depth, tile_columns, from_x, x.stride, from_dz, dz.stride, shared,
                                                        slot + depth * w_columns, bias, w_columns);
  else
    weight_gradient_tile<kPrecision, kColumns>(rows, tile_depth, tile_columns, from_x, x.stride, from_dz, dz.stride, shared,
                                               slot + depth * w_columns, bias, w_columns);
}

// In float32 all columns are alike.
int64_t rounded_columns(const Context& context, const Weights& w) {
  return context.plan.precision == Precision::kFloat32 ? w.columns : w.rounded;
}

}  // namespace

SlotSplits slot_splits(const Context& context, const Weights& w, int64_t first_row, int64_t rows) {
  const int64_t slot_rows = context.plan.slot_rows(context.rows);
  const int64_t split_rows = blocks_of(blocks_of(slot_rows, w.splits), kStageDepth) * kStageDepth;
  return {rows, slot_rows, split_rows, w.splits, context.slot(w, first_row / slot_rows), context.plan.slot_floats, w.elements()};
}

void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, RowPointer dz, RowPointer dx, int64_t dx_columns,
                           bool accumulate) {
  if (is_narrow(w)) return launch_narrow_input_gradient(context, w, rows, dz, dx, dx_columns, accumulate);
  with_precision(context.plan.precision, [&](auto precision) {
    constexpr Precision kPrecision = decltype(precision)::value;
    const auto launch = [&](auto kernel, int columns, size_t shared_bytes) {
      const int64_t blocks = blocks_of(rows, kTileRows) * blocks_of(dx_columns, columns);
      context.stream.launch(kernel, {static_cast<unsigned>(blocks)}, kTileThreads, shared_bytes, rows, context.packed(w), w.columns,
                            rounded_columns(context, w), dz, dx, dx_columns, accumulate);
    };
    if (dx_columns <= 32)
      launch(input_gradient_kernel<kPrecision, 32>, 32, tile_shared_bytes<kPrecision, Lines::kDepth, Lines::kDepth, 32>());
    else
      launch(input_gradient_kernel<kPrecision, 64>, 64, tile_shared_bytes<kPrecision, Lines::kDepth, Lines::kDepth, 64>());
  });
}

void launch_weight_gradient(const Context& context, const Weights& w, int64_t first_row, int64_t rows, RowPointer x, RowPointer dz) {
  if (is_narrow(w)) return launch_narrow_weight_gradient(context, w, first_row, rows, x, dz);
  const SlotSplits slots = slot_splits(context, w, first_row, rows);
  const int64_t rounded = rounded_columns(context, w);
  with_precision(context.plan.precision, [&](auto precision) {
    constexpr Precision kPrecision = decltype(precision)::value;
    const auto launch = [&](auto kernel, int columns, size_t shared_bytes) {
      const int64_t tiles = (blocks_of(rounded, columns) + blocks_of(w.columns - rounded, columns)) * blocks_of(w.depth, kTileRows);
      context.stream.launch(kernel, {static_cast<unsigned>(tiles), slots.blocks()}, kTileThreads, shared_bytes, slots, x, dz, w.depth,
                            w.columns, rounded);
    };
    if (rounded <= 32 && w.columns - rounded <= 32)
      launch(weight_gradient_kernel<kPrecision, 32>, 32, tile_shared_bytes<kPrecision, Lines::kAcross, Lines::kAcross, 32>());
    else
      launch(weight_gradient_kernel<kPrecision, 64>, 64, tile_shared_bytes<kPrecision, Lines::kAcross, Lines::kAcross, 64>());
  });
}

}  // namespace mg_cuda
