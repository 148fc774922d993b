// Updates a step's tables: sums the gradients of equal ids in the order of ops.h, then applies penalty and rule. See ops.h and update_rule.h.
//
// Each occurrence of an id is a pair (id, row of the batch, counted over all features in order). After a stable sort by id, the occurrences
// of one id are adjacent and in order: a run. Padding gets an id past the table and comes last. The sorted list is cut every kChunk places,
// so that a popular id's run is summed in many places at once. All tables share the launches. Each has its own list and blocks, so its
// sums depend only on its own list.
//   prepare_kernel  one block: the first block of each table, and its rule's values for the step
//   collect_kernel  one thread per occurrence: makes the lists
//   launch_sort     sorts each list by id
//   launch_table_sums, once per rule and size of pieces in use: see table_sums.cu
// Row-wise Adagrad needs a row's gradient whole: it is kept first, as long as the batch's gradient.
// Everything up to the sort needs only ids and runs in parallel to the row ops. The only gradients in memory are the batch's and partial sums.
// Bytes per occurrence: 12 to collect it, 20 per digit of its sort, 8 + 4 dim to sum it. Bytes per updated row: 8 dim, and as many per moment.
#include <algorithm>
#include <array>
#include <stdexcept>

#include "cuda/ops/gathered.h"
#include "cuda/ops/table_update.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;

__global__ void prepare_kernel(TableBatch b, const double* scalars) {
  begin_kernel();
  for (int t = static_cast<int>(threadIdx.x); t < b.table_count; t += kThreads) {
    TablePlace place{step_of(b.tables[t].source, scalars), 0, 0, 0, 0, 0};
    const int64_t count = b.rows * b.tables[t].ids;
    ListToSort list{b.rows * b.tables[t].ids_before, count, 0, b.tables[t].bits, ListToSort::tiles_of_a_block(count)};
    for (int before = 0; before < t; before++) {
      const TableBlocks blocks = b.tables[before].blocks(b.rows);
      list.first_block += static_cast<uint32_t>(blocks.sort);
      place.sum += blocks.sum, place.combine += blocks.combine, place.sweep += blocks.sweep;
      place.sums += b.tables[before].sum_floats(b.rows), place.gradients += b.tables[before].row_floats(b.rows);
    }
    b.places[t] = place, b.lists[t] = list;
  }
}

// Where the length of the gradient is limited, the factor of each table. One block, after the squares are made.
__global__ void scale_kernel(TableBatch b, RunningSums sums) {
  begin_kernel();
  for (int t = 0; t < b.table_count; t++) {
    const StepSource& source = b.tables[t].source;
    if (!(source.clip_norm > 0)) continue;
    const float scale = length_scale(source, sums, shared_memory<double>());
    if (threadIdx.x == 0) b.places[t].step.scale = scale;
  }
}

// keys, values (=): id and row over all features of each occurrence. scale (=). One thread per occurrence; a bag's first thread counts its ids.
__global__ void collect_kernel(TableBatch b, int64_t count, uint32_t* keys, uint32_t* values) {
  begin_kernel();
  const int64_t i = grid_thread();
  if (i >= count) return;
  int f = 0;
  for (int past = b.feature_count; past - f > 1;) {
    const int middle = (f + past) / 2;
    (b.features[middle].ids_before * b.rows <= i ? f : past) = middle;
  }
  const Feature& feature = b.features[f];
  const TableUpdate& table = b.tables[feature.table];
  const auto place = static_cast<uint32_t>(i - feature.ids_before * b.rows), length = static_cast<uint32_t>(feature.length);
  const uint32_t row = place / length, k = place % length;
  const int32_t* const own = feature.ids + row * feature.id_stride;
  const uint32_t of_all = static_cast<uint32_t>(f) * static_cast<uint32_t>(b.rows) + row;
  keys[i] = feature.combiner != MG_SINGLE && own[k] == 0 ? table.padding : static_cast<uint32_t>(own[k]);
  values[i] = of_all;
  if (!table.has_mean || k != 0) return;
  int present = 0;
  if (feature.combiner == MG_MEAN)
    for (uint32_t j = 0; j < length; j++) present += own[j] != 0;
  b.scale[of_all] = present > 0 ? 1.0f / static_cast<float>(present) : 1.0f;
}

