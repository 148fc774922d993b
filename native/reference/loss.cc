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
    if (op.gamma > 0) {
      const double p = activate(MG_SIGMOID, z), q = activate(MG_SIGMOID, -z);
      const double of_one = std::pow(q, op.gamma), of_zero = std::pow(p, op.gamma);
      if (State::has(op.dlogit))
        s.at(op.dlogit, r, 0) =
            slope == 0 ? 0 : slope * ((1 - y) * of_zero * (op.gamma * q * softplus(z) + p) - y * of_one * (op.gamma * p * softplus(-z) + q));
      return y * of_one * softplus(-z) + (1 - y) * of_zero * softplus(z);
    }
    // sigmoid(z) - y without cancellation if z is large and y is 1
    if (State::has(op.dlogit)) s.at(op.dlogit, r, 0) = slope == 0 ? 0 : slope * (z < 0 ? rest - y : 1 - y - rest);
    return std::max(z, 0.0) - z * y + std::log1p(std::exp(-std::fabs(z)));
  });
}

void run_op(State& s, const mg_binary_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) s.at(op.y, r, 0) = activate(MG_SIGMOID, s.get(op.logit, r, 0) + op.offset);
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

namespace {

struct LossAndSlope {
  double loss, slope;
};

/// e^t up to 80, then its tangent.
LossAndSlope exponential(double t) {
  const double e = std::exp(std::min(t, 80.0));
  return {t > 80 ? e * (1 + t - 80) : e, e};
}

double sign(double d) { return d > 0 ? 1 : d < 0 ? -1 : 0; }

LossAndSlope regression(int64_t kind, double a, double z, double y) {
  const double d = z - y, size = std::fabs(d);
  switch (kind) {
    case MG_ABSOLUTE: return {size, sign(d)};
    case MG_HUBER: return size <= a ? LossAndSlope{d * d / 2, d} : LossAndSlope{a * (size - a / 2), a * sign(d)};
    case MG_LOG_COSH: return {size + std::log1p(std::expm1(-2 * size) / 2), std::tanh(d)};
    case MG_QUANTILE: return {std::max(-a * d, (1 - a) * d), d > 0 ? 1 - a : d < 0 ? -a : 0};
    case MG_POISSON: {
      const LossAndSlope mean = exponential(z);
      return {mean.loss - y * z, mean.slope - y};
    }
    case MG_TWEEDIE: {
      const LossAndSlope up = exponential((2 - a) * z), down = exponential((1 - a) * z);
      return {up.loss / (2 - a) + y * down.loss / (a - 1), up.slope - y * down.slope};
    }
    default: return {d * d, 2 * d};
  }
}

}  // namespace

void run_op(State& s, const mg_regression_loss& op) {
  each_row(s, op, [&](int64_t r, double y, double slope) {
    const LossAndSlope own = regression(op.kind, op.parameter, s.get(op.prediction, r, 0), y);
    if (State::has(op.dprediction)) s.at(op.dprediction, r, 0) = slope == 0 ? 0 : slope * own.slope;
    return own.loss;
  });
}

void run_op(State& s, const mg_regression_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) {
    const double t = op.offset + op.scale * s.get(op.prediction, r, 0), least = std::min(t, 88.0);
    s.at(op.y, r, 0) = op.link == MG_LINK_EXP ? std::exp(least) : op.link == MG_LINK_EXPM1 ? std::expm1(least) : t;
  }
}

namespace {

double deviation(double raw) { return softplus(raw) + 1.0 / 1024; }

}  // namespace

void run_op(State& s, const mg_ziln_loss& op) {
  each_row(s, op, [&](int64_t r, double y, double slope) {
    const double a = s.get(op.logits, r, 0), mu = s.get(op.logits, r, 1), raw = s.get(op.logits, r, 2);
    const double sigma = deviation(raw), far = y > 0 ? (std::log(y) - mu) / sigma : 0;
    if (State::has(op.dlogits)) {
      const double of_sigma = y > 0 ? (1 - far * far) / sigma : 0;
      const double slopes[] = {y > 0 ? -activate(MG_SIGMOID, -a) : activate(MG_SIGMOID, a), -far / sigma, of_sigma * activate(MG_SIGMOID, raw)};
      for (int64_t c = 0; c < 3; c++) s.at(op.dlogits, r, c) = slope == 0 ? 0 : slope * slopes[c];
    }
    const double value = y > 0 ? std::log(y) + std::log(sigma) + std::log(2 * M_PI) / 2 + far * far / 2 : 0;
    return (y > 0 ? softplus(-a) : softplus(a)) + value;
  });
}

void run_op(State& s, const mg_ziln_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) {
    const double sigma = deviation(s.get(op.logits, r, 2));
    s.at(op.y, r, 0) = activate(MG_SIGMOID, s.get(op.logits, r, 0)) * std::exp(std::min(s.get(op.logits, r, 1) + sigma * sigma / 2, 88.0));
  }
}

void run_op(State& s, const mg_ordinal_loss& op) {
  const int64_t buckets = op.logits.width;
  each_row(s, op, [&](int64_t r, double y, double slope) {
    double loss = 0;
    for (int64_t i = 0; i < buckets; i++) {
      const double z = s.get(op.logits, r, i);
      const bool above = y > static_cast<double>(i);
      loss += above ? softplus(-z) : softplus(z);
      const double rest = above ? -activate(MG_SIGMOID, -z) : activate(MG_SIGMOID, z);
      if (State::has(op.dlogits)) s.at(op.dlogits, r, i) = slope == 0 ? 0 : slope * rest / static_cast<double>(buckets);
    }
    return loss / static_cast<double>(buckets);
  });
}

void run_op(State& s, const mg_ordinal_predict& op) {
  for (int64_t r = 0; r < s.rows(); r++) {
    double sum = 0;
    for (int64_t i = 0; i < op.logits.width; i++) sum += static_cast<double>(op.steps.items[i]) * activate(MG_SIGMOID, s.get(op.logits, r, i));
    s.at(op.y, r, 0) = op.offset + op.unit * sum;
  }
}

void run_op(State& s, const mg_order_loss& op) {
  each_row(s, op, [&](int64_t r, double, double slope) {
    const double z[] = {s.get(op.logits.items[0], r, 0), s.get(op.logits.items[1], r, 0)};
    const bool wrong = z[0] > z[1];
    for (uint32_t i = 0; i < op.dlogits.count; i++) {
      const double own = activate(MG_SIGMOID, z[i]) * activate(MG_SIGMOID, -z[i]);
      double& dz = s.at(op.dlogits.items[i], r, 0);
      dz = (op.accumulate.items[i] ? dz : 0) + (slope == 0 || !wrong ? 0 : slope * op.factor * (i == 0 ? own : -own));
    }
    // The difference of the smaller ends: nothing cancels where both are near 1.
    const double sign = z[1] > 0 ? -1 : 1;
    return wrong ? op.factor * sign * (activate(MG_SIGMOID, sign * z[0]) - activate(MG_SIGMOID, sign * z[1])) : 0;
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
