// Binary cross-entropy from logits with missing labels and weights, and the sigmoid that predicts.
//
//   l = max(z,0) - z y + log1p(e^-|z|), dz = scale w (sigmoid(z) - y); label NaN: neither loss nor gradient
// One logit per row, kLanes rows at a time. Both stay accurate for |z| of thousands. The loss of a block is summed in double
// in row order.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/math.h"

namespace mg {
namespace {

void binary_loss(const BinaryLoss* b) {
  for (int64_t r = 0; r < b->rows; r += kLanes) {
    const int64_t n = least(kLanes, b->rows - r);
    float zs[kLanes], ys[kLanes], ws[kLanes];
    for (int64_t i = 0; i < kLanes; i++) {
      const int64_t row = r + (i < n ? i : 0);
      const float label = b->label[row * b->label_row];
      const bool counts = label == label && i < n;
      zs[i] = b->logit[row * b->logit_row];
      ys[i] = counts ? label : 0.0f;
      ws[i] = counts ? (b->weight ? b->weight[row * b->weight_row] : 1.0f) : 0.0f;
    }
    const vec z = load(zs), y = load(ys), w = load(ws), u = exp(sub(zero(), abs(z)));
    float losses[kLanes];
    store(losses, mul(w, add(fnma(z, y, max(z, zero())), log1p_unit(u))));
    // a row without a label adds nothing, even where its logit is not finite
    for (int64_t i = 0; i < n; i++)
      if (ws[i] != 0.0f) *b->loss += static_cast<double>(losses[i]);
    if (!b->dlogit) continue;
    float slopes[kLanes];
    store(slopes, mul(mul(w, set1(b->gradient_scale)), sub(sigmoid(z), y)));
    for (int64_t i = 0; i < n; i++) b->dlogit[(r + i) * b->dlogit_row] = ws[i] != 0.0f ? slopes[i] : 0.0f;
  }
}

void binary_predict(int64_t rows, const float* logit, int64_t logit_row, float* y, int64_t y_row) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    const int64_t n = least(kLanes, rows - r);
    float zs[kLanes];
    for (int64_t i = 0; i < kLanes; i++) zs[i] = i < n ? logit[(r + i) * logit_row] : 0.0f;
    store(zs, sigmoid(load(zs)));
    for (int64_t i = 0; i < n; i++) y[(r + i) * y_row] = zs[i];
  }
}

}  // namespace
}  // namespace mg