// An op of the program: an update, or the sum of squares of what it would take.
struct Update {
  mg_embedding_update op;  // without its lists
  std::vector<Gathered> gathered;
  int64_t rows, dim;
  bool aligned;

  Update(const PlanBuilder& builder, const mg_embedding_update& from) : op(from) {
    for (uint32_t i = 0; i < from.ids.count; i++)
      each_gathered(from.ids.items[i], from.combiners.items[i], from.gradients.items[i], [&](const Gathered& one) { gathered.push_back(one); });
    op.ids = {}, op.gradients = {}, op.combiners = {};
    const mg_buffer& table = builder.plan.buffers[static_cast<size_t>(op.table.buffer)];
    rows = table.count, dim = table.width;
    aligned = dim % 4 == 0 && is_aligned(op.table, op);
    for (const Gathered& one : gathered) aligned = aligned && one.columns.offset % 4 == 0;
  }

  // The memory that it changes besides the table.
  std::array<mg_view, 4> moments() const { return {op.moment1, op.moment2, op.moment3, op.average}; }
  std::pair<int64_t, bool> kind() const { return {op.rule, aligned}; }
  bool has_mean() const {
    return std::any_of(gathered.begin(), gathered.end(), [](const Gathered& one) { return one.combiner == MG_MEAN; });
  }
  bool is_squares() const { return op.rule == kSquares; }
  // Whether it adds to its scalar output.
  bool counts() const { return is_squares() || PenaltyRates{op.l1, op.l2}.any(); }
  // The id past the last one stands for padding. Ids have at most 31 bits, for any number of rows.
  uint32_t padding() const { return static_cast<uint32_t>(std::min(rows, int64_t{1} << 31)); }
  int32_t bits() const {
    const bool single = std::all_of(gathered.begin(), gathered.end(), [](const Gathered& one) { return one.combiner == MG_SINGLE; });
    const uint32_t largest = single ? padding() - 1 : padding();
    int32_t bits = 1;
    while (bits < 32 && largest >> bits != 0) bits++;
    return bits;
  }
};

// Bytes of a step's memory. The parts are in order, each aligned to 256 bytes.
struct Memory {
  size_t places, lists, keys[2], values[2], scale, digit_counts, sums, gradients, moved, bytes;
};

class EmbeddingUpdates final : public Op {
 public:
  explicit EmbeddingUpdates(Update update) { updates_.push_back(std::move(update)); }

  // Sort tables by kind.
  bool join(Op& next) override {
    auto* const same = dynamic_cast<EmbeddingUpdates*>(&next);
    if (same == nullptr || updates_[0].is_squares() != same->updates_[0].is_squares()) return false;
    for (const Update& mine : updates_)
      for (const Update& other : same->updates_)
        if (mine.op.table.buffer == other.op.table.buffer || meet(mine.moments(), other.moments())) return false;
    std::move(same->updates_.begin(), same->updates_.end(), std::back_inserter(updates_));
    std::stable_sort(updates_.begin(), updates_.end(), [](const Update& a, const Update& b) { return a.kind() < b.kind(); });
    return true;
  }

  void add_sums(Plan& plan, int64_t rows) override {
    describe(nullptr);
    for (size_t t = 0; t < updates_.size(); t++) {
      const TableBlocks blocks = tables_[t].blocks(rows);
      if (updates_[t].counts()) partials_[t] = plan.add_sum(updates_[t].op.loss, -1, blocks.sum + blocks.combine + blocks.sweep);
    }
  }

