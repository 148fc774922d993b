// The update of one table: the gradients of equal ids summed in the order of ops.h, penalty, rule. See ops.h and update_rule.h.
//
// Each occurrence of an id is a pair (id, row of the batch over all features, one after another). Sorted stably by id, the occurrences
// of one stand together in order: a run. Padding gets an id past the table and is last. The sorted list is cut every kChunk places, so
// that the run of a popular id is summed in many places at once:
//   sum_kernel      a group of lanes per place of the list, at work where a run or a chunk begins: sums to the end of the run or chunk.
//                   A run that ends there is updated there; else its sum is a partial one
//   combine_kernel  a block per chunk, at work where a run leaves the chunk it began in: adds up its partial sums and updates the row
//   sweep_kernel    exact only: all rows that no run has updated, with gradient 0
// Which sums are formed depends on the list alone. Of gradients only the batch's own and partial sums are in memory.
// Bytes per occurrence: 12 to collect it, 20 per digit of its sort, 8 + 4 dim to sum it; per row that moves: 8 dim, and as many per moment.
#include <algorithm>
#include <stdexcept>

#include "cuda/ops/penalty.h"
#include "cuda/ops/sort.h"
#include "cuda/ops/update_rule.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kChunk = 32;        // occurrences that one group of lanes adds up at most, one after another
constexpr int kAtOnce = 4;            // of them under way
constexpr int kCombineThreads = 128;
constexpr int64_t kMostCombineBlocks = 2048;
constexpr int64_t kMostSweepBlocks = 4096;
constexpr int kFeaturesOfALaunch = 32;  // travel as an argument: a launch has room for 4 KiB of them

struct Feature {
  const int32_t* ids;     // [rows, length]
  const float* gradient;  // [rows, dim]
  int64_t id_stride, gradient_stride;
  uint32_t begin;  // its first place among the occurrences of all features
  int32_t length, combiner;
};
struct SomeFeatures {
  Feature items[kFeaturesOfALaunch];
};

// Per run of the plan, in scratch: what kernels read of features and step.
__global__ void prepare_kernel(SomeFeatures some, int first, int count, Feature* features, StepSource source, const double* scalars,
                               UpdateStep* step) {
  if (static_cast<int>(threadIdx.x) < count) features[first + static_cast<int>(threadIdx.x)] = some.items[threadIdx.x];
  if (first == 0 && threadIdx.x == 0) *step = step_of(source, scalars);
}

struct Occurrences {
  int64_t count;
  uint32_t rows;     // of the batch
  uint32_t padding;  // the id of what does not count: past the table
  int feature_count;
  const Feature* features;
  float* scale;  // [features, rows]: what the gradient of a row is multiplied by; null: 1
};

// keys, values (=, [count]): id and row over all features of each occurrence. scale (=). A thread per occurrence; the first of a bag
// counts its ids.
__global__ void collect_kernel(Occurrences o, uint32_t* keys, uint32_t* values) {
  const int64_t i = grid_thread();
  if (i >= o.count) return;
  const auto place = static_cast<uint32_t>(i);
  int f = 0;
  for (int past = o.feature_count; past - f > 1;) {
    const int middle = (f + past) / 2;
    (o.features[middle].begin <= place ? f : past) = middle;
  }
  const Feature& feature = o.features[f];
  const auto length = static_cast<uint32_t>(feature.length);
  const uint32_t row = (place - feature.begin) / length, k = (place - feature.begin) % length;
  const int32_t* const own = feature.ids + row * feature.id_stride;
  const auto of_all = static_cast<uint32_t>(f) * o.rows + row;
  keys[i] = feature.combiner != 0 && own[k] == 0 ? o.padding : static_cast<uint32_t>(own[k]);
  values[i] = of_all;
  if (o.scale == nullptr || k != 0) return;
  int present = 0;
  if (feature.combiner == 1)
    for (uint32_t j = 0; j < length; j++) present += own[j] != 0;
  o.scale[of_all] = present > 0 ? 1.0f / static_cast<float>(present) : 1.0f;
}

// The first of places [from, to) whose key (every `stride`-th of a sorted list) is past `key`; to: none is.
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

