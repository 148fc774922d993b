// The two products of a backward pass; see gradients.h. Of dz [n, columns], W [depth + 1, columns] packed and x [n, depth]:
//   dx[r, k] (=, +=) sum over c of dz[r, c] W[k, c]     split[k, c] = sum over r of x[r, k] dz[r, c]     split[depth, c] = sum over r of dz[r, c]
// x and dz may start and be strided anyhow; nothing but the results is written. A block makes a tile [rows, columns] of dx or [depth, columns]
// of a split, over all columns or all of the split's rows, from first to last: no sum is shared between blocks. Columns from `rounded` on are added
// after the others (dx) or are tiles of their own (splits), a quarter as wide, since their products in float32 take several times as long.
// Per row, with C columns and D of the depth: dx reads 4 C bytes, again for each 128 of D, and W's 4 C D for each 64 rows, and writes 4 D for 2 C D
// operations; splits read 4 (C + D), x again for each 128 of C and dz for each 128 of D, mostly from the L2 cache, for 2 C D, and write W's size
// once each. In float32 the matrix instructions do three times the operations.
#include "cuda/ops/gradients.h"

#include "cuda/ops/block_product.h"
#include "cuda/ops/narrow.h"

namespace mg_cuda {
namespace {

// Tiles follow each other along dx's columns first: blocks that run together share dz.
template <Precision kPrecision, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    input_gradient_kernel(int64_t rows, const float* w, int w_columns, int rounded, RowPointer dz, RowPointer dx, int dx_columns, bool accumulate) {
  const unsigned tiles = static_cast<unsigned>(dx_columns + Tile::kColumns - 1) / Tile::kColumns;
  const int64_t row = static_cast<int64_t>(blockIdx.x / tiles) * Tile::kRows;
  const int column = static_cast<int>(blockIdx.x % tiles) * Tile::kColumns;
  const int tile_rows = least(rows - row, Tile::kRows), tile_columns = least(dx_columns - column, Tile::kColumns);
  float* shared = shared_memory<float>();
  TileSums<Tile> sums;
  add_tile_product<Tile, kPrecision, Lines::kDepth, Lines::kDepth, kPrecision != Precision::kFloat32>(
      sums, {dz.data + row * dz.stride, dz.stride, tile_rows, w_columns},
      {w + static_cast<int64_t>(column) * w_columns, w_columns, tile_columns, w_columns}, w_columns, rounded, shared);
  sums.join(shared);
  float* const to = dx.data + row * dx.stride + column;
  const bool aligned = moves_quads(to, dx.stride);
  sums.each([&](int r, int c, const Quad& quad) {
    if (r < tile_rows) store_quad(to + r * dx.stride + c, quad, tile_columns - c, aligned, accumulate);
  });
}

// A tile of a split, and its part of the last row where it has the first rows.
template <Precision kPrecision, class Tile>
__device__ __forceinline__ void weight_gradient_tile(const Splits& splits, RowPointer x, RowPointer dz, int w_depth, int w_columns, int depth, int column,
                                                     int columns) {
  const int64_t row = splits.row(blockIdx.y);
  const auto rows = static_cast<int>(splits.size(blockIdx.y));
  if (rows == 0 && splits.adds) return;
  const int tile_depth = least(w_depth - depth, Tile::kRows), tile_columns = least(columns, Tile::kColumns);
  const bool sums_bias = depth == 0 && Tile::row() == 0;
  float* shared = shared_memory<float>();
  TileSums<Tile> sums;
  add_tile_product<Tile, kPrecision, Lines::kAcross, Lines::kAcross>(sums, {x.data + row * x.stride + depth, x.stride, rows, tile_depth},
                                                                     {dz.data + row * dz.stride + column, dz.stride, rows, tile_columns}, rows, rows,
                                                                     shared, sums_bias);
  sums.join(shared);
  float* const to = splits.matrix(blockIdx.y) + column;
  sums.each([&](int k, int c, const Quad& quad) {
    if (k < tile_depth) store_quad(to + static_cast<int64_t>(depth + k) * w_columns + c, quad, tile_columns - c, true, splits.adds);
  });
  if (!sums_bias) return;
  Quad bias;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    bias.column[j] = sums.of_b[j] + shuffle_xor(sums.of_b[j], 1);
    bias.column[j] += shuffle_xor(bias.column[j], 2);
  }
  const int c = Tile::column() + first_place(lane() / 4);
  if (lane() % 4 == 0 && Tile::part() == 0) store_quad(to + static_cast<int64_t>(w_depth) * w_columns + c, bias, tile_columns - c, true, splits.adds);
}

// How a weight gradient is divided: tiles of the plan's precision, and of float32.
template <class RoundedTile, class ExactTile>
struct Division {
  using Rounded = RoundedTile;
  using Exact = ExactTile;
  static_assert(Rounded::kThreads == Exact::kThreads && Rounded::kRows == Exact::kRows);
};

// blockIdx.x: tiles along the columns first, those of float32 in front; blockIdx.y: splits.
template <Precision kPrecision, class Division>
__global__ void __launch_bounds__(Division::Rounded::kThreads, Division::Rounded::kBlocks)
    weight_gradient_kernel(Splits splits, RowPointer x, RowPointer dz, int w_depth, int w_columns, int rounded) {
  using Rounded = typename Division::Rounded;
  using Exact = typename Division::Exact;
  const int exact_tiles = (w_columns - rounded + Exact::kColumns - 1) / Exact::kColumns;
  const int tiles = exact_tiles + (rounded + Rounded::kColumns - 1) / Rounded::kColumns;
  const int tile = static_cast<int>(blockIdx.x) % tiles, depth = static_cast<int>(blockIdx.x) / tiles * Rounded::kRows;
  if (tile >= exact_tiles) {
    const int column = (tile - exact_tiles) * Rounded::kColumns;
    weight_gradient_tile<kPrecision, Rounded>(splits, x, dz, w_depth, w_columns, depth, column, rounded - column);
  } else if constexpr (kPrecision != Precision::kFloat32) {
    const int column = rounded + tile * Exact::kColumns;
    weight_gradient_tile<Precision::kFloat32, Exact>(splits, x, dz, w_depth, w_columns, depth, column, w_columns - column);
  }
}

// In float32 all columns are alike.
int64_t rounded_columns(Precision precision, const Weights& w) { return precision == Precision::kFloat32 ? w.columns : w.rounded; }

// work(precision, division), a constant and a type of the kernel to launch.
template <class Work>
void with_division(Precision precision, const Weights& w, const Work& work) {
  const int64_t rounded = rounded_columns(precision, w), exact = w.columns - rounded;
  with_precision(precision, [&](auto constant) {
    constexpr bool kExact = decltype(constant)::value == Precision::kFloat32;
    if (rounded <= 32 && exact <= 32) return work(constant, Type<Division<Tile<2, 2, 1, 2>, Tile<2, 2, 1, 2>>>{});
    if (rounded <= 64 || w.depth <= 64) return work(constant, Type<Division<Tile<2, 2, 2>, Tile<2, 2, 1, 2>>>{});
    if constexpr (kExact)  // sums of sixteen on their own take registers too
      work(constant, Type<Division<Tile<2, 4, 2>, Tile<2, 4, 1, 2>>>{});
    else
      work(constant, Type<Division<Tile<4, 2, 4>, Tile<2, 4, 1, 2>>>{});
  });
}

template <class Division>
int64_t tiles_of(const Weights& w, int64_t rounded) {
  return (blocks_of(rounded, Division::Rounded::kColumns) + blocks_of(w.columns - rounded, Division::Exact::kColumns)) *
         blocks_of(w.depth, Division::Rounded::kRows);
}

}  // namespace

