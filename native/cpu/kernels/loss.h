// Losses with missing labels and weights, and predictions from logits.
//
//   binary       l = max(z,0) - z y + log1p(e^-|z|), dz = scale w (sigmoid(z) - y)
//   product      the binary loss of p = product of sigmoid(z_i), from t = -log p = sum softplus(-z_i)
//   squared      l = (z - y)^2, dz = scale w 2 (z - y)
//   multiclass   l = logsumexp(z) - z_y, dz = scale w (softmax(z) - onehot(y))
// A row whose label is NaN or whose weight is 0 adds nothing, even where its logit is not finite. All stay accurate for |z|
// of thousands. The loss of a block is summed in double in row order.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/math.h"
#include "cpu/kernels/mixture.h"

namespace mg {
namespace {

// The weight of row r; 0 if the row does not count.
inline float weight_of(const Loss* b, int64_t r) {
  const float label = b->label.data[r * b->label.stride];
  if (label != label) return 0.0f;
  return b->weight.data ? b->weight.data[r * b->weight.stride] : 1.0f;
}

// kLanes rows at a time.
void binary_loss(const Loss* arguments) {
  const Loss b = *arguments;  // a local copy, which no store can change
  double loss = *b.loss;
  for (int64_t r = 0; r < b.rows; r += kLanes) {
    const int64_t n = least(kLanes, b.rows - r);
    float zs[kLanes], ys[kLanes], ws[kLanes];
    for (int64_t i = 0; i < kLanes; i++) {
      const int64_t row = r + (i < n ? i : 0);
      ws[i] = i < n ? weight_of(&b, row) : 0.0f;
      zs[i] = b.z.data[row * b.z.stride];
      ys[i] = ws[i] != 0.0f ? b.label.data[row * b.label.stride] : 0.0f;
    }
    const vec z = load(zs), y = load(ys), w = load(ws), u = exp(sub(zero(), abs(z)));
    float losses[kLanes];
    store(losses, mul(w, add(fnma(z, y, max(z, zero())), log1p_unit(u))));
    for (int64_t i = 0; i < n; i++)
      if (ws[i] != 0.0f) loss += static_cast<double>(losses[i]);
    if (!b.dz.data) continue;
    float slopes[kLanes];
    // sigmoid(z) - y, from the side where sigmoid(z) is small: no cancellation if the model is sure and right
    const vec rest = div(u, add(set1(1.0f), u));
    const vec slope = select_less(z, zero(), sub(rest, y), sub(sub(set1(1.0f), y), rest));
    store(slopes, mul(mul(w, set1(b.gradient_scale)), slope));
    for (int64_t i = 0; i < n; i++) b.dz.data[(r + i) * b.dz.stride] = ws[i] != 0.0f ? slopes[i] : 0.0f;
  }
  *b.loss = loss;
}

void binary_predict(int64_t rows, RowPointer logit, RowPointer y) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    const int64_t n = least(kLanes, rows - r);
    float zs[kLanes];
    for (int64_t i = 0; i < kLanes; i++) zs[i] = i < n ? logit.data[(r + i) * logit.stride] : 0.0f;
    store(zs, sigmoid(load(zs)));
    for (int64_t i = 0; i < n; i++) y.data[(r + i) * y.stride] = zs[i];
  }
}

// e^-40 is below the rounding error of a double: above it softplus(-z) is e^-z.
constexpr double kSure = 40;