  void bind(const Context& context) override {
    describe(&context);
    tables_on_device_.assign(tables_);
    std::vector<Feature> features;
    int64_t ids = 0;
    for (size_t t = 0; t < updates_.size(); t++)
      for (const Gathered& one : updates_[t].gathered) {
        const IdPointer own = context.ids(one.ids);
        const RowPointer gradient = context.at(one.columns);
        features.push_back({own.data, gradient.data, own.stride, gradient.stride, ids, static_cast<int32_t>(one.ids.width),
                            static_cast<int32_t>(one.combiner), static_cast<int32_t>(t)});
        ids += one.ids.width;
      }
    features_on_device_.assign(features);
    memory_.reserve(memory_for(context.rows).bytes);
  }

  bool starts_early() const override { return true; }

  void launch_early(const Context& context) const override {
    const TableBatch b = batch(context);
    const Memory at = memory_for(context.rows);
    Stream& stream = context.stream;
    stream.launch(prepare_kernel, {}, kThreads, 0, b, context.scalars());
    const int64_t count = occurrences(context.rows);
    stream.launch(collect_kernel, {static_cast<unsigned>(blocks_of(count, kThreads))}, kThreads, 0, b, count, b.keys[0], b.values[0]);
    int passes = 0;
    for (const TableUpdate& table : tables_) passes = std::max(passes, ListToSort::passes(table.bits));
    launch_sort(stream, {b.lists,
                         b.table_count,
                         blocks(context.rows, 0, b.table_count).sort,
                         passes,
                         {b.keys[0], b.keys[1]},
                         {b.values[0], b.values[1]},
                         reinterpret_cast<uint32_t*>(memory_.data<char>() + at.digit_counts)});
    if (moved_ > 0) stream.zero(b.moved, static_cast<size_t>(moved_));
  }

  void launch(const Context& context) const override {
    const TableBatch b = batch(context);
    if (std::any_of(updates_.begin(), updates_.end(), [](const Update& update) { return update.op.clip_norm > 0; }))
      context.stream.launch(scale_kernel, {}, kThreads, kThreads / kWarp * sizeof(double), b, running_sums(context));
    for (int first = 0, past = 0; first < b.table_count; first = past) {
      const auto [rule, aligned] = updates_[static_cast<size_t>(first)].kind();
      while (past < b.table_count && updates_[static_cast<size_t>(past)].kind() == updates_[static_cast<size_t>(first)].kind()) past++;
      launch_table_sums(context.stream, b, {first, past, rule, aligned}, blocks(context.rows, first, past));
    }
  }

 private:
  int64_t occurrences(int64_t rows) const {
    int64_t count = 0;
    for (const TableUpdate& table : tables_) count += rows * table.ids;
    if (count > UINT32_MAX) throw std::invalid_argument("more than 2^32 ids of tables in a batch; use a smaller batch");
    return count;
  }

  TableBlocks blocks(int64_t rows, int first, int past) const {
    TableBlocks all{};
    for (int t = first; t < past; t++) {
      const TableBlocks own = tables_[static_cast<size_t>(t)].blocks(rows);
      all.sort += own.sort, all.sum += own.sum, all.combine += own.combine, all.sweep += own.sweep;
    }
    return all;
  }

  // tables_; without addresses if the context is null.
  void describe(const Context* context) {
    tables_.clear();
    partials_.resize(updates_.size(), -1);
    int64_t ids = 0;
    int32_t features = 0;
    moved_ = 0;
    for (size_t t = 0; t < updates_.size(); t++) {
      const Update& update = updates_[t];
      TableUpdate table{};
      table.rule = rule_of(update.op), table.source = step_source_of(update.op), table.rates = {update.op.l1, update.op.l2};
      if (context != nullptr) table.to = updated_by(*context, {update.op.table.buffer, 0, update.dim}, update.op);
      table.split = split_row(update.dim, update.aligned ? 4 : 1);
      table.rows = update.rows, table.dim = update.dim;
      table.ids_before = ids;
      for (const Gathered& one : update.gathered) table.ids += one.ids.width;
      table.moved = update.op.exact != 0 ? moved_ : -1;
      table.partials = partials_[t];
      table.first_feature = features, table.feature_count = static_cast<int32_t>(update.gathered.size());
      table.padding = update.padding(), table.bits = update.bits();
      table.has_mean = update.has_mean();
      ids += table.ids, features += table.feature_count;
      if (update.op.exact != 0) moved_ += update.rows;
      tables_.push_back(table);
    }
    feature_count_ = features;
  }

