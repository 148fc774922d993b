// The two products of a backward pass; see gradients.h. From dz [n, columns], W [depth + 1, columns] packed and x [n, depth]:
//   dx[r, k] (=, +=) sum over c of dz[r, c] W[k, c]     split[k, c] = sum over r of x[r, k] dz[r, c]     split[depth, c] = sum over r of dz[r, c]
// x and dz may have any start and stride, except dz in bfloat16. Only the results are written. A block computes a tile [rows, columns] of dx, or
// [depth, columns] of a split, over all columns or all of the split's rows, from first to last: blocks share no sum. Columns from
// `rounded` on are added after the others (dx) or have separate tiles (splits), half as wide, because their float32 products take several times
// as long. Per row, with C columns and D of the depth: dx reads 4 C bytes, again for each 128 of D, and W's 4 C D for each 64 rows, and writes 4 D
// for 2 C D operations; splits read 4 (C + D), x again for each 128 of C and dz for each 128 of D, mostly from the L2 cache, for 2 C D, and write W's
// size once each. In float32 the matrix instructions do three times as many operations.
#include "cuda/ops/gradients.h"

#include <algorithm>

#include "cuda/ops/block_product.h"
#include "cuda/ops/narrow.h"

namespace mg_cuda {
namespace {

// Tiles advance along dx's columns first, so that concurrent blocks share dz.
template <Precision kPrecision, class Tile, class Number>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    input_gradient_kernel(int64_t rows, const float* w, int w_columns, int rounded, Dz dz, RowPointer dx, int dx_columns, bool accumulate,
                          PointwiseRows epilogue) {
  begin_kernel();
  // Calls work(row, column, rows, columns) for the tile.
  const auto locate = [&](unsigned block, const auto& work) {
    const unsigned tiles = static_cast<unsigned>(dx_columns + Tile::kColumns - 1) / Tile::kColumns;
    const int64_t row = static_cast<int64_t>(block / tiles) * Tile::kRows;
    const int column = static_cast<int>(block % tiles) * Tile::kColumns;
    work(row, column, least(rows - row, Tile::kRows), least(dx_columns - column, Tile::kColumns));
  };
  float* shared = shared_memory<float>();
  TileSums<Tile> sums;
  locate(blockIdx.x, [&](int64_t row, int column, int tile_rows, int tile_columns) {
    constexpr bool kRest = kPrecision != Precision::kFloat32;
    const GlobalTile<> weights{w + static_cast<int64_t>(column) * w_columns, w_columns, tile_columns, w_columns};
    GlobalTile<> exact{dz.exact.data + row * dz.exact.stride, dz.exact.stride, tile_rows, dz.columns};
    if constexpr (std::is_same_v<Number, float>) {
      add_tile_product<Tile, kPrecision, Lines::kDepth, Lines::kDepth, kRest>(sums, exact, weights, w_columns, rounded, shared);
    } else {
      exact.width -= rounded;
      const GlobalTile<Bfloat16> first{dz.rounded + row * dz.rounded_stride, dz.rounded_stride, tile_rows, rounded};
      add_tile_product<Tile, kPrecision, Lines::kDepth, Lines::kDepth, kRest>(sums, first, weights, w_columns, rounded, shared, false, exact);
    }
  });
  sums.join(shared);
  locate(block_again(), [&](int64_t row, int column, int tile_rows, int tile_columns) {
    if (epilogue.y.data == nullptr)
      return sums.template store<false>(dx.data + row * dx.stride + column, dx.stride, tile_rows, tile_columns, accumulate);
    const Counters counters = epilogue.counters();
    const bool aligned = moves_quads(dx.data, dx.stride);
    sums.spread(shared, tile_rows, tile_columns, [&](int c, int left, const auto& each_row) {
      each_row([&](int r, Quad value) {
        float* const at = dx.data + (row + r) * dx.stride + column + c;
        if (accumulate) add_quad(value, load_quad(at, left, aligned));
        if (epilogue.keeps_x) store_quad(at, value, left, aligned);
        epilogue.store(epilogue.halves(counters, row + r, column + c), row + r, column + c, value, left);
      });
    });
  });
}

// How a weight gradient is divided into tiles of the plan's precision and tiles of float32.
template <class RoundedTile, class ExactTile>
struct Division {
  using Rounded = RoundedTile;
  using Exact = ExactTile;
  static_assert(Rounded::kThreads == Exact::kThreads && Rounded::kRows == Exact::kRows);
};

// The tile of a block of a weight gradient: its start and its remaining columns.
struct GradientTile {
  int depth, column, columns, first;  // first: first column of its precision
  bool exact;