// One row at a time in double: a model has one such loss, and it must not cancel. If every z is above kSure, divide the terms
// that would underflow by e^-least first.
void product_loss(const ProductLoss* p) {
  const Loss& b = p->shared;
  for (int64_t r = 0; r < b.rows; r++) {
    const float w = weight_of(&b, r);
    if (w == 0.0f) {
      for (int64_t i = 0; p->dlogits && i < p->count; i++)
        if (!p->accumulate[i]) p->dlogits[i].data[r * p->dlogits[i].stride] = 0.0f;
      continue;
    }
    const double y = static_cast<double>(b.label.data[r * b.label.stride]);
    double t = 0, lowest = HUGE_VAL, shifted = 0;
    const auto logit = [&](int64_t i) { return static_cast<double>(p->logits[i].data[r * p->logits[i].stride]); };
    for (int64_t i = 0; i < p->count; i++) {
      const double z = logit(i);
      t += (z < 0 ? -z : 0) + ::log1p(::exp(-::fabs(z)));
      lowest = z < lowest ? z : lowest;
    }
    const bool sure = lowest > kSure;
    for (int64_t i = 0; sure && i < p->count; i++) shifted += ::exp(lowest - logit(i));
    const double log_rest = sure ? ::log(shifted) - lowest : t > 0.7 ? ::log1p(-::exp(-t)) : ::log(-::expm1(-t));
    *b.loss += static_cast<double>(w) * (y * t - (y == 1 ? 0 : (1 - y) * log_rest));
    if (!p->dlogits) continue;
    const double slope = static_cast<double>(w) * static_cast<double>(b.gradient_scale), odds = sure ? 0 : 1 / ::expm1(t);
    for (int64_t i = 0; i < p->count; i++) {
      const double z = logit(i), below = 1 / (1 + ::exp(z));
      const double rest = sure ? ::exp(lowest - z) / shifted : below * odds;
      float& dz = p->dlogits[i].data[r * p->dlogits[i].stride];
      dz = (p->accumulate[i] ? dz : 0.0f) + static_cast<float>(slope * (-y * below + (1 - y) * rest));
    }
  }
}

void product_predict(int64_t rows, int64_t count, const RowPointer* logits, RowPointer y) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    const int64_t n = least(kLanes, rows - r);
    vec product = set1(1.0f);
    float zs[kLanes];
    for (int64_t k = 0; k < count; k++) {
      for (int64_t i = 0; i < kLanes; i++) zs[i] = i < n ? logits[k].data[(r + i) * logits[k].stride] : 0.0f;
      product = mul(product, sigmoid(load(zs)));
    }
    store(zs, product);
    for (int64_t i = 0; i < n; i++) y.data[(r + i) * y.stride] = zs[i];
  }
}

void squared_loss(const Loss* b) {
  for (int64_t r = 0; r < b->rows; r++) {
    const float w = weight_of(b, r);
    const float difference = w != 0.0f ? b->z.data[r * b->z.stride] - b->label.data[r * b->label.stride] : 0.0f;
    if (w != 0.0f) *b->loss += static_cast<double>(w) * static_cast<double>(difference) * static_cast<double>(difference);
    if (b->dz.data) b->dz.data[r * b->dz.stride] = w * b->gradient_scale * 2.0f * difference;
  }
}

void multiclass_predict(int64_t rows, int64_t classes, RowPointer logits, RowPointer y) {
  for (int64_t r = 0; r < rows; r++) {
    float* p = y.data + r * y.stride;
    memcpy(p, logits.data + r * logits.stride, static_cast<size_t>(classes) * sizeof(float));
    softmax(p, classes, 1.0f);
  }
}

void multiclass_loss(const Loss* b) {
  for (int64_t r = 0; r < b->rows; r++) {
    const float* z = b->z.data + r * b->z.stride;
    float* dz = b->dz.data ? b->dz.data + r * b->dz.stride : nullptr;
    const float w = weight_of(b, r);
    if (w == 0.0f) {
      if (dz) memset(dz, 0, static_cast<size_t>(b->classes) * sizeof(float));
      continue;
    }
    const float label = b->label.data[r * b->label.stride];
    vec largest = set1(-INFINITY), sums = zero();
    each_vector(b->classes, [&](int64_t c, int64_t n) { largest = max(keep_n(load_n(z + c, n), n, -INFINITY), largest); });
    const float top = reduce_max(largest);
    each_vector(b->classes, [&](int64_t c, int64_t n) { sums = add(sums, keep_n(exp(sub(load_n(z + c, n), set1(top))), n, 0.0f)); });
    const float sum = reduce_add(sums);
    const bool known = label >= 0.0f && label < static_cast<float>(b->classes) && label == static_cast<float>(static_cast<int64_t>(label));
    const int64_t hit = known ? static_cast<int64_t>(label) : -1;
    const double at = known ? static_cast<double>(z[hit]) : 0.0;
    *b->loss += static_cast<double>(w) * (static_cast<double>(top) - at + ::log(static_cast<double>(sum)));
    if (!dz) continue;
    const float slope = w * b->gradient_scale;
    const vec scale = set1(slope / sum);
    each_vector(b->classes, [&](int64_t c, int64_t n) { store_n(dz + c, mul(exp(sub(load_n(z + c, n), set1(top))), scale), n); });
    if (known) dz[hit] -= slope;
  }
}

}  // namespace
}  // namespace mg
