// Cases of column copies, gathers, fusion, dropout, the noise of gates and table updates.
#include "selftest/cases/cases.h"
#include "selftest/cases/rule.h"

namespace selftest {

namespace {

// The number of consecutive ops of the case's kind.
int64_t some_ops(Random& random, int64_t many) { return random.chance(0.6) ? 1 : random.chance(0.1) ? many : random.between(2, 7); }

}  // namespace

Program copy_columns_case(Random& random, int64_t rows) {
  Program p("copy_columns");
  p.rows = rows;
  for (int64_t i = some_ops(random, 100); i > 0; i--) {
    const int64_t width = random.between(1, 40), from = random.between(0, 20), to = random.between(0, 20);
    mg_view x = p.input(from + width, random.floats(rows * (from + width)));
    mg_view y = p.output(to + width);
    x.offset = from, x.width = width;
    y.offset = to, y.width = width;
    p.add(mg_copy_columns{x, y});
    if (random.chance(0.1)) {  // overwrites columns of the op before
      x.width = y.width = random.between(1, width);
      y.offset = to + random.between(0, width - x.width);
      p.add(mg_copy_columns{x, y});
    }
  }
  return p;
}

namespace {

// The frequency of id 0 and of one other id in a case: normal, often, or nearly always.
std::vector<int32_t> some_ids(Random& random, int64_t count, int64_t vocabulary) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  const auto popular = static_cast<int32_t>(random.between(0, vocabulary - 1));
  const double share = random.pick<double>({0, 0.3, 0.99});
  for (int32_t& id : ids) id = random.chance(0.3) ? 0 : random.chance(share) ? popular : static_cast<int32_t>(random.between(0, vocabulary - 1));
  return ids;
}

}  // namespace

namespace {

// Every combiner from one table, then a step of rate 1: it subtracts the gradient of the outputs times some weights.
void add_gathers_and_step(Program& p, Random& random) {
  const int64_t vocabulary = random.between(2, 40), dim = random.pick<int64_t>({1, 3, 4, 16, 17, 33});
  const mg_view table = p.table(dim, random.floats(vocabulary * dim));
  std::vector<mg_view> ids, gradients;
  std::vector<int64_t> combiners;
  for (int64_t i = random.between(1, 4); i > 0; i--) {
    const int64_t combiner = random.chance(0.5) ? int64_t{MG_CONCAT} : random.between(MG_SINGLE, MG_SUM);
    const int64_t length = combiner == MG_SINGLE ? 1 : random.between(1, 7), width = combiner == MG_CONCAT ? length * dim : dim;
    ids.push_back(p.ids(length, some_ids(random, p.rows * length, vocabulary)));
    combiners.push_back(combiner);
    const mg_view y = p.output(width), dy = p.input(width, random.floats(p.rows * width));
    p.add(mg_embedding_gather{table, ids.back(), y, combiner});
    // Among other columns, which no op writes.
    const int64_t before = random.pick<int64_t>({0, 0, 3, 4});
    gradients.push_back({p.stored(before + width).buffer, before, width});
    p.add(mg_copy_columns{dy, gradients.back()});
    p.weighted_outputs.emplace_back(y.buffer, dy.buffer);
  }
  mg_embedding_update op{};
  op.table = table, op.ids = p.list(ids), op.gradients = p.list(gradients), op.combiners = p.list(combiners);
  op.moment1 = op.moment2 = op.moment3 = op.average = kAbsent;
  op.learning_rate = p.scalar(1), op.step = p.scalar(1);
  op.exact = random.between(0, 1);
  op.loss = p.scalar_output();
  p.add(op);
  p.moved_tables.push_back(table.buffer);
}

}  // namespace

