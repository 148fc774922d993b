// Cases of what happens once a step: penalties and the update of the flat store, after a dense layer's gradient.
#include "selftest/cases/cases.h"
#include "selftest/cases/rule.h"

namespace selftest {

Program optimize_case(Random& random, int64_t rows) {
  Program p = dense_case(random, rows);
  p.name = "optimize";
  p.derivatives.clear();
  p.weighted_outputs.clear();
  const mg_view all = p.parameters();
  const int64_t cut = random.between(1, all.width);
  const double l1 = random.chance(0.5) ? 0.01 : 0, l2 = random.chance(0.5) ? 0.02 : 0;
  p.add(mg_penalty{p.list(std::vector<mg_view>{{all.buffer, 0, cut}}), p.scalar_output(), l1, l2});
  mg_optimize op{};
  op.parameters = all, op.gradients = p.gradients();
  fill_rule(p, random, op, all.width);
  p.add(op);
  return p;
}

}  // namespace selftest