// Columns from `column` on of the gradients of places [from, end), in order.
template <int kFloats>
__device__ __forceinline__ Piece<kFloats> sum_of(const Occurrences& o, const uint32_t* values, int64_t from, int64_t end, int64_t column) {
  Piece<kFloats> sum{};
  for (; from < end; from += kAtOnce) {
    Piece<kFloats> piece[kAtOnce];
    float scale[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; u++) {
      piece[u] = {}, scale[u] = 1;
      if (from + u >= end) continue;
      const uint32_t value = values[from + u], f = o.feature_count > 1 ? value / o.rows : 0;
      const Feature& feature = o.features[f];
      piece[u] = load_piece<kFloats>(feature.gradient + (value - f * o.rows) * feature.gradient_stride + column);
      if (o.scale != nullptr) scale[u] = o.scale[value];
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; u++)
      if (from + u < end) add_piece(sum, piece[u], scale[u]);
  }
  return sum;
}

// What rows of the table are moved by.
struct Target {
  UpdateRule rule;
  const UpdateStep* step;
  Updated to;
  int64_t dim;
  PenaltyRates rates;
  uint8_t* moved;  // [rows of the table]: 1 where a run has updated the row; null: nobody asks
};

template <int kRule, int kFloats>
__device__ __forceinline__ void move_piece(const Target& target, const UpdateStep& step, int64_t row, int piece, Piece<kFloats> gradient,
                                           double& loss) {
  const int64_t at = row * target.dim + piece * kFloats;
  const Piece<kFloats> w = load_piece<kFloats>(target.to.w + at);
  if (target.rates.any()) add_penalty(target.rates, w, gradient, loss);
  update_piece<kRule, kFloats>(target.rule, step, target.to, at, w, gradient);
}

// All threads of the block; partial null: there is no penalty. `scratch`: one double per warp.
__device__ __forceinline__ void keep_loss(double loss, double* scratch, double* partial) {
  if (partial == nullptr) return;
  loss = block_sum(loss, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = loss;
}

// keys, values: the sorted list. sums (=, [2 chunks, dim]): of a run that does not begin and end in one chunk, row 2 t: what begins with
// chunk t, row 2 t + 1: what begins within it. losses (=, [blocks], nullable).
template <int kRule, int kFloats>
__global__ void sum_kernel(Occurrences o, RowSplit split, Target target, const uint32_t* keys, const uint32_t* values, float* sums,
                           double* losses) {
  const int64_t i = split.row(), chunk = i / kChunk, begin = chunk * kChunk;
  const uint32_t key = i < o.count ? keys[i] : o.padding;
  const bool begins = i == 0 || (i < o.count && keys[i - 1] != key);
  double loss = 0;
  if (key != o.padding && (begins || i == begin)) {
    const UpdateStep step = *target.step;
    const int64_t past = begin + kChunk < o.count ? begin + kChunk : o.count;
    const int64_t end = first_past(keys, 1, i + 1, past, key);
    const bool whole = begins && (end == o.count || keys[end] != key);
    if (begins && target.moved != nullptr && split.lane() == 0) target.moved[key] = 1;
    float* const sum_row = sums + (2 * chunk + (i > begin ? 1 : 0)) * target.dim;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) {
      const Piece<kFloats> sum = sum_of<kFloats>(o, values, i, end, c * kFloats);
      if (whole)
        move_piece<kRule, kFloats>(target, step, key, c, sum, loss);
      else
        store_piece(sum_row + c * kFloats, sum);
    }
  }
  keep_loss(loss, shared_memory<double>(), losses);
}

// Group g of the block's lanes adds up every so-many-th partial sum of a run, from its second chunk on; then group 0 adds those to the
// first one's, in order. losses as above.
template <int kRule, int kFloats>
__global__ void combine_kernel(Occurrences o, RowSplit split, Target target, const uint32_t* keys, const float* sums, double* losses) {
  auto* const shared = shared_memory<Piece<kFloats>>();  // [groups, lanes]
  const int group = static_cast<int>(threadIdx.x) >> split.log, groups = kCombineThreads >> split.log;
  const int64_t chunks = (o.count + kChunk - 1) / kChunk;
  double loss = 0;
  for (int64_t chunk = blockIdx.x; chunk + 1 < chunks; chunk += gridDim.x) {
    const int64_t begin = chunk * kChunk;
    const uint32_t key = keys[begin + kChunk - 1];
    if (key == o.padding || keys[begin + kChunk] != key) continue;
    const bool within = keys[begin] != key;
    if (!within && begin > 0 && keys[begin - 1] == key) continue;  // it began before
    const UpdateStep step = *target.step;
    const int64_t end = first_past(keys, kChunk, chunk + 1, chunks, key);
    for (int from = 0; from < split.pieces; from += split.lanes()) {
      const int c = from + split.lane();
      Piece<kFloats> sum{};
      if (c < split.pieces)
#pragma unroll 4
        for (int64_t t = chunk + 1 + group; t < end; t += groups) add_piece(sum, load_piece<kFloats>(sums + 2 * t * target.dim + c * kFloats), 1);
      shared[threadIdx.x] = sum;
      block_barrier();
      if (group == 0 && c < split.pieces) {
        Piece<kFloats> all = load_piece<kFloats>(sums + (2 * chunk + (within ? 1 : 0)) * target.dim + c * kFloats);
        for (int g = 0; g < groups; g++) add_piece(all, shared[g * split.lanes() + c - from], 1);
        move_piece<kRule, kFloats>(target, step, key, c, all, loss);
      }
      block_barrier();
    }
  }
  keep_loss(loss, shared_memory<double>(), losses);
}