Program embedding_gather_case(Random& random, int64_t rows) {
  Program p("embedding_gather");
  p.rows = rows;
  for (int64_t i = some_ops(random, 50); i > 0; i--) {
    const int64_t vocabulary = random.between(1, 60), dim = random.pick<int64_t>({1, 3, 4, 8, 16, 17, 33, 64, 132});
    const int64_t combiner = random.between(0, 2), length = combiner == 0 ? 1 : random.between(1, 7);
    const mg_view table = p.table(dim, random.floats(vocabulary * dim));
    // Among other columns, which no other op writes.
    const int64_t before = random.pick<int64_t>({0, 0, 3, 4});
    mg_view y = p.output(before + dim + random.pick<int64_t>({0, 0, 1, 4}));
    y.offset = before, y.width = dim;
    p.add(mg_embedding_gather{table, p.ids(length, some_ids(random, rows * length, vocabulary)), y, combiner});
  }
  if (random.chance(0.5)) add_gathers_and_step(p, random);
  return p;
}

namespace {

// Some features of one table, with penalty; lazy or exact. If it is the only table, sometimes it has many rows, more ids than one launch has
// blocks for, or longer bags: with a popular id, thousands of its occurrences. with_concat: some features are not pooled.
mg_embedding_update some_update(Program& p, Random& random, bool is_only, bool with_concat) {
  const int64_t rows = p.rows;
  const bool large = is_only && random.chance(0.02), many = is_only && random.chance(0.02);
  const int64_t vocabulary = large ? (1 << 20) + 3 : random.pick<int64_t>({1, 2, 300, random.between(2, 90)});
  const int64_t dim = large || many ? random.pick<int64_t>({1, 4}) : random.pick<int64_t>({1, 3, 4, 16, 19, 33, 64, 132});
  const int64_t elements = vocabulary * dim, features = random.chance(is_only ? 0.08 : 0.01) ? 35 : random.between(1, 3);
  const int64_t before = random.pick<int64_t>({0, 0, 2});  // columns of the stored buffer that belong to no table
  std::vector<mg_view> ids, gradients;
  std::vector<int64_t> combiners;
  const mg_view stored = p.stored(before + features * dim);
  int64_t column = before;
  for (int64_t f = 0; f < features; f++) {
    const int64_t pooled = many && f == 0 ? random.between(1, 2) : random.between(0, 2), most = f == 0 && random.chance(0.1) ? 40 : 5;
    const int64_t combiner = with_concat && random.chance(0.6) ? int64_t{MG_CONCAT} : pooled;
    const int64_t length = many && f == 0 ? 300'000 / rows + 1 : combiner == 0 ? 1 : random.between(1, most);
    const int64_t width = combiner == MG_CONCAT ? length * dim : dim;
    ids.push_back(p.ids(length, some_ids(random, rows * length, vocabulary)));
    combiners.push_back(combiner);
    const mg_view columns{stored.buffer, column, width};
    p.add(mg_copy_columns{p.input(width, random.floats(rows * width)), columns});
    gradients.push_back(columns);
    column += width;
  }
  p.buffers[static_cast<size_t>(stored.buffer)].width = column;
  mg_embedding_update op{};
  op.table = p.table(dim, random.floats(elements));
  fill_rule(p, random, op, elements, vocabulary);
  op.ids = p.list(ids), op.gradients = p.list(gradients), op.combiners = p.list(combiners);
  op.exact = random.between(0, 1);
  op.loss = p.scalar_output();
  op.l1 = random.chance(0.5) ? 0.01 : 0, op.l2 = random.chance(0.5) ? 0.02 : 0;
  return op;
}

}  // namespace

// One table or several, each with its own width, rule and penalty. Sometimes the penalties share a scalar output.
Program embedding_update_case(Random& random, int64_t rows) {
  Program p("embedding_update");
  p.rows = rows;
  std::vector<mg_embedding_update> updates;
  const int64_t count = random.chance(0.6) ? 1 : random.chance(0.05) ? 12 : random.between(2, 4);
  const bool one_loss = random.chance(0.3);
  for (int64_t i = 0; i < count; i++) {
    updates.push_back(some_update(p, random, count == 1, false));
    if (one_loss) updates.back().loss = updates[0].loss;
  }
  if (random.chance(0.5)) updates.push_back(some_update(p, random, false, true));
  // The squares of some tables or all, and some that are limited by them.
  if (random.chance(0.5)) {
    const int64_t squares = p.scalar_output();
    for (mg_embedding_update& op : updates) {
      if (random.chance(0.8)) p.add(mg_table_squares{op.table, op.ids, op.gradients, op.combiners, op.exact, squares, op.l1, op.l2});
      if (random.chance(0.5)) limit_length(random, op, squares);
    }
  }
  for (const mg_embedding_update& op : updates) p.add(op);
  return p;
}

