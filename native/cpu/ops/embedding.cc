// Embedding tables: the gather, and the update that sums the gradients of equal ids first.
//
// During the rows phase one unit per table sorts the batch's (id, row) pairs stably by id. Equal ids are then adjacent, in the
// order of features and rows. The update processes distinct ids in units. One thread does all additions of an id, so the
// bits do not depend on threads.
#include <algorithm>
#include <bit>
#include <memory>
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
  bool operator==(const Feature& other) const {
    return ids == other.ids && length == other.length && combiner == other.combiner && gradient.region == other.gradient.region &&
           gradient.column == other.gradient.column && gradient.stride == other.gradient.stride;
  }
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

// The occurrences of a table's ids in a batch, and the sums of their gradients. The update of a table and its sum of squares share them.
class TableSums {
 public:
  template <class Op>
  TableSums(PlanBuilder& builder, const Op& op) : table_(op.table.buffer) {
    const mg_buffer& table = builder.plan.buffers[static_cast<size_t>(table_)];
    table_rows_ = table.count, dim_ = table.width;
    for (uint32_t i = 0; i < op.ids.count; i++)
      features_.push_back({builder.ids(op.ids.items[i]).buffer, op.ids.items[i].width, op.combiners.items[i], builder.rows(op.gradients.items[i])});
  }

  int64_t table_rows() const { return table_rows_; }
  int64_t dim() const { return dim_; }
  const IdIndex& index() const { return index_; }
  int64_t occurrences(int64_t rows) const {
    int64_t count = 0;
    for (const Feature& feature : features_) count += rows * feature.length;
    return count;
  }

  bool is_of(const TableSums& other) const {
    return table_ == other.table_ && std::equal(features_.begin(), features_.end(), other.features_.begin(), other.features_.end());
  }

  void reserve(int64_t rows) {
    first_.assign(1, 0);
    for (const Feature& feature : features_) {
      first_.push_back(first_.back() + feature.numbers(rows));
      if (first_.back() > UINT32_MAX) throw std::invalid_argument("more than 2^32 gradients of ids of one table in a batch; use a smaller batch");
    }
    index_.reserve(occurrences(rows), table_rows_);
    scale_.reserve(rows * static_cast<int64_t>(features_.size()));
  }

  void build_index(const Plan& plan, int64_t rows) {
    Occurrences found = index_.fill();
    const uint32_t* const first = found.key;
    for (size_t f = 0; f < features_.size(); f++) {
      const Feature& feature = features_[f];
      const int32_t* const ids = plan.ids_of(feature.ids);
      const auto number = static_cast<uint32_t>(first_[f]);
      float* const scale = feature.combiner == MG_MEAN ? scale_.data() + static_cast<int64_t>(f) * rows : nullptr;
      found = feature.combiner == MG_CONCAT ? list_items(ids, rows, feature.length, dim_, feature.gradient.stride, number, found)
                                            : list_ids(ids, rows, feature.length, feature.combiner != MG_SINGLE, number, scale, found);
    }
    index_.filled(found.key - first);
    index_.sort(table_rows_);
  }

  // sum[k] = the gradient of distinct id i + k. Adds the rows of the first feature, then those of the next. wanted: as in SumRows.
  void sum(const Plan& plan, const mg_run& run, int64_t i, int64_t count, Parameters wanted, float* sum) const {
    const auto sum_feature = [&](size_t f, int64_t ids, const uint32_t* rows, const uint32_t* start, uint32_t listed, float* to) {
      const Rows& g = features_[f].gradient;
      // Occurrences are numbered over all features: subtract those before this one.
      const int64_t step = features_[f].step();
      const float* x = plan.stored.data() + g.region * run.rows + g.column - first_[f] * step;
      const float* scale = features_[f].combiner == MG_MEAN ? scale_.data() + static_cast<int64_t>(f) * run.rows - first_[f] : nullptr;
      const SumRows sums{dim_, ids, rows, start, listed, x, step, scale, to, f > 0, f == 0 ? wanted : Parameters{}};
      plan.kernels->sum_rows(&sums);
    };
    if (features_.size() == 1) return sum_feature(0, count, index_.rows(), index_.start(i), index_.listed(), sum);
    for (int64_t k = i; k < i + count; k++, sum += dim_) {
      const uint32_t* row = index_.rows() + index_.start(k)[0];
      const uint32_t* const end = index_.rows() + index_.start(k)[1];
      for (size_t f = 0; f < features_.size(); f++) {
        const uint32_t* const next = std::lower_bound(row, end, first_[f + 1]);
        const uint32_t range[] = {0, static_cast<uint32_t>(next - row)};
        sum_feature(f, 1, row, range, range[1], sum);
        row = next;
      }
      if (wanted.w) wanted.ids++;
    }
  }

