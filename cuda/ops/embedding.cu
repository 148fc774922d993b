// The gather: copies rows of a table, or their means or sums, into columns of an activation, for all tables in one launch. See ops.h.
// Ids that are not pooled are one gather per column of ids. embedding_update.cu has the update.
//
// 2^log neighbouring lanes move a row, 16 bytes each if dim and y allow it. A warp processes 32 / 2^log rows of y at a time, and twice
// as many of the table. Bytes per row of y: 4 length (ids), 4 dim per id that counts, 4 dim out.
#include <algorithm>
#include <array>

#include "cuda/ops/gathered.h"
#include "cuda/ops/joined.h"
#include "cuda/ops/pieces.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 128;  // small blocks: thousands of short rows still use every multiprocessor
constexpr int64_t kMostBlocks = 1 << 20;
constexpr int kRowsAtOnce = 2;  // rows per group of lanes, for single ids: the id and then the row are two memory latencies
constexpr int kIdsAtOnce = 4;   // for bags

struct GatheredRows {
  RowSplit split;
  int64_t dim;
  const float* table;  // [any, dim]
  IdPointer ids;       // [rows, length]
  RowPointer y;        // [rows, dim]
  int32_t length, combiner;
};

// y = table[ids], ids [rows, 1]
template <int kFloats>
__device__ __forceinline__ void gather_rows(const GatheredRows& own, int64_t rows) {
  const auto& [split, dim, table, ids, y, length, combiner] = own;
  const int64_t step = split.row_step();
  for (int64_t first = split.row(); first < rows; first += kRowsAtOnce * step) {
    int32_t id[kRowsAtOnce];
#pragma unroll
    for (int u = 0; u < kRowsAtOnce; u++) id[u] = first + u * step < rows ? ids.data[(first + u * step) * ids.stride] : 0;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) {
      Piece<kFloats> piece[kRowsAtOnce];  // beyond the last row of y: row 0 of the table, which exists
#pragma unroll
      for (int u = 0; u < kRowsAtOnce; u++) piece[u] = load_piece<kFloats>(table + id[u] * dim + c * kFloats);
#pragma unroll
      for (int u = 0; u < kRowsAtOnce; u++)
        if (first + u * step < rows) store_piece(y.data + (first + u * step) * y.stride + c * kFloats, piece[u]);
    }
  }
}

// y = the sum of table[id] over the ids != 0 of a row, in order; combiner 1 divides by their number. 0 without ids.
template <int kFloats>
__device__ __forceinline__ void gather_bags(const GatheredRows& own, int64_t rows) {
  const auto& [split, dim, table, ids, y, length, combiner] = own;
  for (int64_t row = split.row(); row < rows; row += split.row_step()) {
    const int32_t* const own = ids.data + row * ids.stride;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) {
      Piece<kFloats> sum{};
      int count = 0;
      for (int32_t from = 0; from < length; from += kIdsAtOnce) {
        int32_t id[kIdsAtOnce];
        Piece<kFloats> piece[kIdsAtOnce]{};
#pragma unroll
        for (int u = 0; u < kIdsAtOnce; u++) id[u] = from + u < length ? own[from + u] : 0;
#pragma unroll
        for (int u = 0; u < kIdsAtOnce; u++)
          if (id[u] != 0) piece[u] = load_piece<kFloats>(table + id[u] * dim + c * kFloats);
#pragma unroll
        for (int u = 0; u < kIdsAtOnce; u++)
          if (id[u] != 0) add_piece(sum, piece[u], 1), count++;
      }
      if (combiner == MG_MEAN && count > 0) {
        const float scale = 1.0f / static_cast<float>(count);
#pragma unroll
        for (int k = 0; k < kFloats; k++) sum.at[k] *= scale;
      }
      store_piece(y.data + row * y.stride + c * kFloats, sum);
    }
  }
}

// One grid row per gather.
template <int kFloats>
__global__ void gather_kernel(Some<GatheredRows> gathers, int64_t rows) {
  begin_kernel();
  const GatheredRows& own = gathers.items[blockIdx.y];
  if (own.combiner == MG_SINGLE)
    gather_rows<kFloats>(own, rows);
  else
    gather_bags<kFloats>(own, rows);
}

struct Gather : SimpleItem {
  mg_view table, ids, y;
  int64_t combiner;
  bool aligned;  // y, and so the table, is aligned

  Gather(const PlanBuilder& builder, const mg_view& from, const Gathered& one)
      : table(from),
        ids(one.ids),
        y(one.columns),
        combiner(one.combiner),
        aligned(y.width % 4 == 0 && y.offset % 4 == 0 && builder.plan.stride(y.buffer) % 4 == 0) {}

  std::array<mg_view, 0> reads() const { return {}; }
  std::array<mg_view, 1> writes() const { return {y}; }

  // Gathers with the same piece width share a launch.
  static void launch(const Context& context, const std::vector<Gather>& gathers) {
    launch_some<4>(context, gathers);
    launch_some<1>(context, gathers);
  }

 private:
  RowSplit split() const { return split_row(y.width, aligned ? 4 : 1); }
  int64_t blocks(int64_t rows) const { return split().blocks(combiner == MG_SINGLE ? blocks_of(rows, kRowsAtOnce) : rows, kThreads); }

  template <int kFloats>
  static void launch_some(const Context& context, const std::vector<Gather>& all) {
    std::vector<Gather> gathers;
    std::copy_if(all.begin(), all.end(), std::back_inserter(gathers), [](const Gather& gather) { return gather.aligned == (kFloats == 4); });
    int64_t most = 1;
    for (const Gather& gather : gathers) most = std::max(most, gather.blocks(context.rows));
    const auto blocks = static_cast<unsigned>(std::min(most, kMostBlocks));
    for_some(
        gathers,
        [&](const Gather& g) {
          return GatheredRows{g.split(),
                              g.y.width,
                              context.elements(g.table),
                              context.ids(g.ids),
                              context.at(g.y),
                              static_cast<int32_t>(g.ids.width),
                              static_cast<int32_t>(g.combiner)};
        },
        [&](const Some<GatheredRows>& some, unsigned count) {
          context.stream.launch(gather_kernel<kFloats>, {blocks, count}, kThreads, 0, some, context.rows);
        });
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_embedding_gather& op) {
  each_gathered(op.ids, op.combiner, op.y,
                [&](const Gathered& one) { builder.add(std::make_unique<Joined<Gather>>(Gather(builder, op.table, one))); });
}

}  // namespace mg_cuda
