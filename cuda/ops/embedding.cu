// The gather: rows of a table, or means or sums of them, into columns of an activation. See ops.h; the update is embedding_update.cu.
//
// 2^log neighbouring lanes move a row, 16 bytes each where dim and y allow it; a warp has 32 / 2^log rows of y under way, and twice as
// many of the table. Bytes per row of y: 4 length (ids), 4 dim per id that counts, 4 dim out.
#include <algorithm>

#include "cuda/ops/pieces.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 128;         // small blocks: a batch of thousands of short rows still meets every multiprocessor
constexpr int64_t kMostBlocks = 1 << 20;
constexpr int kRowsAtOnce = 2;        // single ids: of a group of lanes; the id and then the row are two waits for memory
constexpr int kIdsAtOnce = 4;         // of a bag

// y[rows, dim] = table[ids], table [any, dim], ids [rows, 1]
template <int kFloats>
__global__ void gather_kernel(RowSplit split, int64_t rows, int64_t dim, const float* table, IdPointer ids, RowPointer y) {
  const int64_t step = split.row_step();
  for (int64_t first = split.row(); first < rows; first += kRowsAtOnce * step) {
    int32_t id[kRowsAtOnce];
#pragma unroll
    for (int u = 0; u < kRowsAtOnce; u++) id[u] = first + u * step < rows ? ids.data[(first + u * step) * ids.stride] : 0;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) {
      Piece<kFloats> piece[kRowsAtOnce];  // row 0 of the table beyond the last row of y: it exists
#pragma unroll
      for (int u = 0; u < kRowsAtOnce; u++) piece[u] = load_piece<kFloats>(table + id[u] * dim + c * kFloats);
#pragma unroll
      for (int u = 0; u < kRowsAtOnce; u++)
        if (first + u * step < rows) store_piece(y.data + (first + u * step) * y.stride + c * kFloats, piece[u]);
    }
  }
}

// y[rows, dim] = the sum of table[id] over the ids != 0 of a row, in their order, and with `mean` divided by their number; 0 without
// any. ids [rows, length].
template <int kFloats>
__global__ void gather_bags_kernel(RowSplit split, int64_t rows, int64_t dim, const float* table, IdPointer ids, int64_t length, bool mean,
                                   RowPointer y) {
  for (int64_t row = split.row(); row < rows; row += split.row_step()) {
    const int32_t* const own = ids.data + row * ids.stride;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) {
      Piece<kFloats> sum{};
      int count = 0;
      for (int64_t from = 0; from < length; from += kIdsAtOnce) {
        int32_t id[kIdsAtOnce];
        Piece<kFloats> piece[kIdsAtOnce];
#pragma unroll
        for (int u = 0; u < kIdsAtOnce; u++) id[u] = from + u < length ? own[from + u] : 0;
#pragma unroll
        for (int u = 0; u < kIdsAtOnce; u++)
          if (id[u] != 0) piece[u] = load_piece<kFloats>(table + id[u] * dim + c * kFloats);
#pragma unroll
        for (int u = 0; u < kIdsAtOnce; u++)
          if (id[u] != 0) add_piece(sum, piece[u], 1), count++;
      }
      if (mean && count > 0) {
        const float scale = 1.0f / static_cast<float>(count);
#pragma unroll
        for (int k = 0; k < kFloats; k++) sum.at[k] *= scale;
      }
      store_piece(y.data + row * y.stride + c * kFloats, sum);
    }
  }
}

struct Gather final : Op {
  mg_view table, ids, y;
  int64_t combiner;

  void launch(const Context& context) const override {
    const RowPointer to = context.at(y);
    if (y.width % 4 == 0 && y.offset % 4 == 0 && to.stride % 4 == 0)
      launch_with<4>(context, to);
    else
      launch_with<1>(context, to);
  }

 private:
  template <int kFloats>
  void launch_with(const Context& context, RowPointer to) const {
    const RowSplit split = split_row(y.width, kFloats);
    const int64_t groups = combiner == 0 ? blocks_of(context.rows, kRowsAtOnce) : context.rows;
    const Grid grid{static_cast<unsigned>(std::min(split.blocks(groups, kThreads), kMostBlocks))};
    if (combiner == 0)
      context.stream.launch(gather_kernel<kFloats>, grid, kThreads, 0, split, context.rows, y.width, context.elements(table), context.ids(ids), to);
    else
      context.stream.launch(gather_bags_kernel<kFloats>, grid, kThreads, 0, split, context.rows, y.width, context.elements(table),
                            context.ids(ids), ids.width, combiner == 1, to);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_embedding_gather& op) {
  auto compiled = std::make_unique<Gather>();
  compiled->table = op.table, compiled->ids = op.ids, compiled->y = op.y;
  compiled->combiner = op.combiner;
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
