// What walks parameters once a step beside the update rules: the slot sum and penalties.
//
// Element by element, so that any split over threads gives the same bits.
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

void add_scaled(int64_t count, float scale, const float* x, float* y) {
  const vec factor = set1(scale);
  MG_EACH_VECTOR(c, n, count) store_n(y + c, fma(factor, load_n(x + c, n), load_n(y + c, n)), n);
}

}  // namespace
}  // namespace mg
