// Losses from logits and predictions. A row counts if its label is not NaN and its weight is not 0.
#include <algorithm>
#include <cmath>

#include "reference/state.h"

namespace reference {
namespace {

/// The shared part of one loss op. `element(r, y, slope)` returns the loss of row r; slope = task_weight w m / D is the factor of
/// its gradients. If the row does not count, y is NaN and slope is 0.
template <class Op, class Element>
void each_row(State& s, const Op& op, Element element) {
  const double denominator = s.run.scalars_in[op.denominator], scale = denominator != 0 ? 1 / denominator : 0;
  const double task_weight = op.task_weight >= 0 ? s.run.scalars_in[op.task_weight] : 0;
  double total = 0;
  for (int64_t r = 0; r < s.rows(); r++) {
    const double y = s.get(op.label, r, 0), w = State::has(op.weight) ? s.get(op.weight, r, 0) : 1;
    if (!std::isnan(y) && w != 0)
      total += w * element(r, y, task_weight * scale * w);
    else
      element(r, NAN, 0.0);
  }
  s.run.scalars_out[op.loss] += total * scale;
}

double softplus(double z) { return std::max(z, 0.0) + std::log1p(std::exp(-std::fabs(z))); }

}  // namespace

void run_op(State& s, const mg_binary_loss& op) {
  each_row(s, op, [&](int64_t r, double y, double slope) {
    const double z = s.get(op.logit, r, 0), rest = activate(MG_SIGMOID, -std::fabs(z));
    // sigmoid(z) - y without cancellation if z is large and y is 1
    if (State::has(op.dlogit)) s.at(op.dlogit, r, 0) = slope == 0 ? 0 : slope * (z < 0 ? rest - y : 1 - y - rest);
    return std::max(z, 0.0) - z * y + std::log1p(std::exp(-std::fabs(z)));
  });
}

void run_op(State& s, const mg_binary_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) s.at(op.y, r, 0) = activate(MG_SIGMOID, s.get(op.logit, r, 0));
}

// t = -log p = sum softplus(-z_i). If every z_i is large, t is about e^-m sum e^(m - z_i) with m the smallest z_i. Then
// log(1 - p) = log t and p / (1 - p) = 1 / t are computed without the factor e^-m, which may underflow.
void run_op(State& s, const mg_product_loss& op) {
  each_row(s, op, [&](int64_t r, double y, double slope) {
    double t = 0, least = INFINITY, shifted = 0;
    for (uint32_t i = 0; i < op.logits.count; i++) {
      const double z = s.get(op.logits.items[i], r, 0);
      t += softplus(-z);
      least = std::min(least, z);
    }
    for (uint32_t i = 0; i < op.logits.count; i++) shifted += std::exp(least - s.get(op.logits.items[i], r, 0));
    const bool sure = least > 40;  // e^-40 is below the rounding error of a double
    for (uint32_t i = 0; i < op.dlogits.count; i++) {
      const double z = s.get(op.logits.items[i], r, 0), below = activate(MG_SIGMOID, -z);
      const double odds = sure ? std::exp(least - z) / shifted : below / std::expm1(t);
      double& dz = s.at(op.dlogits.items[i], r, 0);
      dz = (op.accumulate.items[i] ? dz : 0) + (slope == 0 ? 0 : slope * (-y * below + (1 - y) * odds));
    }
    const double log_rest = sure ? std::log(shifted) - least : t > 0.7 ? std::log1p(-std::exp(-t)) : std::log(-std::expm1(-t));
    return y * t - (y == 1 ? 0 : (1 - y) * log_rest);
  });
}

void run_op(State& s, const mg_product_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) {
    double p = 1;
    for (uint32_t i = 0; i < op.logits.count; i++) p *= activate(MG_SIGMOID, s.get(op.logits.items[i], r, 0));
    s.at(op.y, r, 0) = p;
  }
}

void run_op(State& s, const mg_squared_loss& op) {
  each_row(s, op, [&](int64_t r, double y, double slope) {
    const double difference = s.get(op.prediction, r, 0) - y;
    if (State::has(op.dprediction)) s.at(op.dprediction, r, 0) = slope == 0 ? 0 : slope * 2 * difference;
    return difference * difference;
  });
}

namespace {

/// log of the sum of e^z over the classes of a row.
double log_sum_exp(const State& s, const mg_view& logits, int64_t r) {
  double top = -INFINITY, sum = 0;
  for (int64_t c = 0; c < logits.width; c++) top = std::max(top, s.get(logits, r, c));
  for (int64_t c = 0; c < logits.width; c++) sum += std::exp(s.get(logits, r, c) - top);
  return top + std::log(sum);
}

}  // namespace

void run_op(State& s, const mg_multiclass_loss& op) {
  each_row(s, op, [&](int64_t r, double y, double slope) {
    const double all = log_sum_exp(s, op.logits, r);
    double loss = all;
    for (int64_t c = 0; c < op.logits.width; c++) {
      const double z = s.get(op.logits, r, c), hit = static_cast<double>(c) == y ? 1 : 0;
      loss -= hit * z;
      if (State::has(op.dlogits)) s.at(op.dlogits, r, c) = slope == 0 ? 0 : slope * (std::exp(z - all) - hit);
    }
    return loss;
  });
}

void run_op(State& s, const mg_multiclass_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) {
    const double all = log_sum_exp(s, op.logits, r);
    for (int64_t c = 0; c < op.logits.width; c++) s.at(op.y, r, c) = std::exp(s.get(op.logits, r, c) - all);
  }
}

}  // namespace reference
