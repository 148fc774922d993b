// Fusion of several signals into one, element by element: sum or product.
//
//   backward: dinput_i may be narrower than the input, or absent
//   product: dinput_i = dy (x_0 .. x_{i-1}) (x_{i+1} .. x_{k-1}), the first from the left and the second from the right, so
//   an input of zero is no special case
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

void fusion_forward(const Fusion* f) {
  for (int64_t r = 0; r < f->rows; r++)
    each_vector(f->width, [&](int64_t c, int64_t n) {
      vec value = load_n(f->inputs[0].data + r * f->inputs[0].stride + c, n);
      for (int64_t i = 1; i < f->count; i++) {
        const vec x = load_n(f->inputs[i].data + r * f->inputs[i].stride + c, n);
        value = f->kind == 0 ? add(value, x) : mul(value, x);
      }
      store_n(f->y.data + r * f->y.stride + c, value, n);
    });
}

void fusion_backward(const Fusion* f) {
  for (int64_t r = 0; r < f->rows; r++)
    each_vector(f->width, [&](int64_t c, int64_t n) {
      vec left = set1(1.0f), right = load_n(f->y.data + r * f->y.stride + c, n);
      if (f->kind == 1)
        for (int64_t i = 0; i < f->count; i++) {
          store(f->prefix + i * kPad, left);
          left = mul(left, load_n(f->inputs[i].data + r * f->inputs[i].stride + c, n));
        }
      for (int64_t i = f->count; i-- > 0;) {
        vec value = f->kind == 0 ? right : mul(load(f->prefix + i * kPad), right);
        if (f->kind == 1) right = mul(right, load_n(f->inputs[i].data + r * f->inputs[i].stride + c, n));
        if (c >= f->columns[i]) continue;
        float* to = f->dinputs[i].data + r * f->dinputs[i].stride + c;
        const auto put = [&](int64_t m) __attribute__((always_inline)) { store_n(to, f->accumulate[i] ? add(load_n(to, m), value) : value, m); };
        if (c + n <= f->columns[i])
          put(n);
        else
          put(f->columns[i] - c);
      }
    });
}

}  // namespace
}  // namespace mg
