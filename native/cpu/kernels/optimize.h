// What passes over parameters or their gradients once a step, besides the update rules: the slot sum, products and weighted sums of several
// gradients, and penalties.
//
// They work element by element, or sum ranges that do not depend on threads, so any split over threads gives the same bits.
#pragma once
#include "cpu/kernels/update.h"

namespace mg {
namespace {

// ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + ...): groups of four, added up in order.
void sum_slots(int64_t slots, int64_t stride, const float* in, int64_t count, float* out, bool accumulate) {
  each_vector(count, [&](int64_t c, int64_t n) {
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
  });
}

// Adds some vectors by lanes in float32, and those sums in double. 8 bytes per multiply-add.
double dot(int64_t count, const float* a, const float* b) {
  constexpr int kTogether = 16;
  double total = 0;
  vec sum = zero();
  int summed = 0;
  each_vector(count, [&](int64_t at, int64_t n) {
    sum = fma(load_n(a + at, n), load_n(b + at, n), sum);
    if (++summed < kTogether) return;
    total += static_cast<double>(reduce_add(sum));
    sum = zero(), summed = 0;
  });
  return total + static_cast<double>(reduce_add(sum));
}

// Reads every list once and writes y once.
void weighted_sum(int64_t count, int64_t lists, const float* const* from, const float* weights, float* y) {
  each_vector(count, [&](int64_t at, int64_t n) {
    vec sum = zero();
    for (int64_t k = 0; k < lists; k++) sum = fma(set1(weights[k]), load_n(from[k] + at, n), sum);
    store_n(y + at, sum, n);
  });
}

// Sums some vectors by lanes in float32, and those sums in double: as exact as the loss it is added to.
double penalty(const Parameters* parameters, float l1, float l2) {
  constexpr int kTogether = 16;
  const Parameters p = *parameters;
  const vec slope = set1(l1), square = set1(l2), twice = set1(2 * l2);
  double total = 0;
  vec sum = zero();
  int summed = 0;
  each_vector_of(p, [&](int64_t at, int64_t from, int64_t n) {
    const vec value = load_n(p.w + at, n);
    sum = fma(fma(square, abs(value), slope), abs(value), sum);
    if (p.gradient) {
      float* const g = p.gradient + from;
      const vec sign = select_less(zero(), value, slope, select_less(value, zero(), sub(zero(), slope), zero()));
      store_n(g, add(load_n(g, n), fma(twice, value, sign)), n);
    }
    if (++summed < kTogether) return;
    total += static_cast<double>(reduce_add(sum));
    sum = zero(), summed = 0;
  });
  return total + static_cast<double>(reduce_add(sum));
}

}  // namespace
}  // namespace mg
