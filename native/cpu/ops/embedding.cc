// Embedding tables: the gather, and the update that sums the gradients of equal ids first.
//
// During the rows phase one unit per table sorts the batch's (id, row) pairs stably by id. Equal ids are then adjacent, in the
// order of features and rows. The update processes distinct ids in units. One thread does all additions of an id, so the
// bits do not depend on threads.
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

#include "cpu/ops/update_rule.h"

namespace mg {
namespace {

struct GatherOp final : RowsOp {
  mg_view ids, table;
  Rows y;
  int64_t combiner;

  void run(const Block& block) const override {
    const RowPointer to = block.at(y);
    const Gather arguments{
        block.rows, ids.width, table.width, combiner, block.plan.ids_of(ids.buffer) + block.first_row * ids.width, bound(block.run, table),
        to.data,    to.stride};
    block.plan.kernels->gather(&arguments);
  }
};

struct Feature {
  int32_t ids;  // row input buffer
  int64_t length, combiner;
  Rows gradient;

  // Occurrences are numbered by row, or, if ids are not pooled, by the place of their gradient: floats between two numbers, and numbers.
  int64_t step() const { return combiner == MG_CONCAT ? 1 : gradient.stride; }
  int64_t numbers(int64_t rows) const { return combiner == MG_CONCAT ? rows * gradient.stride : rows; }
};

// The place of an id's next occurrence.
struct Occurrences {
  uint32_t *key, *row;
};

// Appends a feature's ids, [rows, length], and their rows, counted from `first`. scale[r] = 1 / number of ids of row r, if wanted. A
// separate function, so that its counters stay in registers.
__attribute__((noinline)) Occurrences list_ids(const int32_t* ids, int64_t rows, int64_t length, bool bags, uint32_t first, float* scale,
                                               Occurrences to) {
  for (int64_t r = 0; r < rows; r++, ids += length) {
    const uint32_t row = first + static_cast<uint32_t>(r);
    int64_t count = 0;
    for (int64_t k = 0; k < length; k++) {  // without a branch: the next id overwrites padding
      to.key[count] = static_cast<uint32_t>(ids[k]), to.row[count] = row;
      count += !bags || ids[k] != 0;
    }
    to.key += count, to.row += count;
    if (scale) scale[r] = count > 0 ? 1.0f / static_cast<float>(count) : 0.0f;
  }
  return to;
}

// The same for ids that are not pooled, column by column. Instead of a row, an occurrence has the place of its gradient among the floats
// of the feature's rows.
Occurrences list_items(const int32_t* ids, int64_t rows, int64_t length, int64_t dim, int64_t row_floats, uint32_t first, Occurrences to) {
  int64_t count = 0;
  for (int64_t k = 0; k < length; k++)
    for (int64_t r = 0; r < rows; r++) {
      const int32_t id = ids[r * length + k];
      to.key[count] = static_cast<uint32_t>(id), to.row[count] = first + static_cast<uint32_t>(r * row_floats + k * dim);
      count += id != 0;
    }
  return {to.key + count, to.row + count};
}

// The occurrences of one batch, sorted by id.
class IdIndex {
 public:
  void reserve(int64_t occurrences, int64_t table_rows) {
    if (occurrences > UINT32_MAX) throw std::invalid_argument("more than 2^32 ids of one table in a batch; use a smaller batch");
    const auto count = static_cast<size_t>(occurrences);
    if (keys_.size() < count) {
      for (auto* list : {&keys_, &rows_, &spare_keys_, &spare_rows_}) list->resize(count);
      const size_t distinct = std::min(count, static_cast<size_t>(table_rows));
      start_.resize(distinct + 1);
      ids_.resize(distinct);
    }
    // Lists that turn out short may be sorted by digits too.
    const int64_t bins = std::max<int64_t>(counted(occurrences, table_rows) ? table_rows : 0, 1 << kDigit);
    if (begin_.size() < static_cast<size_t>(bins)) begin_.resize(static_cast<size_t>(bins));
  }

  // Room for the occurrences, in order. The caller then sets their number.
  Occurrences fill() { return {keys_.data(), rows_.data()}; }
  void filled(int64_t count) { count_ = static_cast<size_t>(count); }

