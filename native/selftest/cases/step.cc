// Cases of ops that run once a step: penalties and the update of the flat store, after a dense layer's gradient.
#include <utility>

#include "selftest/cases/cases.h"
#include "selftest/cases/rule.h"

namespace selftest {

// Views of all sizes with separate penalties. The update uses only their gradient. Without a GRADIENT buffer there is only the loss.
Program penalty_case(Random& random, int64_t rows) {
  Program p("penalty");
  p.rows = rows;
  p.add(mg_copy_columns{p.input(1, random.floats(rows)), p.output(1)});  // a program has rows
  std::vector<mg_view> views[2];
  for (int64_t i = random.between(1, 40); i > 0; i--) {
    const int64_t width = random.chance(0.05) ? random.between(4000, 13000) : random.between(1, 70);
    std::vector<float> values = random.floats(width);
    for (float& value : values)
      if (random.chance(0.1)) value = 0;
    const mg_view view = p.parameter(values);
    const int64_t list = random.between(0, 2);
    if (list < 2) views[list].push_back(view);
  }
  const bool with_gradient = random.chance(0.8);
  p.close_store(with_gradient ? 1 : 0);
  const int64_t loss = p.scalar_output();
  const mg_view gradients = with_gradient ? p.gradients() : kAbsent;
  p.add(mg_penalty{p.list(views[0]), random.chance(0.9) ? gradients : kAbsent, loss, 0.01, random.chance(0.5) ? 0.2 : 0});
  p.add(mg_penalty{p.list(views[1]), gradients, random.chance(0.5) ? loss : p.scalar_output(), random.chance(0.5) ? 0.1 : 0, 0.02});
  if (!with_gradient) return p;
  // All of the store, or a part with any start.
  const int64_t from = random.chance(0.5) ? 0 : random.between(0, p.store_length - 1);
  mg_optimize op{};
  op.parameters = p.parameters(), op.gradients = p.gradients();
  op.parameters.offset = op.gradients.offset = from;
  op.parameters.width = op.gradients.width = p.store_length - from;
  fill_rule(p, random, op, op.parameters.width);
  p.add(op);
  return p;
}

// Up to 15 gradients, so that a GPU has more views than it passes by value. Views of one buffer side by side, and repeated ones.
Program row_gram_case(Random& random, int64_t rows) {
  Program p("row_gram");
  p.rows = rows;
  const int64_t width = random.between(1, 90), count = random.chance(0.2) ? random.between(13, 15) : random.between(1, 5);
  std::vector<mg_view> gradients;
  for (int64_t i = 0; i < count; i++) {
    const int64_t before = random.between(0, 3);
    const mg_view x = p.input(before + width, random.floats(rows * (before + width)));
    if (!gradients.empty() && random.chance(0.2)) gradients.push_back(gradients.back());
    gradients.push_back({x.buffer, before, width});
  }
  const auto pairs = static_cast<int64_t>(gradients.size() * (gradients.size() + 1) / 2);
  const int64_t output = p.scalar_outputs;
  p.scalar_outputs += pairs;
  p.add(mg_row_gram{p.list(gradients), output});
  return p;
}

// Dense layers with a gradient per task, of the weights and of rows that are kept; then products and weighted sums of both. The weighted sum of
// the weights' gradients moves them.
Program combine_case(Random& random, int64_t rows) {
  Program p("combine");
  p.rows = rows;
  p.depth = 3;
  // Some numbers of every buffer, and weights of one sign: a single number that all but cancels has no digits to compare.
  const int64_t in = random.between(4, 40), out = random.between(1, 70), count = random.chance(0.2) ? random.between(13, 15) : random.between(1, 4);
  const mg_view x = p.input(in, random.floats(rows * in)), kernel = p.parameter(random.floats(in * out)), bias = p.parameter(random.floats(out));
  const mg_view y = p.activation(out);
  p.add(mg_dense_forward{x, kernel, bias, kAbsent, y, MG_TANH});
  const int64_t kept = random.between(4, in), before = random.between(0, 2);
  std::vector<mg_view> gradients, stored;
  for (int64_t i = 0; i < count; i++) {
    const mg_view dy = p.input(out, random.floats(rows * out)), rest = p.stored(before + in), dx{rest.buffer, before, in};
    p.add(mg_dense_backward{x, kernel, bias, kAbsent, y, dy, dx, gradients_of(static_cast<int32_t>(i)), MG_TANH, 0});
    stored.push_back({dx.buffer, before, kept});
  }
  const mg_view sum = p.stored(kept + 1);
  p.close_store(static_cast<int>(count), 1);
  for (int64_t i = 0; i < count; i++) gradients.push_back(p.gradients(static_cast<int32_t>(i)));
  const mg_view all = p.gradients(static_cast<int32_t>(count));
  const int64_t output = p.scalar_outputs;
  p.scalar_outputs += count * (count + 1) / 2;
  p.add(mg_gradient_gram{p.list(gradients), p.list(random.chance(0.5) ? std::vector{kernel, bias} : std::vector{bias}), output});
  const auto weights = [&] {
    const auto weight = [&] { return 0.1 + std::abs(static_cast<double>(random.floats(1)[0])); };
    const int64_t first = p.scalar(weight());
    for (int64_t i = 1; i < count; i++) p.scalar(random.chance(0.2) ? 0 : weight());
    return first;
  };
  p.add(mg_combine_gradients{p.list(gradients), all, weights()});
  const mg_view summed{sum.buffer, random.between(0, 1), kept};
  p.add(mg_combine_rows{p.list(stored), summed, weights()});
  mg_optimize op{};
  op.parameters = p.parameters(), op.gradients = all;
  fill_rule(p, random, op, p.store_length);
  p.add(op);
  // The summed rows move a table.
  const int64_t vocabulary = random.between(4, 20);
  std::vector<int32_t> ids;
  for (int64_t r = 0; r < rows; r++) ids.push_back(static_cast<int32_t>(random.between(0, vocabulary - 1)));
  mg_embedding_update update{};
  update.table = p.table(kept, random.floats(kept * vocabulary));
  fill_rule(p, random, update, kept * vocabulary, vocabulary);
  update.ids = p.list(std::vector{p.ids(1, ids)}), update.gradients = p.list(std::vector{summed});
  update.combiners = p.list(std::vector<int64_t>{MG_SINGLE});
  update.loss = p.scalar_output();
  p.add(update);
  return p;
}

Program optimize_case(Random& random, int64_t rows) {
  Program p = dense_case(random, rows);
  p.name = "optimize";
  p.derivatives.clear();
  p.weighted_outputs.clear();
  const mg_view all = p.parameters();
  const int64_t cut = random.between(1, all.width);
  const double l1 = random.chance(0.5) ? 0.01 : 0, l2 = random.chance(0.5) ? 0.02 : 0;
  p.add(mg_penalty{p.list(std::vector<mg_view>{{all.buffer, 0, cut}}), p.gradients(), p.scalar_output(), l1, l2});
  // The whole store, or two ranges with rules of their own and perhaps weights between them that stay as they are.
  const int64_t squares = p.scalar_output();
  p.add(mg_gradient_squares{p.gradients(), p.list(std::vector<mg_view>{{all.buffer, cut - 1, all.width - cut + 1}}), squares});
  if (random.chance(0.5)) p.add(mg_gradient_squares{p.gradients(), p.list(std::vector<mg_view>{{all.buffer, 0, cut}}), squares});
  const int64_t end = random.chance(0.5) ? all.width : random.between(1, all.width), next = random.between(end, all.width);
  for (const auto& [from, to] : {std::pair{int64_t{0}, end}, std::pair{next, all.width}}) {
    if (from == to) continue;
    mg_optimize op{};
    op.parameters = {all.buffer, from, to - from}, op.gradients = {p.gradients().buffer, from, to - from};
    fill_rule(p, random, op, to - from);
    if (random.chance(0.5)) limit_length(random, op, squares);
    p.add(op);
  }
  return p;
}

}  // namespace selftest
