// The steps of an update after the sort: sums of the gradients of equal ids, penalty, rule. See embedding_update.cu.
//
//   sum_kernel      one group of lanes per place of a table's list, active if a run or a chunk begins there: sums to the end of the run
//                   or chunk. If a whole run ends there, it updates the row; else it writes a partial sum
//   combine_kernel  one block per chunk, active if a run leaves the chunk it began in: adds the run's partial sums and updates the row
//   sweep_kernel    only for exact tables: updates all rows without a run, with gradient 0
// A table's sums depend only on its own list.
#include "cuda/ops/table_update.h"

namespace mg_cuda {
namespace {

constexpr int kAtOnce = 4;  // occurrences of a run in flight

// A block's table, the block's number in it, and the table's sorted list.
struct Own {
  const TableUpdate& table;
  const TablePlace& place;
  int64_t block, count;
  const uint32_t *keys, *values;
};

// The last of tables [range.first, range.past) whose `first` block is this block or an earlier one.
template <int64_t TablePlace::*first>
__device__ __forceinline__ Own own_table(const TableBatch& b, const TableRange& range) {
  const int64_t number = b.places[range.first].*first + blockIdx.x;
  int from = range.first;
  for (int past = range.past; past - from > 1;) {
    const int middle = (from + past) / 2;
    (b.places[middle].*first <= number ? from : past) = middle;
  }
  const TableUpdate& table = b.tables[from];
  const int64_t begin = b.rows * table.ids_before;
  const bool odd = ListToSort::passes(table.bits) % 2 != 0;
  return {table,
          b.places[from],
          number - b.places[from].*first,
          b.rows * table.ids,
          (odd ? b.keys[1] : b.keys[0]) + begin,
          (odd ? b.values[1] : b.values[0]) + begin};
}

// The first of places [from, to) whose key (every `stride`-th of a sorted list) is above `key`; `to` if there is none.
__device__ __forceinline__ int64_t first_past(const uint32_t* keys, int64_t stride, int64_t from, int64_t to, uint32_t key) {
  while (from < to) {
    const int64_t middle = (from + to) / 2;
    if (keys[middle * stride] > key)
      to = middle;
    else
      from = middle + 1;
  }
  return from;
}

// Sums columns from `column` on of the gradients of places [from, end), in order.
template <int kFloats>
__device__ __forceinline__ Piece<kFloats> sum_of(const TableBatch& b, const Own& own, int64_t from, int64_t end, int64_t column) {
  const bool has_mean = own.table.has_mean;
  const int only = own.table.feature_count > 1 ? -1 : own.table.first_feature;
  const auto rows = static_cast<uint32_t>(b.rows);
  Piece<kFloats> sum{};
  for (; from < end; from += kAtOnce) {
    Piece<kFloats> piece[kAtOnce];
    float scale[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; u++) {
      piece[u] = {}, scale[u] = 1;
      if (from + u >= end) continue;
      const uint32_t value = own.values[from + u], f = only < 0 ? value / rows : static_cast<uint32_t>(only);
      const Feature& feature = b.features[f];
      piece[u] = load_piece<kFloats>(feature.gradient + (value - f * rows) * feature.gradient_stride + column);
      if (has_mean) scale[u] = b.scale[value];
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; u++)
      if (from + u < end) add_piece(sum, piece[u], scale[u]);
  }
  return sum;
}

template <int kRule, int kFloats>
__device__ __forceinline__ void move_piece(const Own& own, int64_t row, int piece, Piece<kFloats> gradient, double& loss) {
  const TableUpdate& table = own.table;
  const int64_t at = row * table.dim + piece * kFloats;
  const Piece<kFloats> w = load_piece<kFloats>(table.to.w + at);
  if (table.partials >= 0) add_penalty(table.rates, w, gradient, loss);
  update_piece<kRule, kFloats>(table.rule, own.place.step, table.to, at, w, gradient);
}

// All threads of the block call it. `block`: the block's number over all launches of the table. `scratch`: one double per warp.
__device__ __forceinline__ void keep_loss(const TableBatch& b, const Own& own, double loss, double* scratch, int64_t block) {
  if (own.table.partials < 0) return;
  loss = block_sum(loss, scratch);
  if (threadIdx.x == 0) b.partials[own.table.partials + block] = loss;
}

// sums (=, [2 chunks, dim]), for runs that span chunks. Row 2 t: the part that begins with chunk t. Row 2 t + 1: the part that begins within
// it.
template <int kRule, int kFloats>
__global__ void sum_kernel(TableBatch b, TableRange range) {
  const Own own = own_table<&TablePlace::sum>(b, range);
  const TableUpdate& table = own.table;
  const RowSplit split = table.split;
  const int64_t i = (own.block * kSumThreads + threadIdx.x) >> split.log, chunk = i / kChunk, begin = chunk * kChunk;
  const uint32_t key = i < own.count ? own.keys[i] : table.padding;
  const bool begins = i == 0 || (i < own.count && own.keys[i - 1] != key);
  double loss = 0;
  if (key != table.padding && (begins || i == begin)) {
    const int64_t past = begin + kChunk < own.count ? begin + kChunk : own.count;
    const int64_t end = first_past(own.keys, 1, i + 1, past, key);
    const bool whole = begins && (end == own.count || own.keys[end] != key);
    if (begins && table.moved >= 0 && split.lane() == 0) b.moved[table.moved + key] = 1;
    float* const sum_row = b.sums + own.place.sums + (2 * chunk + (i > begin ? 1 : 0)) * table.dim;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) {
      const Piece<kFloats> sum = sum_of<kFloats>(b, own, i, end, c * kFloats);
      if (whole)
        move_piece<kRule, kFloats>(own, key, c, sum, loss);
      else
        store_piece(sum_row + c * kFloats, sum);
    }
  }
  keep_loss(b, own, loss, shared_memory<double>(), own.block);
}

// Group g of the block's lanes adds every groups-th partial sum of a run, from its second chunk on. Then group 0 adds the groups' sums to the
// first chunk's, in order.
template <int kRule, int kFloats>
__global__ void combine_kernel(TableBatch b, TableRange range) {
  auto* const shared = shared_memory<Piece<kFloats>>();  // [groups, lanes]
  const Own own = own_table<&TablePlace::combine>(b, range);
  const TableUpdate& table = own.table;
  const RowSplit split = table.split;
  const TableBlocks blocks = table.blocks(b.rows);
  const uint32_t* const keys = own.keys;
  const float* const sums = b.sums + own.place.sums;
  const int group = static_cast<int>(threadIdx.x) >> split.log, groups = kCombineThreads >> split.log;
  const int64_t chunks = (own.count + kChunk - 1) / kChunk;
  double loss = 0;
  for (int64_t chunk = own.block; chunk + 1 < chunks; chunk += blocks.combine) {
    const int64_t begin = chunk * kChunk;
    const uint32_t key = keys[begin + kChunk - 1];
    if (key == table.padding || keys[begin + kChunk] != key) continue;
    const bool within = keys[begin] != key;
    if (!within && begin > 0 && keys[begin - 1] == key) continue;  // it began earlier
    const int64_t end = first_past(keys, kChunk, chunk + 1, chunks, key);
    for (int from = 0; from < split.pieces; from += split.lanes()) {
      const int c = from + split.lane();
      Piece<kFloats> sum{};
      if (c < split.pieces)
#pragma unroll 4
        for (int64_t t = chunk + 1 + group; t < end; t += groups) add_piece(sum, load_piece<kFloats>(sums + 2 * t * table.dim + c * kFloats), 1);
      shared[threadIdx.x] = sum;
      block_barrier();
      if (group == 0 && c < split.pieces) {
        Piece<kFloats> all = load_piece<kFloats>(sums + (2 * chunk + (within ? 1 : 0)) * table.dim + c * kFloats);
        for (int g = 0; g < groups; g++) add_piece(all, shared[g * split.lanes() + c - from], 1);
        move_piece<kRule, kFloats>(own, key, c, all, loss);
      }
      block_barrier();
    }
  }
  keep_loss(b, own, loss, shared_memory<double>(), blocks.sum + own.block);
}

// Updates every row of an exact table that no run has updated.
template <int kRule, int kFloats>
__global__ void sweep_kernel(TableBatch b, TableRange range) {
  const Own own = own_table<&TablePlace::sweep>(b, range);
  const TableUpdate& table = own.table;
  const RowSplit split = table.split;
  const TableBlocks blocks = table.blocks(b.rows);
  double loss = 0;
  for (int64_t row = (own.block * kSumThreads + threadIdx.x) >> split.log; row < table.rows; row += blocks.sweep * kSumThreads >> split.log) {
    if (b.moved[table.moved + row] != 0) continue;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) move_piece<kRule, kFloats>(own, row, c, {}, loss);
  }
  keep_loss(b, own, loss, shared_memory<double>(), blocks.sum + blocks.combine + own.block);
}

constexpr size_t kLossBytes = kSumThreads / kWarp * sizeof(double);

}  // namespace

void launch_table_sums(Stream& stream, const TableBatch& batch, const TableRange& range, const TableBlocks& blocks) {
  with_rule(range.rule, range.aligned, [&](auto rule, auto floats) {
    stream.launch(sum_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.sum)}, kSumThreads, kLossBytes, batch, range);
    stream.launch(combine_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.combine)}, kCombineThreads,
                  kCombineThreads * sizeof(Piece<floats()>), batch, range);
    if (blocks.sweep > 0) stream.launch(sweep_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.sweep)}, kSumThreads, kLossBytes, batch, range);
  });
}

}  // namespace mg_cuda
