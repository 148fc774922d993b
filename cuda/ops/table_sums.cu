// The steps of an update after the sort: sums of the gradients of equal ids, penalty, rule. See embedding_update.cu.
//
//   sum_kernel      one warp per chunk of a table's list. Loads all its rows at once into shared memory; then one group of lanes per part of
//                   a run in the chunk adds them, in order. If the part is a whole run, it updates the row; else it writes a partial sum
//   combine_kernel  one block per chunk, active if a run leaves the chunk it began in: adds the run's partial sums and updates the row
//   rows_kernel     only for row-wise Adagrad, for which the kernels above keep gradients and update nothing: one warp per row
//   sweep_kernel    only for exact tables: updates all rows without a run, with gradient 0
// A table's sums depend only on its own list.
#include "cuda/ops/table_update.h"

namespace mg_cuda {
namespace {

constexpr int kSumWarps = kSumThreads / kWarp;
constexpr int kMostLanes = 8;  // of a warp for a row at a time, so that a lane has up to 8 rows in flight
static_assert(kChunk == kWarp);

// A part of a run: places [first, end) of a chunk. begins, ends: whether the run does there.
struct RunPart {
  uint32_t key;
  uint8_t first, end;
  bool begins, ends;
};

// A warp's shared memory.
template <int kFloats>
struct ChunkRows {
  Piece<kFloats> rows[kWarp * kMostLanes];  // [places, lanes]
  float scale[kWarp];
  RunPart parts[kWarp];
};

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

// gradient += the penalty's.
template <int kFloats>
__device__ __forceinline__ Piece<kFloats> penalised(const TableUpdate& table, int64_t row, int piece, Piece<kFloats> gradient, double& loss) {
  if (table.rates.any()) add_penalty(table.rates, load_piece<kFloats>(table.to.w + row * table.dim + piece * kFloats), gradient, loss);
  return gradient;
}

// `loss` becomes the penalty's, or the sum of squares. `kept`: where a rule that needs the whole row keeps its gradient.
template <int kRule, int kFloats>
__device__ __forceinline__ void move_piece(const Own& own, int64_t row, int piece, Piece<kFloats> gradient, double& loss, float* kept) {
  const TableUpdate& table = own.table;
  if constexpr (kRule == kSquares) {
    double penalty = 0;
    gradient = penalised(table, row, piece, gradient, penalty);
#pragma unroll
    for (int k = 0; k < kFloats; k++) loss += static_cast<double>(gradient.at[k]) * static_cast<double>(gradient.at[k]);
    return;
  }
  gradient = penalised(table, row, piece, gradient, loss);
  const int64_t at = row * table.dim + piece * kFloats;
  if constexpr (kRule == kRowwise)
    store_piece(kept + piece * kFloats, gradient);
  else
    update_piece<kRule, kFloats>(table.rule, own.place.step, table.to, at, load_piece<kFloats>(table.to.w + at), gradient);
}

// The kept gradient of the row whose run holds this place. A run that leaves its first chunk is kept at that chunk's last place.
__device__ __forceinline__ float* kept_gradient(const TableBatch& b, const Own& own, int64_t place) {
  return b.gradients + own.place.gradients + place * own.table.dim;
}

// All threads of the block call it. `block`: the block's number over all launches of the table. `scratch`: one double per warp.
__device__ __forceinline__ void keep_loss(const TableBatch& b, const Own& own, double loss, double* scratch, int64_t block) {
  if (own.table.partials < 0) return;
  loss = block_sum(loss, scratch);
  if (threadIdx.x == 0) b.partials[own.table.partials + block] = loss;
}

// Notes the parts of runs in a chunk, in order; returns their number. key: of the lane's place, the padding's if it has none.
__device__ __forceinline__ int note_parts(const Own& own, int64_t begin, uint32_t key, RunPart* parts) {
  const uint32_t padding = own.table.padding;
  uint32_t before = shuffle_up(key, 1);
  if (lane() == 0) before = begin > 0 ? own.keys[begin - 1] : padding;
  const bool begins = key != before || begin + lane() == 0;
  const uint32_t first_places = ballot(begins || lane() == 0);
  const bool starts = key != padding && (begins || lane() == 0);
  const uint32_t started = ballot(starts);
  if (starts) {
    const uint32_t later = lane() == kWarp - 1 ? 0 : first_places >> (lane() + 1);
    const int end = later == 0 ? kWarp : lane() + first_bit(later) + 1;
    const bool ends = end < kWarp || begin + kWarp >= own.count || own.keys[begin + kWarp] != key;
    parts[count_bits(started & ((1u << lane()) - 1))] = {key, static_cast<uint8_t>(lane()), static_cast<uint8_t>(end), begins, ends};
  }
  return count_bits(started);
}

// sums (=, [2 chunks, dim]), for runs that span chunks. Row 2 t: the part that begins with chunk t. Row 2 t + 1: the part that begins within
// it.
template <int kRule, int kFloats>
__global__ void __launch_bounds__(kSumThreads, 2) sum_kernel(TableBatch b, TableRange range) {
  begin_kernel();
  auto* const scratch = shared_memory<double>();  // one per warp
  auto& shared = reinterpret_cast<ChunkRows<kFloats>*>(scratch + kSumWarps)[warp()];
  const Own own = own_table<&TablePlace::sum>(b, range);
  const TableUpdate& table = own.table;
  const int64_t chunk = own.block * kSumWarps + warp(), begin = chunk * kChunk, place = begin + lane();
  double loss = 0;
  if (begin < own.count) {
    const uint32_t key = place < own.count ? own.keys[place] : table.padding;
    const float* row = nullptr;
    if (key != table.padding) {
      const auto rows = static_cast<uint32_t>(b.rows);
      const uint32_t value = own.values[place], f = table.feature_count > 1 ? value / rows : static_cast<uint32_t>(table.first_feature);
      const Feature& feature = b.features[f];
      row = feature.gradient + (value - f * rows) * feature.gradient_stride;
      shared.scale[lane()] = table.has_mean ? b.scale[value] : 1;
    }
    const int parts = note_parts(own, begin, key, shared.parts);
    const int log = table.split.log < 3 ? table.split.log : 3, lanes = 1 << log, groups = kWarp >> log;
    static_assert(kMostLanes == 1 << 3);
    const int group = lane() >> log, of_group = lane() & (lanes - 1);
    for (int from = 0; from < table.split.pieces; from += lanes) {
      const int c = from + of_group;
      Piece<kFloats> pieces[kMostLanes];
#pragma unroll
      for (int u = 0; u < kMostLanes; u++) {
        if (u >= lanes) break;
        const auto* const at = reinterpret_cast<const float*>(shuffle(reinterpret_cast<unsigned long long>(row), u * groups + group));
        if (at != nullptr && c < table.split.pieces) pieces[u] = load_piece<kFloats>(at + c * kFloats);
      }
#pragma unroll
      for (int u = 0; u < kMostLanes; u++) {
        if (u >= lanes) break;
        shared.rows[(u * groups + group) * lanes + of_group] = pieces[u];
      }
      warp_barrier();
      for (int i = group; c < table.split.pieces && i < parts; i += groups) {
        const RunPart part = shared.parts[i];
        Piece<kFloats> sum{};
        for (int k = part.first; k < part.end; k++) add_piece(sum, shared.rows[k * lanes + of_group], shared.scale[k]);
        if (part.begins && table.moved >= 0 && c == 0) b.moved[table.moved + part.key] = 1;
        if (part.begins && part.ends)
          move_piece<kRule, kFloats>(own, part.key, c, sum, loss, kept_gradient(b, own, begin + part.first));
        else
          store_piece(b.sums + own.place.sums + (2 * chunk + (part.first > 0 ? 1 : 0)) * table.dim + c * kFloats, sum);
      }
      // No test shows this: the lanes meet in the next columns' shuffles too, but only a barrier orders memory.
      warp_barrier();
    }
  }
  keep_loss(b, own, loss, scratch, own.block);
}

// Group g of the block's lanes adds every groups-th partial sum of a run, from its second chunk on. Then group 0 adds the groups' sums to the
// first chunk's, in order.
template <int kRule, int kFloats>
__global__ void combine_kernel(TableBatch b, TableRange range) {
  begin_kernel();
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
        move_piece<kRule, kFloats>(own, key, c, all, loss, kept_gradient(b, own, begin + kChunk - 1));
      }
      block_barrier();
    }
  }
  keep_loss(b, own, loss, shared_memory<double>(), blocks.sum + own.block);
}