  void sort(int64_t table_rows) {
    distinct_ = 0;
    if (counted(static_cast<int64_t>(count_), table_rows))
      sort_by_counting(static_cast<size_t>(table_rows));
    else
      sort_by_digits(table_rows);
    start_[distinct_] = static_cast<uint32_t>(count_);
  }

  int64_t distinct() const { return static_cast<int64_t>(distinct_); }
  int64_t id(int64_t i) const { return ids_[static_cast<size_t>(i)]; }
  const int32_t* ids(int64_t i) const { return ids_.data() + i; }
  // The first distinct id >= id.
  int64_t find(int64_t id) const {
    return std::lower_bound(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(distinct_), static_cast<int32_t>(id)) - ids_.begin();
  }
  // The rows (or places) in which ids occur, grouped by id: distinct id i's from start(i)[0] to start(i)[1].
  const uint32_t* rows() const { return rows_.data(); }
  const uint32_t* start(int64_t i) const { return start_.data() + i; }
  uint32_t listed() const { return static_cast<uint32_t>(count_); }

 private:
  static constexpr int kDigit = 9;  // few enough bins for their ends to stay in L1

  // A bin per row of the table needs one pass. It pays if there are about as many occurrences.
  static bool counted(int64_t occurrences, int64_t table_rows) { return table_rows <= 2 * occurrences; }

  void begin_new(uint32_t id, size_t at) {
    ids_[distinct_] = static_cast<int32_t>(id);
    start_[distinct_++] = static_cast<uint32_t>(at);
  }

  void sort_by_counting(size_t table_rows) {
    uint32_t* const begin = begin_.data();
    const uint32_t* const keys = keys_.data();
    std::fill_n(begin, table_rows, 0u);
    for (size_t i = 0; i < count_; i++) begin[keys[i]]++;
    uint32_t sum = 0;
    for (size_t id = 0; id < table_rows; id++) {
      const uint32_t own = begin[id];
      if (own > 0) begin_new(static_cast<uint32_t>(id), sum);
      begin[id] = sum;
      sum += own;
    }
    uint32_t* const to = spare_rows_.data();
    const uint32_t* const rows = rows_.data();
    for (size_t i = 0; i < count_; i++) to[begin[keys[i]]++] = rows[i];
    rows_.swap(spare_rows_);
  }

  // Least significant digit first.
  void sort_by_digits(int64_t table_rows) {
    constexpr uint32_t kMask = (1u << kDigit) - 1;
    const int bits = std::bit_width(static_cast<uint64_t>(table_rows - 1));
    uint32_t* const begin = begin_.data();
    for (int shift = 0; shift < bits; shift += kDigit) {
      const uint32_t *const keys = keys_.data(), *const rows = rows_.data();
      uint32_t *const to_keys = spare_keys_.data(), *const to_rows = spare_rows_.data();
      std::fill_n(begin, kMask + 1, 0u);
      for (size_t i = 0; i < count_; i++) begin[keys[i] >> shift & kMask]++;
      uint32_t sum = 0;
      for (uint32_t digit = 0; digit <= kMask; digit++) sum += std::exchange(begin[digit], sum);
      for (size_t i = 0; i < count_; i++) {
        const uint32_t to = begin[keys[i] >> shift & kMask]++;
        to_keys[to] = keys[i];
        to_rows[to] = rows[i];
      }
      keys_.swap(spare_keys_);
      rows_.swap(spare_rows_);
    }
    for (size_t i = 0; i < count_; i++)
      if (i == 0 || keys_[i] != keys_[i - 1]) begin_new(keys_[i], i);
  }

  std::vector<uint32_t> keys_, rows_, spare_keys_, spare_rows_, start_, begin_;
  std::vector<int32_t> ids_;  // distinct ids
  size_t count_ = 0, distinct_ = 0;
};

class TableUpdate {
 public:
  mg_embedding_update op;
  int64_t table_rows, dim;
  std::vector<Feature> features;