 private:
  int32_t table_;
  int64_t table_rows_, dim_;
  std::vector<Feature> features_;
  IdIndex index_;
  std::vector<int64_t> first_;  // the number of each feature's first occurrence; last, of all occurrences
  Floats scale_;                // 1 / number of ids, per row of each mean feature
};

// A pass over the gradients of a table's rows: those whose id occurs, or all.
class TablePass {
 public:
  TablePass(std::shared_ptr<TableSums> of, bool exact, double l1, double l2)
      : sums(std::move(of)), exact_(exact), l1_(static_cast<float>(l1)), l2_(static_cast<float>(l2)) {}

  const std::shared_ptr<TableSums> sums;

  bool has_penalty() const { return l1_ != 0 || l2_ != 0; }
  int64_t units() const { return units_; }

  void reserve(int64_t rows) {
    sums->reserve(rows);
    units_ =
        exact_ ? std::clamp<int64_t>(sums->table_rows() * sums->dim() / 16384, 1, 64) : std::clamp<int64_t>(sums->occurrences(rows) / 1024, 1, 32);
    memory_.reserve(units_ * piece_floats());
    totals_.assign(static_cast<size_t>(units_), 0.0);
  }

  // Calls take(piece) for each piece of a unit, with the gradient and its penalty. piece: rows of `table`. What it returns and the penalties
  // of the unit, if `counts` them, are added up.
  template <class Take>
  void run(const Plan& plan, const mg_run& run, const Parameters& table, int64_t unit, bool counts_penalty, const Take& take) {
    double& total = totals_[static_cast<size_t>(unit)] = 0;
    const auto add = [&](const Parameters& piece) {
      if (has_penalty()) {
        const double penalty = plan.kernels->penalty(&piece, l1_, l2_);
        if (counts_penalty) total += penalty;
      }
      total += take(piece);
    };
    float* const memory = memory_.data() + unit * piece_floats();
    Parameters piece = table;
    piece.gradient = memory;
    const IdIndex& index = sums->index();
    const int64_t dim = sums->dim();
    if (exact_) {
      const auto [first, end] = unit_range(unit, units_, sums->table_rows());
      int64_t next = index.find(first);
      for (int64_t row = first; row < end; row += piece.rows) {
        piece = part_of(table, row);
        piece.rows = std::min(end - row, rows_at_once()), piece.gradient = memory;
        std::fill_n(memory, piece.rows * dim, 0.0f);
        for (; next < index.distinct() && index.id(next) < row + piece.rows; next++)
          sums->sum(plan, run, next, 1, {}, memory + (index.id(next) - row) * dim);
        add(piece);
      }
      return;
    }
    const auto [first, end] = unit_range(unit, units_, index.distinct());
    for (int64_t i = first; i < end; i += piece.rows) {
      piece.rows = std::min(end - i, rows_at_once()), piece.ids = index.ids(i);
      sums->sum(plan, run, i, piece.rows, piece, memory);
      add(piece);
    }
  }

  double total() const {
    double sum = 0;
    for (const double part : totals_) sum += part;
    return sum;
  }

 private:
  // A piece of the table. The gradients, rows and moments of this piece and the next fit into L1 (2 KiB each).
  int64_t rows_at_once() const { return std::max<int64_t>(1, 512 / sums->dim()); }
  int64_t piece_floats() const { return padded(rows_at_once() * sums->dim()); }

  bool exact_;
  float l1_, l2_;
  int64_t units_ = 1;
  Floats memory_;               // per unit: the gradients of a piece
  std::vector<double> totals_;  // per unit
};

// A table's update.
struct TableUpdate {
  TablePass pass;
  mg_embedding_update op;  // without its lists
  bool sorts;              // no other op brings the ids together

  void update(const Plan& plan, const mg_run& run, const UpdateRule& rule, int64_t unit) {
    Parameters table = parameters_of(op, op.table, run);
    table.width = pass.sums->dim(), table.moment_width = moment_width_of(op.rule, table.width);
    pass.run(plan, run, table, unit, true, [&](const Parameters& piece) {
      plan.kernels->update(&rule, &piece);
      return 0.0;
    });
  }
};

// The sum of squares of a table's gradient.
struct TableSquares {
  TablePass pass;
  mg_view table;
  int64_t output;

  void add(const Plan& plan, const mg_run& run, int64_t unit) {
    Parameters rows{};
    rows.w = bound(run, table), rows.width = pass.sums->dim();
    pass.run(plan, run, rows, unit, false,
             [&](const Parameters& piece) { return plan.kernels->dot(piece.rows * piece.width, piece.gradient, piece.gradient); });
  }
};

