// Embedding tables: the gather, and the update that sums the gradients of equal ids first.
//
// While rows are being worked on, one unit per table sorts the batch's (id, row) pairs by id, stably: equal ids then
// stand together in the order of features and rows. The update walks distinct ids in units; each id is one thread's work
// from the first addition to the last, so the bits do not depend on threads.
#include <algorithm>
#include <bit>
#include <stdexcept>

#include "cpu/ops/update_rule.h"

namespace mg {
namespace {

struct GatherOp final : RowsOp {
  Rows ids, y;
  mg_view table;
  int64_t dim, combiner;

  void run(const Block& block) const override {
    const RowPointer from = block.at(ids), to = block.at(y);
    const Gather arguments{block.rows, ids.width, dim, combiner, reinterpret_cast<const int32_t*>(from.data),
                           bound(block.run, table), to.data, to.stride};
    block.plan.kernels->gather(&arguments);
  }
};

constexpr int64_t kAhead = 8;  // rows whose ids are fetched before they are wanted

struct Feature {
  int32_t ids;  // row input buffer
  int64_t length, combiner;
  Rows gradient;
};

// The occurrences of one batch, sorted by id.
class IdIndex {
 public:
  void reserve(int64_t occurrences) {
    if (occurrences > UINT32_MAX) throw std::invalid_argument("more than 2^32 ids of one table in a batch");
    const auto count = static_cast<size_t>(occurrences);
    if (keys_.size() >= count) return;
    for (auto* list : {&keys_, &rows_, &spare_keys_, &spare_rows_}) list->resize(count);
    start_.resize(count + 1);
  }

  void clear() { count_ = 0; }
  void add(uint32_t id, uint32_t row) {
    keys_[count_] = id;
    rows_[count_++] = row;
  }

  // Least significant digit first, 11 bits at a time; then notes where each distinct id begins.
  void sort(int64_t table_rows) {
    constexpr int kDigit = 11;
    const int bits = std::bit_width(static_cast<uint64_t>(table_rows - 1));
    for (int shift = 0; shift < bits; shift += kDigit) {
      uint32_t begin[1 << kDigit] = {};
      for (size_t i = 0; i < count_; i++) begin[keys_[i] >> shift & ((1 << kDigit) - 1)]++;
      uint32_t sum = 0;
      for (uint32_t& entry : begin) sum += std::exchange(entry, sum);
      for (size_t i = 0; i < count_; i++) {
        const uint32_t to = begin[keys_[i] >> shift & ((1 << kDigit) - 1)]++;
        spare_keys_[to] = keys_[i];
        spare_rows_[to] = rows_[i];
      }
      keys_.swap(spare_keys_);
      rows_.swap(spare_rows_);
    }
    distinct_ = 0;
    for (size_t i = 0; i < count_; i++)
      if (i == 0 || keys_[i] != keys_[i - 1]) start_[distinct_++] = static_cast<uint32_t>(i);
    start_[distinct_] = static_cast<uint32_t>(count_);
  }

  int64_t distinct() const { return static_cast<int64_t>(distinct_); }
  int64_t id(int64_t i) const { return keys_[start_[static_cast<size_t>(i)]]; }
  // The first distinct id >= id.
  int64_t find(int64_t id) const {
    int64_t low = 0, high = distinct();
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      (this->id(middle) < id ? low : high) = this->id(middle) < id ? middle + 1 : middle;
    }
    return low;
  }
  // The rows in which distinct id i occurs, and how many entries lie from there to the end of the list.
  const uint32_t* rows(int64_t i) const { return rows_.data() + start_[static_cast<size_t>(i)]; }
  int64_t count(int64_t i) const { return start_[static_cast<size_t>(i) + 1] - start_[static_cast<size_t>(i)]; }
  int64_t listed(int64_t i) const { return static_cast<int64_t>(count_) - start_[static_cast<size_t>(i)]; }

 private:
  std::vector<uint32_t> keys_, rows_, spare_keys_, spare_rows_, start_;
  size_t count_ = 0, distinct_ = 0;
};

class TableUpdate {
 public:
  mg_embedding_update op;
  int64_t table_rows, dim;
  std::vector<Feature> features;

  void reserve(int64_t rows) {
    int64_t occurrences = 0;
    for (const Feature& feature : features) occurrences += rows * feature.length;
    index_.reserve(occurrences);
    scale_.reserve(rows * static_cast<int64_t>(features.size()));
    units_ = op.exact ? std::clamp<int64_t>(table_rows * dim / 16384, 1, 64) : std::clamp<int64_t>(occurrences / 1024, 1, 32);
    sums_.reserve(units_ * sum_floats());
    penalties_.assign(static_cast<size_t>(units_), 0.0);
  }

