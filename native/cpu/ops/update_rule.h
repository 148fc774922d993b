// The update rule of an optimizer op for one step, from the shared fields and the step's scalars.
#pragma once
#include <cmath>
#include <limits>

#include "cpu/plan.h"

namespace mg {

// The factor that limits the length of a gradient. NaN has no limit: it stays.
inline double length_scale(double squares, double limit) {
  const double length = std::sqrt(squares);
  return limit > 0 && length > limit ? limit / length : 1;
}

template <class Op>
UpdateRule make_rule(const Op& op, const mg_run& run) {
  UpdateRule rule{};
  rule.rule = op.rule, rule.form = op.form, rule.nesterov = op.nesterov;
  rule.one_minus_beta1 = static_cast<float>(1 - op.beta1);
  rule.one_minus_beta2 = static_cast<float>(1 - op.beta2);
  rule.epsilon = static_cast<float>(op.epsilon);
  rule.momentum = static_cast<float>(op.momentum);
  double rate = run.scalars_in[op.learning_rate];
  rule.decay = static_cast<float>(rate * op.weight_decay);
  rule.root_scale = 1;
  rule.clip = op.clip_value > 0 ? static_cast<float>(op.clip_value) : std::numeric_limits<float>::infinity();
  rule.scale = op.clip_norm > 0 ? static_cast<float>(length_scale(run.scalars_out[op.squares], op.clip_norm)) : 1;
  rule.average_scale = op.average.buffer >= 0 ? static_cast<float>(run.scalars_in[op.average_scale]) : 0;
  rule.ftrl_l1 = static_cast<float>(op.ftrl_l1), rule.ftrl_l2 = static_cast<float>(op.ftrl_l2);
  rule.ftrl_l2_shrinkage = static_cast<float>(op.ftrl_l2_shrinkage), rule.ftrl_beta = static_cast<float>(op.ftrl_beta);
  rule.ftrl_power = static_cast<float>(-op.ftrl_power);
  if (op.rule == MG_ADAM) {
    const double step = run.scalars_in[op.step];
    const double correction1 = 1 - std::pow(op.beta1, step), correction2 = 1 - std::pow(op.beta2, step);
    rate *= (op.form == 0 ? std::sqrt(correction2) : 1.0) / correction1;
    if (op.form == 1) rule.root_scale = static_cast<float>(1 / std::sqrt(correction2));
  }
  rule.rate = static_cast<float>(rate);
  return rule;
}

// Floats of a table's row in each moment of a rule.
inline int64_t moment_width_of(int64_t rule, int64_t dim) { return rule == MG_ROWWISE_ADAGRAD ? 1 : dim; }

// A view's elements and their moments. The caller sets the rows and the gradient.
template <class Op>
Parameters parameters_of(const Op& op, const mg_view& w, const mg_run& run) {
  Parameters all{};
  all.w = bound(run, w);
  all.moment1 = bound(run, op.moment1), all.moment2 = bound(run, op.moment2), all.moment3 = bound(run, op.moment3);
  all.average = bound(run, op.average);
  return all;
}

// The same from some row on. A rule of single elements takes each as a row.
inline Parameters part_of(Parameters all, int64_t row) {
  all.w += row * all.width;
  for (float** of : {&all.moment1, &all.moment2, &all.moment3})
    if (*of) *of += row * all.moment_width;
  if (all.average) all.average += row * all.width;
  return all;
}

}  // namespace mg