  // Tiles advance along the columns, those of float32 first.
  template <class Division>
  static __device__ __forceinline__ GradientTile of(unsigned block, int dz_columns, int rounded) {
    const unsigned exact_tiles = static_cast<unsigned>(dz_columns - rounded + Division::Exact::kColumns - 1) / Division::Exact::kColumns;
    const unsigned tiles = exact_tiles + static_cast<unsigned>(rounded + Division::Rounded::kColumns - 1) / Division::Rounded::kColumns;
    const unsigned tile = block % tiles;
    const bool exact = tile < exact_tiles;
    const int depth = static_cast<int>(block / tiles) * Division::Rounded::kRows;
    const int column =
        exact ? rounded + static_cast<int>(tile) * Division::Exact::kColumns : static_cast<int>(tile - exact_tiles) * Division::Rounded::kColumns;
    return {depth, column, (exact ? dz_columns : rounded) - column, exact ? rounded : 0, exact};
  }
};

// A tile's columns of dz, from `row` on.
template <class Number>
__device__ __forceinline__ GlobalTile<Number> columns_of(const Dz& dz, int64_t row, const GradientTile& tile, int rows, int most) {
  const int columns = least(tile.columns, most);
  if constexpr (!std::is_same_v<Number, float>)
    return {dz.rounded + row * dz.rounded_stride + tile.column, dz.rounded_stride, rows, columns};
  else
    return {dz.exact.data + row * dz.exact.stride + tile.column - (dz.rounded == nullptr ? 0 : tile.first), dz.exact.stride, rows, columns};
}

// A tile of the block's unit. The tile with the first rows also computes its part of the last row.
template <Precision kPrecision, class Tile, class Number, class Locate>
__device__ __forceinline__ void weight_gradient_tile(const Splits& splits, RowPointer x, const Dz& dz, int w_depth, int w_columns,
                                                     const Locate& locate) {
  float* shared = shared_memory<float>();
  TileSums<Tile> sums;
  {
    const GradientTile tile = locate(blockIdx.x);
    const int64_t row = splits.row(blockIdx.y);
    const int rows = splits.size(blockIdx.y);
    add_tile_product<Tile, kPrecision, Lines::kAcross, Lines::kAcross>(
        sums, GlobalTile<>{x.data + row * x.stride + tile.depth, x.stride, rows, least(w_depth - tile.depth, Tile::kRows)},
        columns_of<Number>(dz, row, tile, rows, Tile::kColumns), rows, rows, shared,
        tile.depth == 0 && Tile::row(static_cast<int>(threadIdx.x)) == 0);
  }
  sums.join(shared);
  const GradientTile tile = locate(block_again());
  const bool adds = splits.is_added(blockIdx.y);
  float* const to = splits.matrix(blockIdx.y) + tile.column;
  sums.template store<true>(to + static_cast<int64_t>(tile.depth) * w_columns, w_columns, least(w_depth - tile.depth, Tile::kRows),
                            (tile.columns + 3) / 4 * 4, adds);
  const int thread = thread_again();
  if constexpr (!std::is_same_v<Number, float>) {
    if (tile.depth != 0 || thread >= Tile::kColumns || thread >= tile.columns) return;
    const int64_t stride = dz.rounded_stride;
    const float* at = dz.sums + splits.row(blockIdx.y) / dz.rows_of_sum * stride + tile.column + thread;
    const int rows = splits.size(blockIdx.y);
    float bias = 0;
#pragma unroll 4
    for (int i = 0; i < rows; i += dz.rows_of_sum, at += stride) bias += *at;
    float* const last = to + static_cast<int64_t>(w_depth) * w_columns + thread;
    *last = adds ? *last + bias : bias;
    return;
  }
  if (tile.depth != 0 || Tile::row(thread) != 0) return;
  Quad bias;
#pragma unroll
  for (int j = 0; j < 4; j++) {
    bias.column[j] = sums.of_b[j] + shuffle_xor(sums.of_b[j], 1);
    bias.column[j] += shuffle_xor(bias.column[j], 2);
  }
  const int c = Tile::column(thread) + first_place(thread % kWarp / 4);
  if (thread % 4 != 0 || Tile::part(thread) != 0 || c >= tile.columns) return;
  auto* const last = reinterpret_cast<Quad*>(to + static_cast<int64_t>(w_depth) * w_columns + c);
  if (adds) add_quad(bias, *last);
  *last = bias;
}

// blockIdx.y: units. rounded: of dz's columns.
template <Precision kPrecision, class Division, class Number>
__global__ void __launch_bounds__(Division::Rounded::kThreads, Division::Rounded::kBlocks)
    weight_gradient_kernel(Splits splits, RowPointer x, Dz dz, int w_depth, int w_columns, int rounded) {
  begin_kernel();
  const auto locate = [&](unsigned block) {
    return GradientTile::of<Division>(block, kPrecision == Precision::kFloat32 ? rounded : dz.columns, rounded);
  };
  if (kPrecision == Precision::kFloat32 || !locate(blockIdx.x).exact)
    weight_gradient_tile<kPrecision, typename Division::Rounded, Number>(splits, x, dz, w_depth, w_columns, locate);
  else
    weight_gradient_tile<Precision::kFloat32, typename Division::Exact, float>(splits, x, dz, w_depth, w_columns, locate);
}

// In float32 all columns have the same precision.
int64_t rounded_columns(Precision precision, const Weights& w) { return precision == Precision::kFloat32 ? w.columns : w.rounded; }

// Calls work(precision, division), a constant and a type for the kernel to launch.
template <class Work>
void with_division(Precision precision, const Weights& w, const Work& work) {
  const int64_t rounded = rounded_columns(precision, w), exact = w.columns - rounded;
  with_precision(precision, [&](auto constant) {
    constexpr bool kExact = decltype(constant)::value == Precision::kFloat32;
    if (rounded <= 32 && exact <= 32) return work(constant, Type<Division<Tile<2, 2, 1, 2>, Tile<2, 2, 1, 2>>>{});
    if (rounded <= 64 || w.depth <= 64) return work(constant, Type<Division<Tile<2, 2, 2>, Tile<2, 2, 1, 2>>>{});
    if constexpr (kExact)
      work(constant, Type<Division<Tile<2, 4, 2>, Tile<2, 4, 1, 2>>>{});
    else  // limited by L2 reads, so use the largest tiles
      work(constant, Type<Division<Tile<2, 4, 4>, Tile<2, 4, 2, 2>>>{});
  });
}

// Calls work(type) with the type of dz's rounded numbers.
template <Precision kPrecision, class Work>
void with_number(const Dz& dz, const Work& work) {
  if constexpr (kPrecision == Precision::kBfloat16)
    if (dz.rounded != nullptr) return work(Type<Bfloat16>{});
  work(Type<float>{});
}

template <class Division>
int64_t tiles_of(const Weights& w, int64_t rounded) {
  return (blocks_of(rounded, Division::Rounded::kColumns) + blocks_of(w.columns - rounded, Division::Exact::kColumns)) *
         blocks_of(w.depth, Division::Rounded::kRows);
}

}  // namespace

int64_t gradient_threads(Precision precision, const Weights& w) {
  if (is_narrow(w)) return narrow_gradient_threads(w);
  int64_t threads = 0;
  with_division(precision, w, [&](auto, auto division) {
    using Of = typename decltype(division)::Is;
    threads = tiles_of<Of>(w, rounded_columns(precision, w)) * Of::Rounded::kThreads;
  });
  return threads;
}

Splits splits_of(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row, int64_t rows) {
  const int64_t count = context.plan.splits(w, context.rows);
  const int64_t unit_rows = unit > 0 ? unit : blocks_of(blocks_of(rows, count), kStageDepth) * kStageDepth;
  return {static_cast<int>(rows),
          static_cast<int>(unit_rows),
          static_cast<int>(count),
          static_cast<int>(first_row / unit_rows),
          context.splits(gradient),
          w.elements(),
          gradient.adds};
}

void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, const Dz& dz, RowPointer dx, int64_t dx_columns, bool accumulate,
                           const PointwiseRows& epilogue) {
  if (is_narrow(w)) return launch_narrow_input_gradient(context, w, rows, dz, dx, dx_columns, accumulate, epilogue);
  with_precision(context.plan.precision, [&](auto precision) {
    constexpr Precision kPrecision = decltype(precision)::value;
    const auto launch = [&](auto type) {
      using Of = typename decltype(type)::Is;
      const int64_t blocks = blocks_of(rows, Of::kRows) * blocks_of(dx_columns, Of::kColumns);
      with_number<kPrecision>(dz, [&](auto number) {
        context.stream.launch(input_gradient_kernel<kPrecision, Of, typename decltype(number)::Is>, {static_cast<unsigned>(blocks)}, Of::kThreads,
                              tile_shared_bytes<Of, Lines::kDepth, Lines::kDepth>(), rows, context.packed(w), static_cast<int>(w.columns),
                              static_cast<int>(rounded_columns(kPrecision, w)), dz, dx, static_cast<int>(dx_columns), accumulate, epilogue);
      });
    };
    if (dx_columns <= 32)
      launch(Type<Tile<2, 2, 1, 2>>{});
    else if (dx_columns <= 64)
      launch(Type<Tile<2, 2, 2>>{});
    else
      launch(Type<Tile<2, 2, 4>>{});
  });
}

