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
  const int64_t end = random.chance(0.5) ? all.width : random.between(1, all.width), next = random.between(end, all.width);
  for (const auto& [from, to] : {std::pair{int64_t{0}, end}, std::pair{next, all.width}}) {
    if (from == to) continue;
    mg_optimize op{};
    op.parameters = {all.buffer, from, to - from}, op.gradients = {p.gradients().buffer, from, to - from};
    fill_rule(p, random, op, to - from);
    p.add(op);
  }
  return p;
}

}  // namespace selftest
