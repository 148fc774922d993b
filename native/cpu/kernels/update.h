// The update rules of optimizers. g gradient, w weight, lr learning rate; Keras's form, and torch's where it differs.
//
//   sgd      w -= lr g; with momentum m = mu m - lr g, w += m (nesterov: w += mu m - lr g)
//            torch: m = mu m + g, w -= lr m (nesterov: w -= lr (g + mu m))
//   adam     m += (g - m)(1 - b1), v += (g^2 - v)(1 - b2), w -= rate m / (sqrt v + eps), rate = lr sqrt(1 - b2^t) / (1 - b1^t)
//            torch: w -= rate m / (sqrt(v / (1 - b2^t)) + eps), rate = lr / (1 - b1^t); weight decay before: w -= lr decay w
//   adagrad  a += g^2, w -= lr g / sqrt(a + eps); torch: w -= lr g / (sqrt a + eps)
//   rmsprop  v += (g^2 - v)(1 - rho), centered: b += (g - b)(1 - rho), d = v - b^2 else d = v; q = g / sqrt(d + eps);
//            w -= lr q, or with momentum m = mu m + lr q, w -= m; torch: q = g / (sqrt d + eps), m = mu m + q, w -= lr m
//   ftrl     n' = n + g^2, z += g + 2 shrink w - (n'^p - n^p) / lr w, w = (clip(z, -l1, l1) - z) / (n'^p / lr + 2 l2 + beta / lr),
//            p = -learning rate power
// g is first multiplied by the rule's scale, then limited element by element. A kept average falls by average_scale times the change of w.
//   rowwise  adagrad with one number per row of a table: a += (sum of g^2 over the row) / width, w -= lr g / (sqrt a + eps)
// The rules work element by element, or row by row, so any split over threads gives the same bits. Parameters are passed by value, so the
// compiler does not reload pointers after a store. sqrt and division are exact.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

// Calls body(at, from, count) for each vector of each row: `at` elements into w and the moments, `from` into the gradient.
template <class Body>
inline void each_vector_of(const Parameters& p, const Body& body) {
  const int64_t width = p.width;
  for (int64_t r = 0; r < p.rows; r++) {
    const int64_t at = (p.ids ? p.ids[r] : r) * width, from = r * width;
    each_vector(width, [&](int64_t c, int64_t n) { body(at + c, from + c, n); });
  }
}

// Brings gradients within the rule's limits. min and max keep a NaN that is their second operand.
struct Limits {
  vec scale, low, high;

  explicit Limits(const UpdateRule* r) : scale(set1(r->scale)), low(set1(-r->clip)), high(set1(r->clip)) {}
  vec load(const float* gradient, int64_t n) const { return min(high, max(low, mul(scale, load_n(gradient, n)))); }
};

// Calls body, which updates w[at .. at + n), and keeps the average.
template <class Body>
inline void averaged(const UpdateRule* r, const Parameters& p, int64_t at, int64_t n, const Body& body) {
  if (!p.average) return body();
  const vec before = load_n(p.w + at, n);
  body();
  store_n(p.average + at, fnma(set1(r->average_scale), sub(load_n(p.w + at, n), before), load_n(p.average + at, n)), n);
}

// Calls body(at, gradient, count) likewise, with the gradient within the rule's limits.
template <class Body>
inline void each_gradient_of(const UpdateRule* r, const Parameters& p, const Body& body) {
  const Limits limits(r);
  each_vector_of(p, [&](int64_t at, int64_t from, int64_t n) { averaged(r, p, at, n, [&] { body(at, limits.load(p.gradient + from, n), n); }); });
}

void update_sgd(const UpdateRule* r, const Parameters p) {
  const vec rate = set1(r->rate), momentum = set1(r->momentum);
  each_gradient_of(r, p, [&](int64_t at, vec g, int64_t n) {
    vec to = load_n(p.w + at, n);
    if (!p.moment1) {
      to = fnma(rate, g, to);
    } else if (r->form == 0) {
      const vec m = fnma(rate, g, mul(momentum, load_n(p.moment1 + at, n)));
      store_n(p.moment1 + at, m, n);
      to = add(to, r->nesterov ? fnma(rate, g, mul(momentum, m)) : m);
    } else {
      const vec m = fma(momentum, load_n(p.moment1 + at, n), g);
      store_n(p.moment1 + at, m, n);
      to = fnma(rate, r->nesterov ? fma(momentum, m, g) : m, to);
    }
    store_n(p.w + at, to, n);
  });
}

void update_adam(const UpdateRule* r, const Parameters p) {
  const vec rate = set1(r->rate), decay = set1(r->decay), epsilon = set1(r->epsilon), root_scale = set1(r->root_scale);
  const vec one_minus_beta1 = set1(r->one_minus_beta1), one_minus_beta2 = set1(r->one_minus_beta2);
  each_gradient_of(r, p, [&](int64_t at, vec g, int64_t n) {
    const vec old_w = load_n(p.w + at, n);
    vec m = load_n(p.moment1 + at, n), v = load_n(p.moment2 + at, n);
    m = fma(sub(g, m), one_minus_beta1, m);
    v = fma(sub(mul(g, g), v), one_minus_beta2, v);
    store_n(p.moment1 + at, m, n);
    store_n(p.moment2 + at, v, n);
    const vec step = div(mul(rate, m), fma(sqrt(v), root_scale, epsilon));
    store_n(p.w + at, sub(fnma(decay, old_w, old_w), step), n);
  });
}

