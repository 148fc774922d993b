// Penalties, the update rules, and embedding tables: gather and update.
#include <algorithm>
#include <cmath>

#include "reference/state.h"

namespace reference {
namespace {

/// l1 sum |w| + l2 sum w^2. Adds its gradient if one is given.
double penalty(int64_t count, const double* w, double l1, double l2, double* gradient) {
  double total = 0;
  for (int64_t i = 0; i < count; i++) {
    total += l1 * std::fabs(w[i]) + l2 * w[i] * w[i];
    if (gradient) gradient[i] += l1 * (w[i] > 0 ? 1 : w[i] < 0 ? -1 : 0) + 2 * l2 * w[i];
  }
  return total;
}

/// An optimizer's moments and the average from some element on; null: there is none.
struct Moments {
  double *first, *second, *third, *average;

  Moments from(int64_t row, int64_t dim, bool per_row) const {
    const auto at = [](double* moment, int64_t element) { return moment ? moment + element : nullptr; };
    const int64_t own = per_row ? row : row * dim;
    return {at(first, own), at(second, own), at(third, own), at(average, row * dim)};
  }
};

template <class Op>
Moments moments_of(const State& s, const Op& op) {
  return {s.elements(op.moment1), s.elements(op.moment2), s.elements(op.moment3), s.elements(op.average)};
}

// g within the rule's limits.
template <class Op>
double limited(const State& s, const Op& op, double g) {
  const double c = op.clip_value, length = op.clip_norm > 0 ? std::sqrt(s.run.scalars_out[op.squares]) : 0;
  if (length > op.clip_norm) g *= op.clip_norm / length;
  return c > 0 && g > c ? c : c > 0 && g < -c ? -c : g;
}

// The formulas of cpu/kernels/update.h, one element at a time. count: the elements of one row, for a rule of rows.
template <class Op>
void update(const State& s, const Op& op, int64_t count, double* weights, const double* gradient, const Moments& moments) {
  const double lr = s.run.scalars_in[op.learning_rate], t = s.run.scalars_in[op.step], power = -op.ftrl_power;
  const bool keras = op.form == 0;
  double row_root = 0;
  if (op.rule == MG_ROWWISE_ADAGRAD) {
    double squares = 0;
    for (int64_t i = 0; i < count; i++) squares += limited(s, op, gradient[i]) * limited(s, op, gradient[i]);
    *moments.first += squares / static_cast<double>(count);
    row_root = std::sqrt(*moments.first);
  }
  for (int64_t i = 0; i < count; i++) {
    const double g = limited(s, op, gradient[i]), before = weights[i];
    double& w = weights[i];
    if (op.rule == MG_ROWWISE_ADAGRAD) {
      w -= lr * g / (row_root + op.epsilon);
    } else if (op.rule == MG_SGD && !moments.first) {
      w -= lr * g;
    } else if (op.rule == MG_SGD) {
      double& m = moments.first[i];
      m = op.momentum * m + (keras ? -lr * g : g);
      const double ahead = op.nesterov ? op.momentum * m + (keras ? -lr * g : g) : m;
      w += keras ? ahead : -lr * ahead;
    } else if (op.rule == MG_ADAM) {
      double &m = moments.first[i], &v = moments.second[i];
      const double correction1 = 1 - std::pow(op.beta1, t), correction2 = 1 - std::pow(op.beta2, t);
      w -= lr * op.weight_decay * w;
      m += (g - m) * (1 - op.beta1);
      v += (g * g - v) * (1 - op.beta2);
      if (keras)
        w -= lr * std::sqrt(correction2) / correction1 * m / (std::sqrt(v) + op.epsilon);
      else
        w -= lr / correction1 * m / (std::sqrt(v / correction2) + op.epsilon);
    } else if (op.rule == MG_ADAGRAD) {
      double& a = moments.first[i];
      a += g * g;
      w -= lr * g / (keras ? std::sqrt(a + op.epsilon) : std::sqrt(a) + op.epsilon);
    } else if (op.rule == MG_RMSPROP) {
      double& v = moments.first[i];
      v += (g * g - v) * (1 - op.beta2);
      double variance = v;
      if (moments.third) {
        double& b = moments.third[i];
        b += (g - b) * (1 - op.beta2);
        variance = std::fmax(v - b * b, 0);
      }
      double step = keras ? lr * g / std::sqrt(variance + op.epsilon) : g / (std::sqrt(variance) + op.epsilon);
      if (moments.second) step = moments.second[i] = op.momentum * moments.second[i] + step;
      w -= keras ? step : lr * step;
    } else if (op.rule == MG_FTRL) {
      double &n = moments.first[i], &z = moments.second[i];
      const double grown = n + g * g;
      z += g + 2 * op.ftrl_l2_shrinkage * w - (std::pow(grown, power) - std::pow(n, power)) / lr * w;
      n = grown;
      const double clipped = std::fmax(std::fmin(z, op.ftrl_l1), -op.ftrl_l1);
      w = (clipped - z) / (std::pow(n, power) / lr + 2 * op.ftrl_l2 + op.ftrl_beta / lr);
    }
    if (moments.average) moments.average[i] -= s.run.scalars_in[op.average_scale] * (w - before);
  }
}

/// What a row's ids are divided by: the number of those that count for a mean, else 1.
double share_of(const State& s, const mg_view& ids, int64_t combiner, int64_t r) {
  if (combiner != MG_MEAN) return 1;
  double count = 0;
  for (int64_t k = 0; k < ids.width; k++) count += s.id(ids, r, k) != 0;
  return count;
}

/// The gradients of a table's rows, and which rows an update takes.
struct RowSums {
  std::vector<double> gradient;
  std::vector<bool> touched;
};

template <class Op>
RowSums sum_by_id(State& s, const Op& op) {
  const int64_t rows = s.buffer(op.table).count, dim = s.buffer(op.table).width;
  RowSums sums{std::vector<double>(static_cast<size_t>(rows * dim), 0.0), std::vector<bool>(static_cast<size_t>(rows), op.exact != 0)};
  for (uint32_t f = 0; f < op.ids.count; f++) {
    const mg_view& ids = op.ids.items[f];
    const int64_t combiner = op.combiners.items[f];
    for (int64_t r = 0; r < s.rows(); r++) {
      const double share = share_of(s, ids, combiner, r);
      for (int64_t k = 0; k < ids.width; k++) {
        const int64_t id = s.id(ids, r, k), first = combiner == MG_CONCAT ? k * dim : 0;
        if (combiner != MG_SINGLE && id == 0) continue;
        sums.touched[static_cast<size_t>(id)] = true;
        for (int64_t c = 0; c < dim; c++) sums.gradient[static_cast<size_t>(id * dim + c)] += s.get(op.gradients.items[f], r, first + c) / share;
      }
    }
  }
  return sums;
}

}  // namespace

void run_op(State& s, const mg_embedding_gather& op) {
  const double* table = s.elements(op.table);
  const int64_t dim = op.table.width;
  for (int64_t r = 0; r < s.rows(); r++) {
    for (int64_t c = 0; c < op.y.width; c++) s.at(op.y, r, c) = 0;
    const double share = share_of(s, op.ids, op.combiner, r);
    for (int64_t k = 0; k < op.ids.width; k++) {
      const int64_t id = s.id(op.ids, r, k), first = op.combiner == MG_CONCAT ? k * dim : 0;
      if (op.combiner != MG_SINGLE && id == 0) continue;
      for (int64_t c = 0; c < dim; c++) s.at(op.y, r, first + c) += table[id * dim + c] / share;
    }
  }
}

void run_op(State& s, const mg_reduce_gradients& op) {
  const std::vector<double>& sum = s.owned[static_cast<size_t>(op.gradients.buffer)];
  std::copy(sum.begin(), sum.end(), s.elements(op.gradients));
}

void run_op(State& s, const mg_row_gram& op) {
  const mg_views& list = op.gradients;
  int64_t output = op.output;
  for (uint32_t i = 0; i < list.count; i++)
    for (uint32_t j = i; j < list.count; j++, output++)
      for (int64_t r = 0; r < s.rows(); r++)
        for (int64_t c = 0; c < list.items[0].width; c++) s.run.scalars_out[output] += s.get(list.items[i], r, c) * s.get(list.items[j], r, c);
}

void run_op(State& s, const mg_gradient_gram& op) {
  const mg_views& list = op.gradients;
  int64_t output = op.output;
  for (uint32_t i = 0; i < list.count; i++)
    for (uint32_t j = i; j < list.count; j++, output++)
      for (uint32_t p = 0; p < op.parameters.count; p++)
        for (int64_t at = op.parameters.items[p].offset, end = at + op.parameters.items[p].width; at < end; at++)
          s.run.scalars_out[output] += s.elements(list.items[i])[at] * s.elements(list.items[j])[at];
}

void run_op(State& s, const mg_combine_gradients& op) {
  double* const y = s.elements(op.y);
  std::fill_n(y, op.y.width, 0.0);
  for (uint32_t i = 0; i < op.gradients.count; i++)
    for (int64_t at = 0; at < op.y.width; at++) y[at] += s.run.scalars_in[op.weights + i] * s.elements(op.gradients.items[i])[at];
}

void run_op(State& s, const mg_combine_rows& op) {
  for (int64_t r = 0; r < s.rows(); r++)
    for (int64_t c = 0; c < op.y.width; c++) {
      double sum = 0;
      for (uint32_t i = 0; i < op.inputs.count; i++) sum += s.run.scalars_in[op.weights + i] * s.get(op.inputs.items[i], r, c);
      s.at(op.y, r, c) = sum;
    }
}

void run_op(State& s, const mg_penalty& op) {
  for (uint32_t i = 0; i < op.parameters.count; i++) {
    const mg_view& view = op.parameters.items[i];
    double* gradient = State::has(op.gradients) ? s.elements(op.gradients) + view.offset : nullptr;
    s.run.scalars_out[op.loss] += penalty(view.width, s.elements(view), op.l1, op.l2, gradient);
  }
}

void run_op(State& s, const mg_optimize& op) {
  update(s, op, op.parameters.width, s.elements(op.parameters), s.elements(op.gradients), moments_of(s, op));
}

void run_op(State& s, const mg_gradient_squares& op) {
  const double* const gradient = s.elements(op.gradients);
  for (uint32_t p = 0; p < op.parameters.count; p++)
    for (int64_t at = op.parameters.items[p].offset, end = at + op.parameters.items[p].width; at < end; at++)
      s.run.scalars_out[op.output] += gradient[at] * gradient[at];
}

void run_op(State& s, const mg_table_squares& op) {
  const int64_t rows = s.buffer(op.table).count, dim = s.buffer(op.table).width;
  RowSums sums = sum_by_id(s, op);
  for (int64_t id = 0; id < rows; id++) {
    if (!sums.touched[static_cast<size_t>(id)]) continue;
    double* const g = sums.gradient.data() + id * dim;
    penalty(dim, s.elements(op.table) + id * dim, op.l1, op.l2, g);
    for (int64_t c = 0; c < dim; c++) s.run.scalars_out[op.output] += g[c] * g[c];
  }
}

void run_op(State& s, const mg_embedding_update& op) {
  const int64_t rows = s.buffer(op.table).count, dim = s.buffer(op.table).width;
  RowSums sums = sum_by_id(s, op);
  double *table = s.elements(op.table), total = 0;
  const Moments moments = moments_of(s, op);
  for (int64_t id = 0; id < rows; id++) {
    if (!sums.touched[static_cast<size_t>(id)]) continue;
    double* g = sums.gradient.data() + id * dim;
    total += penalty(dim, table + id * dim, op.l1, op.l2, g);
    update(s, op, dim, table + id * dim, g, moments.from(id, dim, op.rule == MG_ROWWISE_ADAGRAD));
  }
  if (op.l1 != 0 || op.l2 != 0) s.run.scalars_out[op.loss] += total;
}

}  // namespace reference