  void reserve(int64_t rows) {
    int64_t occurrences = 0;
    first_.assign(1, 0);
    for (const Feature& feature : features) {
      occurrences += rows * feature.length;
      first_.push_back(first_.back() + feature.numbers(rows));
      if (first_.back() > UINT32_MAX) throw std::invalid_argument("more than 2^32 gradients of ids of one table in a batch; use a smaller batch");
    }
    index_.reserve(occurrences, table_rows);
    scale_.reserve(rows * static_cast<int64_t>(features.size()));
    units_ = op.exact ? std::clamp<int64_t>(table_rows * dim / 16384, 1, 64) : std::clamp<int64_t>(occurrences / 1024, 1, 32);
    sums_.reserve(units_ * piece_floats());
    penalties_.assign(static_cast<size_t>(units_), 0.0);
  }

  void build_index(const Plan& plan, int64_t rows) {
    Occurrences found = index_.fill();
    const uint32_t* const first = found.key;
    for (size_t f = 0; f < features.size(); f++) {
      const Feature& feature = features[f];
      const int32_t* const ids = plan.ids_of(feature.ids);
      const auto number = static_cast<uint32_t>(first_[f]);
      float* const scale = feature.combiner == MG_MEAN ? scale_.data() + static_cast<int64_t>(f) * rows : nullptr;
      found = feature.combiner == MG_CONCAT ? list_items(ids, rows, feature.length, dim, feature.gradient.stride, number, found)
                                            : list_ids(ids, rows, feature.length, feature.combiner != MG_SINGLE, number, scale, found);
    }
    index_.filled(found.key - first);
    index_.sort(table_rows);
  }

  int64_t units() const { return units_; }

  void update(const Plan& plan, const mg_run& run, const UpdateRule& rule, int64_t unit) {
    Parameters table = parameters_of(op, op.table, run);
    table.width = dim, table.moment_width = moment_width_of(op.rule, dim);
    Parameters piece = table;
    piece.gradient = sums_.data() + unit * piece_floats();
    double& penalty = penalties_[static_cast<size_t>(unit)] = 0;
    if (op.exact) {
      const auto [first, end] = unit_range(unit, units_, table_rows);
      int64_t next = index_.find(first);
      for (int64_t row = first; row < end; row += piece.rows) {
        float* const sums = piece.gradient;
        piece = part_of(table, row);
        piece.rows = std::min(end - row, rows_at_once()), piece.gradient = sums;
        std::fill_n(sums, piece.rows * dim, 0.0f);
        for (; next < index_.distinct() && index_.id(next) < row + piece.rows; next++)
          sum_gradients(plan, run, next, 1, {}, sums + (index_.id(next) - row) * dim);
        penalty += apply(plan, rule, piece);
      }
      return;
    }
    const auto [first, end] = unit_range(unit, units_, index_.distinct());
    for (int64_t i = first; i < end; i += piece.rows) {
      piece.rows = std::min(end - i, rows_at_once()), piece.ids = index_.ids(i);
      sum_gradients(plan, run, i, piece.rows, piece, piece.gradient);
      penalty += apply(plan, rule, piece);
    }
  }

  double penalty() const {
    double sum = 0;
    for (const double part : penalties_) sum += part;
    return sum;
  }

 private:
  // A piece of the table. The gradients, rows and moments of this piece and the next fit into L1 (2 KiB each).
  int64_t rows_at_once() const { return std::max<int64_t>(1, 512 / dim); }
  int64_t piece_floats() const { return padded(rows_at_once() * dim); }