  // No part shrinks when rows grow.
  Memory memory_for(int64_t rows) const {
    const int64_t count = occurrences(rows);
    size_t bytes = 0;
    const auto take = [&](int64_t items, size_t item) {
      const size_t place = bytes;
      bytes += (static_cast<size_t>(items) * item + 255) / 256 * 256;
      return place;
    };
    int64_t digit_counts = 0, sums = 0, gradients = 0;
    bool has_mean = false;
    for (const TableUpdate& table : tables_) {
      digit_counts += std::min(ListToSort::tiles(rows * table.ids), kMostSortBlocks) * kSortDigits;
      sums += table.sum_floats(rows), gradients += table.row_floats(rows);
      has_mean = has_mean || table.has_mean;
    }
    Memory at{};
    at.places = take(static_cast<int64_t>(tables_.size()), sizeof(TablePlace));
    at.lists = take(static_cast<int64_t>(tables_.size()), sizeof(ListToSort));
    for (size_t& place : at.keys) place = take(count, sizeof(uint32_t));
    for (size_t& place : at.values) place = take(count, sizeof(uint32_t));
    at.scale = take(has_mean ? rows * feature_count_ : 0, sizeof(float));
    at.digit_counts = take(digit_counts, sizeof(uint32_t));
    at.sums = take(sums, sizeof(float));
    at.gradients = take(gradients, sizeof(float));
    at.moved = take(moved_, 1);
    at.bytes = bytes;
    return at;
  }

  TableBatch batch(const Context& context) const {
    const Memory at = memory_for(context.rows);
    char* const from = memory_.data<char>();
    const auto words = [&](size_t place) { return reinterpret_cast<uint32_t*>(from + place); };
    return {context.rows,
            static_cast<int>(tables_.size()),
            feature_count_,
            tables_on_device_.data(),
            features_on_device_.data(),
            reinterpret_cast<TablePlace*>(from + at.places),
            reinterpret_cast<ListToSort*>(from + at.lists),
            {words(at.keys[0]), words(at.keys[1])},
            {words(at.values[0]), words(at.values[1])},
            reinterpret_cast<float*>(from + at.scale),
            reinterpret_cast<float*>(from + at.sums),
            reinterpret_cast<float*>(from + at.gradients),
            reinterpret_cast<uint8_t*>(from + at.moved),
            context.partials()};
  }

  std::vector<Update> updates_;
  std::vector<TableUpdate> tables_;  // of updates_, in their order
  std::vector<int64_t> partials_;    // per table: the place of its first partial sum, or -1
  int64_t moved_ = 0;                // number of marks of all tables
  int feature_count_ = 0;
  Table<TableUpdate> tables_on_device_;
  Table<Feature> features_on_device_;
  DeviceMemory memory_;
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_table_squares& op) {
  mg_embedding_update same{};
  same.table = op.table, same.ids = op.ids, same.gradients = op.gradients, same.combiners = op.combiners;
  same.moment1 = same.moment2 = same.moment3 = same.average = {-1, 0, 0};
  same.rule = kSquares, same.loss = op.output, same.l1 = op.l1, same.l2 = op.l2;
  // Without a penalty, rows without an id have no gradient.
  same.exact = op.exact != 0 && (op.l1 != 0 || op.l2 != 0) ? 1 : 0;
  builder.add(std::make_unique<EmbeddingUpdates>(Update(builder, same)));
}

void compile_op(PlanBuilder& builder, const mg_embedding_update& op) { builder.add(std::make_unique<EmbeddingUpdates>(Update(builder, op))); }

}  // namespace mg_cuda