// Every row of the table that no run has moved. losses as above.
template <int kRule, int kFloats>
__global__ void sweep_kernel(int64_t table_rows, RowSplit split, Target target, double* losses) {
  const UpdateStep step = *target.step;
  double loss = 0;
  for (int64_t row = split.row(); row < table_rows; row += split.row_step()) {
    if (target.moved[row] != 0) continue;
    for (int c = split.lane(); c < split.pieces; c += split.lanes()) move_piece<kRule, kFloats>(target, step, row, c, {}, loss);
  }
  keep_loss(loss, shared_memory<double>(), losses);
}

// Places in the scratch, each on 256 bytes.
struct Scratch {
  size_t features, step, scale, keys[2], values[2], digit_counts, sums, losses, moved, bytes;
};

struct EmbeddingUpdate final : Op {
  mg_embedding_update op;
  std::vector<mg_view> ids, gradients;
  std::vector<int64_t> combiners;
  int64_t table_rows, dim;
  bool aligned;

  size_t scratch_bytes(const Plan&, int64_t rows) const override { return scratch_for(rows).bytes; }

  void launch(const Context& context) const override {
    const int64_t rows = context.rows, count = occurrences(rows);
    const Scratch at = scratch_for(rows);
    char* const scratch = context.scratch<char>();
    Stream& stream = context.stream;

    auto* const features = reinterpret_cast<Feature*>(scratch + at.features);
    auto* const step = reinterpret_cast<UpdateStep*>(scratch + at.step);
    prepare(context, features, step);
    const Occurrences o{count,
                        static_cast<uint32_t>(rows),
                        padding(),
                        static_cast<int>(ids.size()),
                        features,
                        has_mean() ? reinterpret_cast<float*>(scratch + at.scale) : nullptr};
    const auto words = [&](size_t place) { return reinterpret_cast<uint32_t*>(scratch + place); };
    const PairsToSort pairs{count, largest_key(), {words(at.keys[0]), words(at.keys[1])}, {words(at.values[0]), words(at.values[1])},
                            words(at.digit_counts)};
    stream.launch(collect_kernel, {static_cast<unsigned>(blocks_of(count, kThreads))}, kThreads, 0, o, pairs.keys[0], pairs.values[0]);
    const int sorted = launch_sort(stream, pairs);

    const Target target{rule_of(op), step, updated_by(context, table_view(), op), dim, {op.l1, op.l2},
                        op.exact != 0 ? reinterpret_cast<uint8_t*>(scratch + at.moved) : nullptr};
    if (op.exact != 0) stream.zero(target.moved, static_cast<size_t>(table_rows));
    auto* const sums = reinterpret_cast<float*>(scratch + at.sums);
    const Blocks blocks = blocks_for(rows);
    auto* const losses = target.rates.any() ? reinterpret_cast<double*>(scratch + at.losses) : nullptr;
    const auto from = [losses](int64_t block) { return losses == nullptr ? nullptr : losses + block; };
    with_rule(op.rule, aligned, [&](auto rule, auto floats) {
      const RowSplit split = split_row(dim, floats());
      stream.launch(sum_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.sum)}, kThreads, kLossBytes, o, split, target,
                    pairs.keys[sorted], pairs.values[sorted], sums, from(0));
      stream.launch(combine_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.combine)}, kCombineThreads,
                    kCombineThreads * sizeof(Piece<floats()>), o, split, target, pairs.keys[sorted], sums, from(blocks.sum));
      if (op.exact != 0)
        stream.launch(sweep_kernel<rule(), floats()>, {static_cast<unsigned>(blocks.sweep)}, kThreads, kLossBytes, table_rows, split, target,
                      from(blocks.sum + blocks.combine));
    });
    if (losses != nullptr) launch_penalty_sum(context, losses, blocks.all(), op.loss);
  }

 private:
  static constexpr size_t kLossBytes = kThreads / kWarp * sizeof(double);

  struct Blocks {
    int64_t sum, combine, sweep;
    int64_t all() const { return sum + combine + sweep; }
  };

  mg_view table_view() const { return {op.table.buffer, 0, dim}; }
  bool has_mean() const { return std::find(combiners.begin(), combiners.end(), 1) != combiners.end(); }
  // The id past the last, which stands for padding. Ids are of 31 bits, however many rows there are.
  uint32_t padding() const { return static_cast<uint32_t>(std::min(table_rows, int64_t{1} << 31)); }
  uint32_t largest_key() const {
    const bool single = std::all_of(combiners.begin(), combiners.end(), [](int64_t combiner) { return combiner == 0; });
    return single ? padding() - 1 : padding();
  }

  int64_t occurrences(int64_t rows) const {
    int64_t count = 0;
    for (const mg_view& view : ids) count += rows * view.width;
    if (count > UINT32_MAX) throw std::invalid_argument("more than 2^32 ids of one table in a batch");
    return count;
  }

  Blocks blocks_for(int64_t rows) const {
    const int64_t count = occurrences(rows);
    const RowSplit split = split_row(dim, aligned ? 4 : 1);
    return {split.blocks(count, kThreads), std::min(blocks_of(count, kChunk), kMostCombineBlocks),
            op.exact != 0 ? std::min(split.blocks(table_rows, kThreads), kMostSweepBlocks) : 0};
  }

  Scratch scratch_for(int64_t rows) const {
    const int64_t count = occurrences(rows);
    size_t bytes = 0;
    const auto take = [&](int64_t items, size_t item) {
      const size_t place = bytes;
      bytes += (static_cast<size_t>(items) * item + 255) / 256 * 256;
      return place;
    };
    Scratch at{};
    at.features = take(static_cast<int64_t>(ids.size()), sizeof(Feature));
    at.step = take(1, sizeof(UpdateStep));
    at.scale = take(has_mean() ? rows * static_cast<int64_t>(ids.size()) : 0, sizeof(float));
    for (size_t& place : at.keys) place = take(count, sizeof(uint32_t));
    for (size_t& place : at.values) place = take(count, sizeof(uint32_t));
    at.digit_counts = take(sort_digit_counts(count), sizeof(uint32_t));
    at.sums = take(2 * blocks_of(count, kChunk) * dim, sizeof(float));
    at.losses = take(blocks_for(rows).all(), sizeof(double));
    at.moved = take(op.exact != 0 ? table_rows : 0, 1);
    at.bytes = bytes;
    return at;
  }

  // Features as this run's memory has them, kFeaturesOfALaunch at a time.
  void prepare(const Context& context, Feature* features, UpdateStep* step) const {
    int64_t begin = 0;
    for (size_t first = 0; first < ids.size(); first += kFeaturesOfALaunch) {
      SomeFeatures some{};
      const size_t count = std::min<size_t>(kFeaturesOfALaunch, ids.size() - first);
      for (size_t i = 0; i < count; i++) {
        const mg_view& view = ids[first + i];
        const IdPointer own = context.ids(view);
        const RowPointer gradient = context.at(gradients[first + i]);
        some.items[i] = {own.data, gradient.data, own.stride, gradient.stride, static_cast<uint32_t>(begin),
                         static_cast<int32_t>(view.width), static_cast<int32_t>(combiners[first + i])};
        begin += context.rows * view.width;
      }
      context.stream.launch(prepare_kernel, {}, kWarp, 0, some, static_cast<int>(first), static_cast<int>(count), features,
                            step_source_of(op), context.scalars(), step);
    }
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_embedding_update& op) {
  auto compiled = std::make_unique<EmbeddingUpdate>();
  compiled->op = op;
  compiled->ids = kept(op.ids), compiled->gradients = kept(op.gradients), compiled->combiners = kept(op.combiners);
  compiled->op.ids = {}, compiled->op.gradients = {}, compiled->op.combiners = {};
  const mg_buffer& table = builder.plan.buffers[static_cast<size_t>(op.table.buffer)];
  compiled->table_rows = table.count, compiled->dim = table.width;
  compiled->aligned = table.width % 4 == 0 && is_aligned(op.table, op);
  for (const mg_view& gradient : compiled->gradients) compiled->aligned = compiled->aligned && gradient.offset % 4 == 0;
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