int64_t gradient_tiles(Precision precision, const Weights& w) {
  if (is_narrow(w)) return narrow_gradient_tiles(w);
  int64_t tiles = 0;
  with_division(precision, w, [&](auto, auto division) { tiles = tiles_of<typename decltype(division)::Is>(w, rounded_columns(precision, w)); });
  return tiles;
}

Splits splits_of(const Context& context, const Weights& w, int64_t first_row, int64_t rows) {
  const int64_t count = context.plan.splits(w, context.rows), split_rows = blocks_of(blocks_of(rows, count), kStageDepth) * kStageDepth;
  return {rows, split_rows, count, context.splits(w), w.elements(), first_row > 0};
}

void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, RowPointer dz, RowPointer dx, int64_t dx_columns,
                           bool accumulate) {
  if (is_narrow(w)) return launch_narrow_input_gradient(context, w, rows, dz, dx, dx_columns, accumulate);
  with_precision(context.plan.precision, [&](auto precision) {
    constexpr Precision kPrecision = decltype(precision)::value;
    const auto launch = [&](auto type) {
      using Of = typename decltype(type)::Is;
      const int64_t blocks = blocks_of(rows, Of::kRows) * blocks_of(dx_columns, Of::kColumns);
      context.stream.launch(input_gradient_kernel<kPrecision, Of>, {static_cast<unsigned>(blocks)}, Of::kThreads,
                            tile_shared_bytes<Of, Lines::kDepth, Lines::kDepth>(), rows, context.packed(w), static_cast<int>(w.columns),
                            static_cast<int>(rounded_columns(kPrecision, w)), dz, dx, static_cast<int>(dx_columns), accumulate);
    };
    if (dx_columns <= 32)
      launch(Type<Tile<2, 2, 1, 2>>{});
    else if (dx_columns <= 64)
      launch(Type<Tile<2, 2, 2>>{});
    else
      launch(Type<Tile<2, 2, 4>>{});
  });
}

void launch_weight_gradient(const Context& context, const Weights& w, int64_t first_row, int64_t rows, RowPointer x, RowPointer dz) {
  if (is_narrow(w)) return launch_narrow_weight_gradient(context, w, first_row, rows, x, dz);
  const Splits splits = splits_of(context, w, first_row, rows);
  with_division(context.plan.precision, w, [&](auto precision, auto type) {
    constexpr Precision kPrecision = decltype(precision)::value;
    using Of = typename decltype(type)::Is;
    constexpr size_t kRoundedBytes = tile_shared_bytes<typename Of::Rounded, Lines::kAcross, Lines::kAcross>();
    const int64_t rounded = rounded_columns(kPrecision, w);
    context.stream.launch(weight_gradient_kernel<kPrecision, Of>, {static_cast<unsigned>(tiles_of<Of>(w, rounded)), static_cast<unsigned>(splits.count)},
                          Of::Rounded::kThreads, kRoundedBytes, splits, x, dz, static_cast<int>(w.depth), static_cast<int>(w.columns),
                          static_cast<int>(rounded));
  });
}

}  // namespace mg_cuda
