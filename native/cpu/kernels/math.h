// exp, log1p, tanh, erf, sigmoid and the activations with their derivatives, on vectors.
//
// Unlike libm they are branch-free and the same on every lane. docs/numerics.md has the measured errors. The polynomials are
// those of the Cephes library's single-precision functions. Rule: no result depends on neighbours, so block edges never show.
#pragma once
#include "abi/multigate.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

// e^x, x clamped to [-87.3, 88.3]: smallest result 1.2e-38, largest 2.2e38. NaN stays NaN.
inline vec exp(vec x) {
  x = min(set1(88.3f), max(set1(-87.3f), x));
  const vec n = round(mul(x, set1(1.44269504088896341f)));
  vec r = fnma(n, set1(0.693359375f), x);  // ln 2 in two parts: the first has few bits, so n times it is exact
  r = fnma(n, set1(-2.12194440e-4f), r);
  vec p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = add(fma(mul(r, r), p, r), set1(1.0f));
  return mul(p, power_of_two(n));
}

// log(1 + u) for u in [0, 1], by 2 atanh(s) with s = u / (2 + u) <= 1/3: small u keep their relative accuracy.
inline vec log1p_unit(vec u) {
  const vec s = div(u, add(u, set1(2.0f))), q = mul(s, s);
  vec p = set1(1.0f / 17);
  p = fma(p, q, set1(1.0f / 15));
  p = fma(p, q, set1(1.0f / 13));
  p = fma(p, q, set1(1.0f / 11));
  p = fma(p, q, set1(1.0f / 9));
  p = fma(p, q, set1(1.0f / 7));
  p = fma(p, q, set1(1.0f / 5));
  p = fma(p, q, set1(1.0f / 3));
  const vec twice = add(s, s);
  return fma(mul(p, q), twice, twice);
}

// 1 / (1 + e^-x) from e^-|x|, so that neither end overflows.
inline vec sigmoid(vec x) {
  const vec u = exp(sub(zero(), abs(x)));
  const vec at_negative = div(u, add(set1(1.0f), u));
  return select_less(x, zero(), at_negative, div(set1(1.0f), add(set1(1.0f), u)));
}

inline vec tanh(vec x) {
  const vec a = abs(x), q = mul(x, x);
  vec p = set1(-5.70498872745e-3f);
  p = fma(p, q, set1(2.06390887954e-2f));
  p = fma(p, q, set1(-5.37397155531e-2f));
  p = fma(p, q, set1(1.33314422036e-1f));
  p = fma(p, q, set1(-3.33332819422e-1f));
  const vec near_zero = fma(mul(p, q), x, x);
  const vec u = exp(mul(a, set1(-2.0f)));
  const vec far = div(sub(set1(1.0f), u), add(set1(1.0f), u));
  return select_less(a, set1(0.625f), near_zero, select_less(x, zero(), sub(zero(), far), far));
}

inline vec erf(vec x) {
  const vec a = abs(x), q = mul(x, x);
  vec p = set1(7.853861353153693e-5f);
  p = fma(p, q, set1(-8.010193625184903e-4f));
  p = fma(p, q, set1(5.188327685732524e-3f));
  p = fma(p, q, set1(-2.685381193529856e-2f));
  p = fma(p, q, set1(1.128358514861418e-1f));
  p = fma(p, q, set1(-3.761262582423300e-1f));
  p = fma(p, q, set1(1.128379165726710f));
  const vec near_zero = mul(p, x);
  const vec inverse = div(set1(1.0f), max(a, set1(1.0f))), t = mul(inverse, inverse);
  vec to_two = set1(2.326819970068386e-2f);
  to_two = fma(to_two, t, set1(-1.387039388740657e-1f));
  to_two = fma(to_two, t, set1(3.687424674597105e-1f));
  to_two = fma(to_two, t, set1(-5.824733027278666e-1f));
  to_two = fma(to_two, t, set1(6.210004621745983e-1f));
  to_two = fma(to_two, t, set1(-4.944515323274145e-1f));
  to_two = fma(to_two, t, set1(3.404879937665872e-1f));
  to_two = fma(to_two, t, set1(-2.741127028184656e-1f));
  to_two = fma(to_two, t, set1(5.638259427386472e-1f));
  vec beyond = set1(-1.047766399936249e1f);
  beyond = fma(beyond, t, set1(1.297719955372516e1f));
  beyond = fma(beyond, t, set1(-7.495518717768503f));
  beyond = fma(beyond, t, set1(2.921019019210786f));
  beyond = fma(beyond, t, set1(-1.015265279202700f));
  beyond = fma(beyond, t, set1(4.218463358204948e-1f));
  beyond = fma(beyond, t, set1(-2.820767439740514e-1f));
  beyond = fma(beyond, t, set1(5.641895067754075e-1f));
  const vec tail = mul(mul(exp(sub(zero(), q)), inverse), select_less(a, set1(2.0f), to_two, beyond));
  const vec far = sub(set1(1.0f), tail);
  return select_less(a, set1(1.0f), near_zero, select_less(x, zero(), sub(zero(), far), far));
}

inline vec normal_cdf(vec z) { return mul(set1(0.5f), add(set1(1.0f), erf(mul(z, set1(0.70710678118654752f))))); }

template <int kActivation>
inline vec activate(vec z) {
  if (kActivation == MG_RELU) return max(zero(), z);
  if (kActivation == MG_TANH) return tanh(z);
  if (kActivation == MG_SIGMOID) return sigmoid(z);
  if (kActivation == MG_GELU) return mul(z, normal_cdf(z));
  if (kActivation == MG_SWISH) return mul(z, sigmoid(z));
  return z;
}

// dy times the derivative, from the output y. gelu and swish need the pre-activation z instead.
template <int kActivation>
inline vec activate_backward(vec dy, vec y, vec z) {
  if (kActivation == MG_RELU) return select_less(zero(), y, dy, zero());
  if (kActivation == MG_TANH) return mul(dy, fnma(y, y, set1(1.0f)));
  if (kActivation == MG_SIGMOID) return mul(dy, mul(y, sub(set1(1.0f), y)));
  if (kActivation == MG_GELU) {
    const vec density = mul(set1(0.39894228040143268f), exp(mul(set1(-0.5f), mul(z, z))));
    return mul(dy, fma(z, density, normal_cdf(z)));
  }
  if (kActivation == MG_SWISH) {
    const vec s = sigmoid(z);
    return mul(dy, mul(s, fma(z, sub(set1(1.0f), s), set1(1.0f))));
  }
  return dy;
}

// Calls f<activation>(arguments) for a run-time activation, so that the switch is outside the loops.
#define MG_WITH_ACTIVATION(activation, f, ...)          \
  switch (activation) {                                 \
    case MG_RELU: f<MG_RELU>(__VA_ARGS__); break;       \
    case MG_TANH: f<MG_TANH>(__VA_ARGS__); break;       \
    case MG_SIGMOID: f<MG_SIGMOID>(__VA_ARGS__); break; \
    case MG_GELU: f<MG_GELU>(__VA_ARGS__); break;       \
    case MG_SWISH: f<MG_SWISH>(__VA_ARGS__); break;     \
    default: f<MG_LINEAR>(__VA_ARGS__); break;          \
  }

}  // namespace
}  // namespace mg
