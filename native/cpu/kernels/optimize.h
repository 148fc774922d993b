// Everything that walks parameters once a step: the slot sum, penalties and the update rules.
//
//   adam, Keras: m += (g - m)(1 - b1), v += (g^2 - v)(1 - b2), w -= rate m / (sqrt v + eps)
//   adam, torch: the same moments, w -= rate m / (sqrt v root_scale + eps)
//   sgd: w -= rate g; with momentum: m = mu m - rate g, w += m, or nesterov's w += mu m - rate g
// Element by element, so that any split over threads gives the same bits. sqrt and division are exact ones.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

// ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + ...): groups of four, added up in order.
void sum_slots(int64_t slots, int64_t stride, const float* in, int64_t count, float* out, bool accumulate) {
  MG_EACH_VECTOR(c, n, count) {
    vec sum = accumulate ? load_n(out + c, n) : zero();
    for (int64_t s = 0; s < slots; s += 4) {
      const float* from = in + s * stride + c;
      vec group = load_n(from, n);
      if (s + 1 < slots) group = add(group, load_n(from + stride, n));
      if (s + 3 < slots)
        group = add(group, add(load_n(from + 2 * stride, n), load_n(from + 3 * stride, n)));
      else if (s + 2 < slots)
        group = add(group, load_n(from + 2 * stride, n));
      sum = add(sum, group);
    }
    store_n(out + c, sum, n);
  }
}

double penalty(int64_t count, const float* w, float l1, float l2, float* gradient) {
  double total = 0;
  for (int64_t i = 0; i < count; i++) {
    const double value = static_cast<double>(w[i]);
    total += static_cast<double>(l1) * ::fabs(value) + static_cast<double>(l2) * value * value;
  }
  if (!gradient) return total;
  const vec slope = set1(l1), twice = set1(2 * l2);
  MG_EACH_VECTOR(c, n, count) {
    const vec value = load_n(w + c, n);
    const vec sign = select_less(zero(), value, slope, select_less(value, zero(), sub(zero(), slope), zero()));
    store_n(gradient + c, add(load_n(gradient + c, n), fma(twice, value, sign)), n);
  }
  return total;
}

void update(const UpdateRule* rule, int64_t count, float* w, const float* gradient, float* moment1, float* moment2) {
  const vec rate = set1(rule->rate);
  if (rule->rule == 1) {
    const vec one_minus_beta1 = set1(rule->one_minus_beta1), one_minus_beta2 = set1(rule->one_minus_beta2);
    const vec epsilon = set1(rule->epsilon), root_scale = set1(rule->form == 1 ? rule->root_scale : 1.0f);
    MG_EACH_VECTOR(c, n, count) {
      const vec g = load_n(gradient + c, n);
      vec m = load_n(moment1 + c, n), v = load_n(moment2 + c, n);
      m = fma(sub(g, m), one_minus_beta1, m);
      v = fma(sub(mul(g, g), v), one_minus_beta2, v);
      store_n(moment1 + c, m, n);
      store_n(moment2 + c, v, n);
      const vec step = div(mul(rate, m), fma(sqrt(v), root_scale, epsilon));
      store_n(w + c, sub(load_n(w + c, n), step), n);
    }
    return;
  }
  if (!moment1) {
    MG_EACH_VECTOR(c, n, count) store_n(w + c, fnma(rate, load_n(gradient + c, n), load_n(w + c, n)), n);
    return;
  }
  const vec momentum = set1(rule->momentum);
  MG_EACH_VECTOR(c, n, count) {
    const vec g = load_n(gradient + c, n);
    const vec m = fnma(rate, g, mul(momentum, load_n(moment1 + c, n)));
    store_n(moment1 + c, m, n);
    const vec step = rule->nesterov ? fnma(rate, g, mul(momentum, m)) : m;
    store_n(w + c, add(load_n(w + c, n), step), n);
  }
}

void add_scaled(int64_t count, float scale, const float* x, float* y) {
  const vec factor = set1(scale);
  MG_EACH_VECTOR(c, n, count) store_n(y + c, fma(factor, load_n(x + c, n), load_n(y + c, n)), n);
}

}  // namespace
}  // namespace mg