Program fusion_case(Random& random, int64_t rows) {
  Program p("fusion");
  p.rows = rows;
  const int64_t width = random.between(1, 70), count = random.chance(0.1) ? random.between(7, 20) : random.between(1, 6);
  const int64_t kind = random.between(0, 1);
  std::vector<mg_view> inputs, dinputs;
  std::vector<int64_t> accumulate;
  const bool adds = random.chance(0.2);
  for (int64_t i = 0; i < count; i++) {
    std::vector<float> values = random.floats(rows * width);
    for (float& value : values)
      if (random.chance(0.02)) value = 0;
    inputs.push_back(p.input(width, std::move(values)));
    dinputs.push_back(random.chance(0.9) ? p.output(width) : kAbsent);
    accumulate.push_back(dinputs.back().buffer >= 0 && adds && random.chance(0.5));
    if (accumulate.back())
      add_before(p, random, dinputs.back());
    else if (dinputs.back().buffer >= 0)
      p.derivatives.push_back({inputs.back().buffer, dinputs.back().buffer});
  }
  const mg_view y = p.output(width), dy = p.input(width, random.floats(rows * width));
  p.weighted_outputs.emplace_back(y.buffer, dy.buffer);
  if (random.chance(0.3))  // gradients of the first columns
    for (size_t i = 0; i < dinputs.size(); i++) {
      if (dinputs[i].buffer < 0 || random.chance(0.3)) continue;
      dinputs[i].width = random.between(1, width);
      if (!accumulate[i]) p.buffers[static_cast<size_t>(dinputs[i].buffer)].width = dinputs[i].width;
    }
  p.add(mg_fusion_forward{p.list(inputs), y, kind});
  p.add(mg_fusion_backward{p.list(inputs), dy, p.list(dinputs), p.list(accumulate), kind});
  return p;
}

Program dropout_case(Random& random, int64_t rows) {
  Program p("dropout");
  p.rows = rows;
  for (int64_t i = some_ops(random, 60); i > 0; i--) {
    const int64_t width = random.between(1, 150);
    mg_dropout op{};
    op.x = p.input(width, random.floats(rows * width)), op.y = p.output(width);
    op.seed = static_cast<int64_t>(random.bits() >> 11), op.stream = random.between(0, 1000);
    op.step = p.scalar(static_cast<double>(random.between(1, 1000)));
    op.rate = random.pick<double>({0, 0.1, 0.3, 0.99, 0.999999});
    p.add(op);
    if (random.chance(0.2)) {  // reads the output of the op before
      op.x = p.activation(width), p.ops.back().fields.dropout.y = op.x;
      op.stream++;
      p.add(op);
    }
  }
  return p;
}

Program gate_noise_case(Random& random, int64_t rows) {
  Program p("gate_noise");
  p.rows = rows;
  for (int64_t i = some_ops(random, 60); i > 0; i--) {
    const int64_t width = random.between(1, random.chance(0.5) ? 8 : 150);
    mg_gate_noise op{};
    op.x = p.input(width, random.floats(rows * width)), op.y = p.output(width);
    op.seed = static_cast<int64_t>(random.bits() >> 11), op.stream = random.between(0, 1000);
    op.step = p.scalar(static_cast<double>(random.between(1, 1000)));
    op.deviation = random.pick<double>({0, 0.1, 1, 30});
    // Dropped elements are so large that no comparison would see the others.
    op.dropout = random.pick<double>({0, 0, 0.2, 0.7, 0.999999});
    p.add(op);
  }
  return p;
}

}  // namespace selftest
