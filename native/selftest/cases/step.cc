// Cases of what happens once a step: penalties and the update of the flat store, after a dense layer's gradient.
#include "selftest/cases/cases.h"

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
  op.moment1 = op.moment2 = op.moment3 = kAbsent;
  op.learning_rate = p.scalar(0.05), op.step = p.scalar(static_cast<double>(random.between(1, 20)));
  if (random.chance(0.6)) {
    std::vector<float> squares = random.floats(all.width, 0.3);
    for (float& value : squares) value *= value;
    op.rule = 1, op.form = random.between(0, 1);
    op.beta1 = 0.9, op.beta2 = 0.999, op.epsilon = 1e-7;
    op.moment1 = p.state(random.floats(all.width, 0.3)), op.moment2 = p.state(std::move(squares));
  } else if (random.chance(0.7)) {
    op.momentum = 0.9, op.nesterov = random.between(0, 1);
    op.moment1 = p.state(random.floats(all.width, 0.3));
  }
  p.add(op);
  return p;
}

}  // namespace selftest