  // sum[k] = the gradient of distinct id i + k. Adds the rows of the first feature, then those of the next. wanted: as in SumRows.
  void sum_gradients(const Plan& plan, const mg_run& run, int64_t i, int64_t count, Parameters wanted, float* sum) const {
    const auto sum_feature = [&](size_t f, int64_t ids, const uint32_t* rows, const uint32_t* start, uint32_t listed, float* to) {
      const Rows& g = features[f].gradient;
      // Occurrences are numbered over all features: subtract those before this one.
      const int64_t step = features[f].step();
      const float* x = plan.stored.data() + g.region * run.rows + g.column - first_[f] * step;
      const float* scale = features[f].combiner == MG_MEAN ? scale_.data() + static_cast<int64_t>(f) * run.rows - first_[f] : nullptr;
      const SumRows sums{dim, ids, rows, start, listed, x, step, scale, to, f > 0, f == 0 ? wanted : Parameters{}};
      plan.kernels->sum_rows(&sums);
    };
    if (features.size() == 1) return sum_feature(0, count, index_.rows(), index_.start(i), index_.listed(), sum);
    for (int64_t k = i; k < i + count; k++, sum += dim) {
      const uint32_t* row = index_.rows() + index_.start(k)[0];
      const uint32_t* const end = index_.rows() + index_.start(k)[1];
      for (size_t f = 0; f < features.size(); f++) {
        const uint32_t* const next = std::lower_bound(row, end, first_[f + 1]);
        const uint32_t range[] = {0, static_cast<uint32_t>(next - row)};
        sum_feature(f, 1, row, range, range[1], sum);
        row = next;
      }
      if (wanted.w) wanted.ids++;
    }
  }

  double apply(const Plan& plan, const UpdateRule& rule, const Parameters& piece) const {
    double penalty = 0;
    if (op.l1 != 0 || op.l2 != 0) penalty = plan.kernels->penalty(&piece, static_cast<float>(op.l1), static_cast<float>(op.l2));
    plan.kernels->update(&rule, &piece);
    return penalty;
  }

  IdIndex index_;
  std::vector<int64_t> first_;  // the number of each feature's first occurrence; last, of all occurrences
  Floats scale_;                // 1 / number of ids, per row of each mean feature
  int64_t units_ = 1;
  Floats sums_;  // per unit: the gradients of a piece
  std::vector<double> penalties_;
};

// Updates all tables of a step in one parallel region, because most are small.
struct UpdateTables final : StepOp {
  UpdateTables() : StepOp(MG_PHASE_TABLES) {}
  std::vector<std::unique_ptr<TableUpdate>> tables;

  void reserve(const Plan&, int64_t rows) override {
    for (const auto& table : tables) table->reserve(rows);
  }
  int64_t early_units(const Plan&) const override { return static_cast<int64_t>(tables.size()); }
  void early(const Plan& plan, const mg_run& run, int64_t unit) override { tables[static_cast<size_t>(unit)]->build_index(plan, run.rows); }

  void run(Plan& plan, const mg_run& run, Team& team) override {
    int64_t units = 0;
    for (const auto& table : tables) units += table->units();
    team.parallel(units, [&](int64_t unit, int) {
      for (const auto& table : tables) {
        if (unit < table->units()) return table->update(plan, run, make_rule(table->op, run), unit);
        unit -= table->units();
      }
    });
    for (const auto& table : tables)
      if (table->op.l1 != 0 || table->op.l2 != 0) run.scalars_out[table->op.loss] += table->penalty();
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_embedding_gather& op) {
  auto compiled = std::make_unique<GatherOp>();
  compiled->ids = builder.ids(op.ids);
  compiled->y = builder.rows(op.y);
  compiled->table = op.table;
  compiled->combiner = op.combiner;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_embedding_update& op) {
  auto table = std::make_unique<TableUpdate>();
  table->op = op;
  const mg_buffer& buffer = builder.plan.buffers[static_cast<size_t>(op.table.buffer)];
  table->table_rows = buffer.count;
  table->dim = buffer.width;
  for (uint32_t i = 0; i < op.ids.count; i++)
    table->features.push_back(
        {builder.ids(op.ids.items[i]).buffer, op.ids.items[i].width, op.combiners.items[i], builder.rows(op.gradients.items[i])});
  // copy: the program owns the lists and may be gone when the plan runs
  table->op.ids = {}, table->op.gradients = {}, table->op.combiners = {};
  auto* last = builder.plan.step_ops.empty() ? nullptr : dynamic_cast<UpdateTables*>(builder.plan.step_ops.back().get());
  if (!last) {
    auto fresh = std::make_unique<UpdateTables>();
    last = fresh.get();
    builder.add(std::move(fresh));
  }
  last->tables.push_back(std::move(table));
}

}  // namespace mg