void launch_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row, int64_t rows,
                            RowPointer x, const Dz& dz) {
  if (is_narrow(w)) return launch_narrow_weight_gradient(context, w, gradient, unit, first_row, rows, x, dz);
  const Splits splits = splits_of(context, w, gradient, unit, first_row, rows);
  with_division(context.plan.precision, w, [&](auto precision, auto type) {
    constexpr Precision kPrecision = decltype(precision)::value;
    using Of = typename decltype(type)::Is;
    constexpr size_t kRoundedBytes = tile_shared_bytes<typename Of::Rounded, Lines::kAcross, Lines::kAcross>();
    const int64_t rounded = rounded_columns(kPrecision, w);
    with_number<kPrecision>(dz, [&](auto number) {
      splits.each_launch([&](const Splits& launch) {
        context.stream.launch(weight_gradient_kernel<kPrecision, Of, typename decltype(number)::Is>,
                              {static_cast<unsigned>(tiles_of<Of>(w, rounded)), static_cast<unsigned>(launch.blocks())}, Of::Rounded::kThreads,
                              kRoundedBytes, launch, x, dz, static_cast<int>(w.depth), static_cast<int>(w.columns),
                              std::min(static_cast<int>(rounded), dz.columns));
      });
    });
  });
}

}  // namespace mg_cuda