// One warp per chunk: updates the rows whose runs begin in it.
template <int kFloats>
__global__ void rows_kernel(TableBatch b, TableRange range) {
  begin_kernel();
  const Own own = own_table<&TablePlace::sum>(b, range);
  const TableUpdate& table = own.table;
  const int64_t begin = (own.block * kSumWarps + warp()) * kChunk, end = begin + kChunk;
  for (int64_t place = begin; place < end && place < own.count; place++) {
    const uint32_t key = own.keys[place];
    if (key == table.padding || (place > 0 && own.keys[place - 1] == key)) continue;
    const bool leaves = end < own.count && own.keys[end] == key;
    const float* const gradient = kept_gradient(b, own, leaves ? end - 1 : place);
    update_row<kFloats>(table.rule, own.place.step, table.to, key, table.split.pieces,
                        [&](int c) { return load_piece<kFloats>(gradient + c * kFloats); });
  }
}

// Updates every row of an exact table that no run has updated.
template <int kRule, int kFloats>
__global__ void sweep_kernel(TableBatch b, TableRange range) {
  begin_kernel();
  const Own own = own_table<&TablePlace::sweep>(b, range);
  const TableUpdate& table = own.table;
  const RowSplit split = table.split;
  const TableBlocks blocks = table.blocks(b.rows);
  double loss = 0;
  if constexpr (kRule == kRowwise) {
    for (int64_t row = own.block * kSumWarps + warp(); row < table.rows; row += blocks.sweep * kSumWarps) {
      if (b.moved[table.moved + row] != 0) continue;
      for (int c = lane(); c < split.pieces; c += kWarp) penalised<kFloats>(table, row, c, {}, loss);
      double counted = 0;
      update_row<kFloats>(table.rule, own.place.step, table.to, row, split.pieces,
                          [&](int c) { return penalised<kFloats>(table, row, c, {}, counted); });
    }
  } else {
    for (int64_t row = (own.block * kSumThreads + threadIdx.x) >> split.log; row < table.rows; row += blocks.sweep * kSumThreads >> split.log) {
      if (b.moved[table.moved + row] != 0) continue;
      for (int c = split.lane(); c < split.pieces; c += split.lanes()) move_piece<kRule, kFloats>(own, row, c, {}, loss, nullptr);
    }
  }
  keep_loss(b, own, loss, shared_memory<double>(), blocks.sum + blocks.combine + own.block);
}

constexpr size_t kLossBytes = kSumThreads / kWarp * sizeof(double);

}  // namespace

void launch_table_sums(Stream& stream, const TableBatch& batch, const TableRange& range, const TableBlocks& blocks) {
  with_rule(range.rule, range.aligned, [&](auto rule, auto floats) {
    stream.launch(sum_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.sum)}, kSumThreads,
                  kLossBytes + kSumWarps * sizeof(ChunkRows<floats()>), batch, range);
    stream.launch(combine_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.combine)}, kCombineThreads,
                  kCombineThreads * sizeof(Piece<floats()>), batch, range);
    if constexpr (rule() == kRowwise) stream.launch(rows_kernel<floats()>, {static_cast<unsigned>(blocks.sum)}, kSumThreads, 0, batch, range);
    if (blocks.sweep > 0) stream.launch(sweep_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.sweep)}, kSumThreads, kLossBytes, batch, range);
  });
}

}  // namespace mg_cuda
