// The binary head.
#include <algorithm>
#include <cmath>

#include "reference/state.h"

namespace reference {

void run_op(State& s, const mg_binary_loss& op) {
  const double denominator = s.run.scalars_in[op.denominator], scale = denominator != 0 ? 1 / denominator : 0;
  double total = 0;
  for (int64_t r = 0; r < s.rows(); r++) {
    const double z = s.get(op.logit, r, 0), y = s.get(op.label, r, 0);
    const double w = State::has(op.weight) ? s.get(op.weight, r, 0) : 1;
    const bool counts = !std::isnan(y) && w != 0;
    if (counts) total += w * (std::max(z, 0.0) - z * y + std::log1p(std::exp(-std::fabs(z))));
    if (State::has(op.dlogit))
      s.at(op.dlogit, r, 0) = counts ? op.task_weight * scale * w * (activate(MG_SIGMOID, z) - y) : 0;
  }
  s.run.scalars_out[op.loss] += total * scale;
}

void run_op(State& s, const mg_binary_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) s.at(op.y, r, 0) = activate(MG_SIGMOID, s.get(op.logit, r, 0));
}

}  // namespace reference
