// A random update rule with its moments.
#pragma once
#include <cmath>

#include "selftest/program.h"
#include "selftest/random.h"

namespace selftest {

/// Fills the fields that optimize and embedding_update share, for `elements` weights. rows: those of a table; 0: no table.
template <class Op>
void fill_rule(Program& p, Random& random, Op& op, int64_t elements, int64_t rows = 0) {
  const auto moment = [&](bool squares) {
    std::vector<float> values = random.floats(op.rule == MG_ROWWISE_ADAGRAD ? rows : elements, 0.3);
    if (squares)
      for (float& value : values) value = value * value + 0.1f;
    return p.state(std::move(values));
  };
  op.moment1 = op.moment2 = op.moment3 = kAbsent;
  op.learning_rate = p.scalar(0.05), op.step = p.scalar(static_cast<double>(random.between(1, 20)));
  op.rule = random.between(0, MG_RULE_COUNT - (rows > 0 ? 1 : 2)), op.form = op.rule == MG_FTRL ? 0 : random.between(0, 1);
  op.clip_value = random.chance(0.3) ? 0.02 : 0;
  op.average = kAbsent, op.average_scale = -1;
  // The scale multiplies the rounding error of a weight, too.
  if (random.chance(0.3)) op.average = p.state(random.floats(elements)), op.average_scale = p.scalar(random.pick<double>({1, 3.7, 30}));
  op.epsilon = op.rule == MG_SGD || op.rule == MG_FTRL ? 0 : 1e-3;
// A rule that is never drawn does not compile.
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
  switch (static_cast<mg_rule>(op.rule)) {
    case MG_SGD:
      if (random.chance(0.3)) break;
      op.momentum = 0.9, op.nesterov = random.between(0, 1);
      op.moment1 = moment(false);
      break;
    case MG_ADAM:
      op.beta1 = 0.9, op.beta2 = 0.999, op.weight_decay = random.chance(0.5) ? 0.01 : 0;
      op.moment1 = moment(false), op.moment2 = moment(true);
      break;
    case MG_ADAGRAD: op.moment1 = moment(true); break;
    case MG_ROWWISE_ADAGRAD: op.form = 0, op.moment1 = moment(true); break;
    case MG_RMSPROP:
      op.beta2 = 0.9, op.centered = random.between(0, 1), op.momentum = random.chance(0.5) ? 0.8 : 0;
      op.moment1 = moment(true);
      if (op.momentum != 0) op.moment2 = moment(false);
      if (op.centered) op.moment3 = p.state(random.floats(elements, 0.1));
      break;
    case MG_FTRL:
      op.ftrl_l1 = 0.01, op.ftrl_l2 = 0.02, op.ftrl_l2_shrinkage = random.chance(0.5) ? 0.01 : 0;
      op.ftrl_beta = random.chance(0.5) ? 0.1 : 0, op.ftrl_power = random.chance(0.7) ? -0.5 : -0.3;
      op.moment1 = moment(true), op.moment2 = moment(false);
      break;
  }
#pragma GCC diagnostic pop
}

/// Limits the length of the gradient to a share of what it is likely to be, or to more. output: the sum of squares that earlier ops make.
template <class Op>
void limit_length(Random& random, Op& op, int64_t output) {
  op.squares = output, op.clip_norm = random.pick<double>({0.01, 1, 1e4});
}

}  // namespace selftest