void update_adagrad(const UpdateRule* r, const Parameters p) {
  const vec rate = set1(r->rate), epsilon = set1(r->epsilon);
  each_gradient_of(r, p, [&](int64_t at, vec g, int64_t n) {
    const vec a = fma(g, g, load_n(p.moment1 + at, n));
    store_n(p.moment1 + at, a, n);
    const vec root = r->form == 0 ? sqrt(add(a, epsilon)) : add(sqrt(a), epsilon);
    store_n(p.w + at, sub(load_n(p.w + at, n), div(mul(rate, g), root)), n);
  });
}

void update_rmsprop(const UpdateRule* r, const Parameters p) {
  const vec rate = set1(r->rate), epsilon = set1(r->epsilon), momentum = set1(r->momentum), fade = set1(r->one_minus_beta2);
  each_gradient_of(r, p, [&](int64_t at, vec g, int64_t n) {
    vec v = load_n(p.moment1 + at, n);
    v = fma(sub(mul(g, g), v), fade, v);
    store_n(p.moment1 + at, v, n);
    if (p.moment3) {
      vec b = load_n(p.moment3 + at, n);
      b = fma(sub(g, b), fade, b);
      store_n(p.moment3 + at, b, n);
      v = max(fnma(b, b, v), zero());  // a variance, which rounding may take below 0
    }
    const vec scaled = r->form == 0 ? mul(rate, g) : g;
    vec step = div(scaled, r->form == 0 ? sqrt(add(v, epsilon)) : add(sqrt(v), epsilon));
    if (p.moment2) {
      step = fma(momentum, load_n(p.moment2 + at, n), step);
      store_n(p.moment2 + at, step, n);
    }
    if (r->form != 0) step = mul(rate, step);
    store_n(p.w + at, sub(load_n(p.w + at, n), step), n);
  });
}

// x^p for x >= 0. The usual p = 1/2 is a square root.
inline vec power(vec x, float p) {
  if (p == 0.5f) return sqrt(x);
  float lanes[kLanes];
  store(lanes, x);
  for (float& lane : lanes) lane = static_cast<float>(::pow(static_cast<double>(lane), static_cast<double>(p)));
  return load(lanes);
}

void update_ftrl(const UpdateRule* r, const Parameters p) {
  const vec inverse_rate = set1(1.0f / r->rate), shrink = set1(2.0f * r->ftrl_l2_shrinkage), l1 = set1(r->ftrl_l1);
  const vec ridge = set1(2.0f * r->ftrl_l2 + r->ftrl_beta / r->rate);
  each_gradient_of(r, p, [&](int64_t at, vec g, int64_t n) {
    const vec old_w = load_n(p.w + at, n), old = load_n(p.moment1 + at, n), sum = fma(g, g, old);
    const vec root = power(sum, r->ftrl_power), grown = mul(sub(root, power(old, r->ftrl_power)), inverse_rate);
    const vec z = add(load_n(p.moment2 + at, n), fnma(grown, old_w, fma(shrink, old_w, g)));
    store_n(p.moment1 + at, sum, n);
    store_n(p.moment2 + at, z, n);
    const vec clipped = max(min(z, l1), sub(zero(), l1));
    store_n(p.w + at, div(sub(clipped, z), fma(root, inverse_rate, ridge)), n);
  });
}

void update_rowwise_adagrad(const UpdateRule* r, const Parameters p) {
  const Limits limits(r);
  const vec full_rate = set1(r->rate), epsilon = set1(r->epsilon);
  for (int64_t row = 0; row < p.rows; row++) {
    const int64_t id = p.ids ? p.ids[row] : row;
    const float* const gradient = p.gradient + row * p.width;
    float *const w = p.w + id * p.width, *const a = p.moment1 + id;
    vec squares = zero();
    each_vector(p.width, [&](int64_t c, int64_t n) {
      const vec g = limits.load(gradient + c, n);
      squares = fma(g, g, squares);
    });
    *a += reduce_add(squares) / static_cast<float>(p.width);
    const vec rate = div(full_rate, add(sqrt(set1(*a)), epsilon));
    each_vector(p.width, [&](int64_t c, int64_t n) {
      averaged(r, p, id * p.width + c, n, [&] { store_n(w + c, fnma(rate, limits.load(gradient + c, n), load_n(w + c, n)), n); });
    });
  }
}

// A rule that has no kernel does not compile.
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
void update(const UpdateRule* rule, const Parameters* p) {
  switch (static_cast<mg_rule>(rule->rule)) {
    case MG_SGD: return update_sgd(rule, *p);
    case MG_ADAM: return update_adam(rule, *p);
    case MG_ADAGRAD: return update_adagrad(rule, *p);
    case MG_RMSPROP: return update_rmsprop(rule, *p);
    case MG_FTRL: return update_ftrl(rule, *p);
    case MG_ROWWISE_ADAGRAD: return update_rowwise_adagrad(rule, *p);
  }
}
#pragma GCC diagnostic pop

}  // namespace
}  // namespace mg