  void build_index(const mg_run& run) {
    index_.clear();
    uint32_t row = 0;  // of all features, one after another
    for (const Feature& feature : features) {
      const auto* ids = static_cast<const int32_t*>(run.data[feature.ids]);
      const auto at = [&](int64_t r) { return ids + (run.row_index ? run.row_index[r] : r) * feature.length; };
      for (int64_t r = 0; r < run.rows; r++, row++) {
        if (r + kAhead < run.rows) __builtin_prefetch(at(r + kAhead));
        const int32_t* own = at(r);
        int64_t present = 0;
        for (int64_t k = 0; k < feature.length; k++) {
          if (feature.combiner != 0 && own[k] == 0) continue;
          index_.add(static_cast<uint32_t>(own[k]), row);
          present++;
        }
        if (feature.combiner == 1) scale_.data()[row] = present ? 1.0f / static_cast<float>(present) : 0.0f;
      }
    }
    index_.sort(table_rows);
  }

  int64_t units() const { return units_; }

  void update(const Plan& plan, const mg_run& run, const UpdateRule& rule, int64_t unit) {
    float* const sums = sums_.data() + unit * sum_floats();
    double& penalty = penalties_[static_cast<size_t>(unit)] = 0;
    if (op.exact) {
      const auto [first, end] = unit_range(unit, units_, table_rows);
      int64_t next = index_.find(first);
      for (int64_t row = first; row < end;) {
        const int64_t count = std::min(end - row, rows_at_once());
        std::fill_n(sums, count * dim, 0.0f);
        for (; next < index_.distinct() && index_.id(next) < row + count; next++)
          sum_gradients(plan, run, next, sums + (index_.id(next) - row) * dim);
        penalty += apply(plan, run, rule, row, count, sums);
        row += count;
      }
      return;
    }
    const auto [first, end] = unit_range(unit, units_, index_.distinct());
    for (int64_t i = first; i < end; i++) {
      if (i + kAhead < end) prefetch(run, index_.id(i + kAhead));
      std::fill_n(sums, dim, 0.0f);
      sum_gradients(plan, run, i, sums);
      penalty += apply(plan, run, rule, index_.id(i), 1, sums);
    }
  }

  double penalty() const {
    double sum = 0;
    for (const double part : penalties_) sum += part;
    return sum;
  }

 private:
  int64_t rows_at_once() const { return std::max<int64_t>(1, 2048 / dim); }
  int64_t sum_floats() const { return padded(rows_at_once() * dim); }

  // The rows of one id: those of the first feature come first, then those of the next.
  void sum_gradients(const Plan& plan, const mg_run& run, int64_t i, float* sum) const {
    const uint32_t* row = index_.rows(i);
    const uint32_t* const end = row + index_.count(i);
    const uint32_t* const last = row + index_.listed(i);
    for (size_t f = 0; row < end; f++) {
      const int64_t before = static_cast<int64_t>(f) * run.rows;
      const uint32_t* const next = f + 1 == features.size() ? end : std::lower_bound(row, end, before + run.rows);
      const Rows& g = features[f].gradient;
      // Rows count over all features: from here it is those of this one.
      const float* x = plan.stored.data() + g.region * run.rows + g.column - before * g.stride;
      const SumRows sums{dim, next - row, features.size() == 1 ? last - row : next - row, row, x, g.stride,
                         features[f].combiner == 1 ? scale_.data() : nullptr, sum};
      plan.kernels->sum_rows(&sums);
      row = next;
    }
  }

  // A row of the table and of its moments, to be updated soon.
  void prefetch(const mg_run& run, int64_t id) const {
    const Moments own = moments_of(op, run);
    for (const float* memory : {static_cast<const float*>(bound(run, op.table)), static_cast<const float*>(own.first), static_cast<const float*>(own.second)})
      if (memory)
        for (int64_t c = 0; c < dim; c += 16) __builtin_prefetch(memory + id * dim + c, 1);
  }

  double apply(const Plan& plan, const mg_run& run, const UpdateRule& rule, int64_t row, int64_t count, float* gradient) const {
    const int64_t at = row * dim, elements = count * dim;
    float* const w = bound(run, op.table) + at;
    const Moments own = moments_of(op, run).from(at);
    double penalty = 0;
    if (op.l1 != 0 || op.l2 != 0)
      penalty = plan.kernels->penalty(elements, w, static_cast<float>(op.l1), static_cast<float>(op.l2), gradient);
    plan.kernels->update(&rule, elements, w, gradient, &own);
    return penalty;
  }

  IdIndex index_;
  Floats scale_;  // 1 / ids present, per row of each mean feature
  int64_t units_ = 1;
  Floats sums_;
  std::vector<double> penalties_;
};

// All tables of a step in one parallel region: most are small.
struct UpdateTables final : StepOp {
  std::vector<std::unique_ptr<TableUpdate>> tables;

  void reserve(const Plan&, int64_t rows) override {
    for (const auto& table : tables) table->reserve(rows);
  }
  int64_t early_units(const Plan&) const override { return static_cast<int64_t>(tables.size()); }
  void early(const Plan&, const mg_run& run, int64_t unit) override { tables[static_cast<size_t>(unit)]->build_index(run); }

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
  compiled->ids = builder.rows(op.ids);
  compiled->y = builder.rows(op.y);
  compiled->table = op.table;
  compiled->dim = op.y.width;
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
        {op.ids.items[i].buffer, op.ids.items[i].width, op.combiners.items[i], builder.rows(op.gradients.items[i])});
  // the lists belong to the program, which may be gone when the plan runs
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
