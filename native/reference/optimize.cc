// Penalties, the update rules, and embedding tables: gather and update.
#include <cmath>

#include "reference/state.h"

namespace reference {
namespace {

/// l1 sum |w| + l2 sum w^2; adds its gradient where one is given.
double penalty(int64_t count, const double* w, double l1, double l2, double* gradient) {
  double total = 0;
  for (int64_t i = 0; i < count; i++) {
    total += l1 * std::fabs(w[i]) + l2 * w[i] * w[i];
    if (gradient) gradient[i] += l1 * (w[i] > 0 ? 1 : w[i] < 0 ? -1 : 0) + 2 * l2 * w[i];
  }
  return total;
}

// adam, Keras: m += (g - m)(1 - b1); v += (g^2 - v)(1 - b2); w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt v + eps)
// adam, torch: w -= lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
// sgd: w -= lr g; with momentum m = mu m - lr g; w += m; nesterov w += mu m - lr g with the new m
template <class Op>
void update(const State& s, const Op& op, int64_t count, double* w, const double* gradient, double* m1, double* m2) {
  const double rate = s.run.scalars_in[op.learning_rate];
  for (int64_t i = 0; i < count; i++) {
    const double g = gradient[i];
    if (op.rule == 1) {
      const double t = s.run.scalars_in[op.step];
      const double correction1 = 1 - std::pow(op.beta1, t), correction2 = 1 - std::pow(op.beta2, t);
      m1[i] += (g - m1[i]) * (1 - op.beta1);
      m2[i] += (g * g - m2[i]) * (1 - op.beta2);
      if (op.form == 0)
        w[i] -= rate * std::sqrt(correction2) / correction1 * m1[i] / (std::sqrt(m2[i]) + op.epsilon);
      else
        w[i] -= rate / correction1 * m1[i] / (std::sqrt(m2[i] / correction2) + op.epsilon);
    } else if (!m1) {
      w[i] -= rate * g;
    } else {
      m1[i] = op.momentum * m1[i] - rate * g;
      w[i] += op.nesterov ? op.momentum * m1[i] - rate * g : m1[i];
    }
  }
}

/// How many ids of a bag count; 1 for a single id.
int64_t present(const State& s, const mg_view& ids, int64_t combiner, int64_t r) {
  if (combiner == 0) return 1;
  int64_t count = 0;
  for (int64_t k = 0; k < ids.width; k++) count += s.id(ids, r, k) != 0;
  return count;
}

}  // namespace

void run_op(State& s, const mg_embedding_gather& op) {
  const double* table = s.elements(op.table);
  const int64_t dim = op.y.width;
  for (int64_t r = 0; r < s.rows(); r++) {
    for (int64_t c = 0; c < dim; c++) s.at(op.y, r, c) = 0;
    const int64_t count = present(s, op.ids, op.combiner, r);
    for (int64_t k = 0; k < op.ids.width; k++) {
      const int64_t id = s.id(op.ids, r, k);
      if (op.combiner != 0 && id == 0) continue;
      for (int64_t c = 0; c < dim; c++)
        s.at(op.y, r, c) += table[id * dim + c] / (op.combiner == 1 ? static_cast<double>(count) : 1.0);
    }
  }
}

// The gradient is summed where it is made; there is nothing left to do.
void run_op(State&, const mg_reduce_gradients&) {}

void run_op(State& s, const mg_penalty& op) {
  for (uint32_t i = 0; i < op.parameters.count; i++) {
    const mg_view& view = op.parameters.items[i];
    s.run.scalars_out[op.loss] += penalty(view.width, s.elements(view), op.l1, op.l2, s.gradient(view));
  }
}

void run_op(State& s, const mg_optimize& op) {
  update(s, op, op.parameters.width, s.elements(op.parameters), s.elements(op.gradients), s.elements(op.moment1),
         s.elements(op.moment2));
}

void run_op(State& s, const mg_embedding_update& op) {
  const int64_t rows = s.buffer(op.table).count, dim = s.buffer(op.table).width;
  std::vector<double> gradient(static_cast<size_t>(rows * dim), 0.0);
  std::vector<bool> touched(static_cast<size_t>(rows), op.exact != 0);
  for (uint32_t f = 0; f < op.ids.count; f++) {
    const mg_view& ids = op.ids.items[f];
    const int64_t combiner = op.combiners.items[f];
    for (int64_t r = 0; r < s.rows(); r++) {
      const int64_t count = present(s, ids, combiner, r);
      for (int64_t k = 0; k < ids.width; k++) {
        const int64_t id = s.id(ids, r, k);
        if (combiner != 0 && id == 0) continue;
        touched[static_cast<size_t>(id)] = true;
        for (int64_t c = 0; c < dim; c++)
          gradient[static_cast<size_t>(id * dim + c)] +=
              s.get(op.gradients.items[f], r, c) / (combiner == 1 ? static_cast<double>(count) : 1.0);
      }
    }
  }
  double *table = s.elements(op.table), *m1 = s.elements(op.moment1), *m2 = s.elements(op.moment2), total = 0;
  for (int64_t id = 0; id < rows; id++) {
    if (!touched[static_cast<size_t>(id)]) continue;
    double* g = gradient.data() + id * dim;
    total += penalty(dim, table + id * dim, op.l1, op.l2, g);
    update(s, op, dim, table + id * dim, g, m1 ? m1 + id * dim : nullptr, m2 ? m2 + id * dim : nullptr);
  }
  if (op.l1 != 0 || op.l2 != 0) s.run.scalars_out[op.loss] += total;
}

}  // namespace reference