// Calls work(table, unit of the table) for all units of some tables in one parallel region, because most tables are small.
template <class Tables, class Work>
void each_unit(Tables& tables, Team& team, const Work& work) {
  int64_t units = 0;
  for (const auto& table : tables) units += table->pass.units();
  team.parallel(units, [&](int64_t unit, int) {
    for (const auto& table : tables) {
      if (unit < table->pass.units()) return work(*table, unit);
      unit -= table->pass.units();
    }
  });
}

// All tables whose squares are wanted.
struct SquareTables final : StepOp {
  SquareTables() : StepOp(MG_PHASE_UPDATE) {}
  std::vector<std::unique_ptr<TableSquares>> tables;

  void reserve(const Plan&, int64_t rows) override {
    for (const auto& table : tables) table->pass.reserve(rows);
  }
  int64_t early_units(const Plan&) const override { return static_cast<int64_t>(tables.size()); }
  void early(const Plan& plan, const mg_run& run, int64_t unit) override {
    tables[static_cast<size_t>(unit)]->pass.sums->build_index(plan, run.rows);
  }

  void run(Plan& plan, const mg_run& run, Team& team) override {
    each_unit(tables, team, [&](TableSquares& table, int64_t unit) { table.add(plan, run, unit); });
    for (const auto& table : tables) run.scalars_out[table->output] += table->pass.total();
  }
};

// Updates all tables of a step.
struct UpdateTables final : StepOp {
  UpdateTables() : StepOp(MG_PHASE_TABLES) {}
  std::vector<std::unique_ptr<TableUpdate>> tables;

  void reserve(const Plan&, int64_t rows) override {
    for (const auto& table : tables) table->pass.reserve(rows);
  }
  int64_t early_units(const Plan&) const override { return static_cast<int64_t>(tables.size()); }
  void early(const Plan& plan, const mg_run& run, int64_t unit) override {
    const TableUpdate& table = *tables[static_cast<size_t>(unit)];
    if (table.sorts) table.pass.sums->build_index(plan, run.rows);
  }

  void run(Plan& plan, const mg_run& run, Team& team) override {
    each_unit(tables, team, [&](TableUpdate& table, int64_t unit) { table.update(plan, run, make_rule(table.op, run), unit); });
    for (const auto& table : tables)
      if (table->pass.has_penalty()) run.scalars_out[table->op.loss] += table->pass.total();
  }
};

// The step op of a kind that the program's last op has made, or a new one.
template <class Tables>
Tables& tables_of(PlanBuilder& builder) {
  auto& ops = builder.plan.step_ops;
  if (auto* const last = ops.empty() ? nullptr : dynamic_cast<Tables*>(ops.back().get())) return *last;
  auto fresh = std::make_unique<Tables>();
  Tables& made = *fresh;
  builder.add(std::move(fresh));
  return made;
}

// The same sums of an op before, or null.
std::shared_ptr<TableSums> known_sums(const Plan& plan, const TableSums& wanted) {
  for (const auto& op : plan.step_ops)
    if (const auto* const squares = dynamic_cast<const SquareTables*>(op.get()))
      for (const auto& table : squares->tables)
        if (table->pass.sums->is_of(wanted)) return table->pass.sums;
  return nullptr;
}

}  // namespace

void compile_op(PlanBuilder& builder, const mg_embedding_gather& op) {
  auto compiled = std::make_unique<GatherOp>();
  compiled->ids = builder.ids(op.ids);
  compiled->y = builder.rows(op.y);
  compiled->table = op.table;
  compiled->combiner = op.combiner;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_table_squares& op) {
  // Without a penalty, rows without an id have no gradient.
  const bool exact = op.exact != 0 && (op.l1 != 0 || op.l2 != 0);
  auto table =
      std::unique_ptr<TableSquares>(new TableSquares{TablePass(std::make_shared<TableSums>(builder, op), exact, op.l1, op.l2), op.table, op.output});
  tables_of<SquareTables>(builder).tables.push_back(std::move(table));
}

void compile_op(PlanBuilder& builder, const mg_embedding_update& op) {
  auto sums = std::make_shared<TableSums>(builder, op);
  const std::shared_ptr<TableSums> known = known_sums(builder.plan, *sums);
  auto table = std::unique_ptr<TableUpdate>(new TableUpdate{TablePass(known ? known : sums, op.exact != 0, op.l1, op.l2), op, known == nullptr});
  // copy: the program owns the lists and may be gone when the plan runs
  table->op.ids = {}, table->op.gradients = {}, table->op.combiners = {};
  tables_of<UpdateTables>(builder).tables.push_back(std::move(table));
}

}  // namespace mg
