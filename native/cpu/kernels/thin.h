// Dense layers of one or two outputs, the last layer of most towers: dot products along the depth. A tile of gemm.h would be
// mostly padding. In float32. x [rows, depth], dz [rows, outputs]; each column of W is made contiguous first.
//
// FLOPs as in dense.h. Order of reduction: a dot over the depth by lanes, then as in reduce_add4; dW over rows upwards.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int64_t kMostThinOutputs = 2, kMostThinDepth = 1024;  // 4 KiB of W in L1 beside the rows

inline bool is_thin(const Weights* w, int64_t outputs) { return outputs <= kMostThinOutputs && w->depth <= kMostThinDepth && w->rounded == 0; }

// z = x W + b
inline void thin_forward(int64_t rows, const float* x, int64_t x_row, const Weights* w, int64_t outputs, float* z, int64_t z_row) {
  float column[kMostThinDepth + kPad];
  const int64_t depth = w->depth;
  for (int64_t j = 0; j < outputs; j++) {
    for (int64_t d = 0; d < depth; d++) column[d] = w->forward[d * kPanel + j];
    for (int64_t r = 0; r < rows; r += 4) {
      const int64_t count = least(4, rows - r);
      const float* from[4];
      for (int64_t k = 0; k < 4; k++) from[k] = x + (r + (k < count ? k : 0)) * x_row;
      vec s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
      each_vector(depth, [&](int64_t c, int64_t n) {
        const vec own = load_n(column + c, n);
        s0 = fma(own, load_n(from[0] + c, n), s0), s1 = fma(own, load_n(from[1] + c, n), s1);
        s2 = fma(own, load_n(from[2] + c, n), s2), s3 = fma(own, load_n(from[3] + c, n), s3);
      });
      float sums[4];
      reduce_add4(s0, s1, s2, s3, sums);
      for (int64_t k = 0; k < count; k++) z[(r + k) * z_row + j] = sums[k] + w->bias[j];
    }
  }
}

// dW (=|+=) x^T dz, db (=|+=) sum dz
inline void thin_weight_gradient(int64_t rows, const float* x, int64_t x_row, const Weights* w, int64_t outputs, const float* dz, int64_t dz_row,
                                 WeightGradient gradient) {
  constexpr int64_t kTogether = 4 * kLanes;
  const auto put = [&](int64_t d, int64_t j, float value) {
    float& to = gradient.data[d * w->columns + j];
    to = gradient.first ? value : to + value;
  };
  for (int64_t j = 0; j < outputs; j++) {
    const float* const slope = dz + j;
    for (int64_t d = 0; d < w->depth; d += kTogether) {
      vec sum[4] = {zero(), zero(), zero(), zero()};
      const int64_t count = least(kTogether, w->depth - d);
      for (int64_t r = 0; r < rows; r++) {
        const vec own = set1(slope[r * dz_row]);
        const float* from = x + r * x_row + d;
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
          if (v * kLanes < count) sum[v] = fma(own, load_n(from + v * kLanes, least(kLanes, count - v * kLanes)), sum[v]);
      }
      float sums[kTogether];
      for (int v = 0; v < 4; v++) store(sums + v * kLanes, sum[v]);
      for (int64_t i = 0; i < count; i++) put(d + i, j, sums[i]);
    }
    float bias = 0;
    for (int64_t r = 0; r < rows; r++) bias += slope[r * dz_row];
    put(w->depth, j, bias);
  }
}

// dx (=|+=) dz W^T
inline void thin_input_gradient(int64_t rows, const Weights* w, int64_t outputs, const float* dz, int64_t dz_row, float* dx, int64_t dx_row,
                                int64_t dx_columns, bool accumulate) {
  const int64_t panel = w->columns * kPanel;
  for (int64_t j = 0; j < outputs; j++)
    for (int64_t r = 0; r < rows; r++) {
      const float* const column = w->backward + j * kPanel;
      const vec slope = set1(dz[r * dz_row + j]);
      float* const to = dx + r * dx_row;
      each_vector(dx_columns, [&](int64_t c, int64_t n) {
        const vec own = load(column + c / kPanel * panel + c % kPanel);
        store_n(to + c, accumulate || j > 0 ? fma(slope, own, load_n(to + c, n)) : mul(slope, own), n);
      });
    }
}

}  // namespace
}  // namespace mg
