// Losses with missing labels and weights, and predictions from logits.
//
//   binary       l = max(z,0) - z y + log1p(e^-|z|), dz = scale w (sigmoid(z) - y)
//   product      the binary loss of p = product of sigmoid(z_i), from t = -log p = sum softplus(-z_i)
//   focal        l = -y (1-p)^gamma log p - (1-y) p^gamma log(1-p)
//   regression   squared: l = (z - y)^2, dz = scale w 2 (z - y); the other kinds: abi/ops.h
//   ziln         the binary loss of y > 0, and there that of a lognormal
//   ordinal      the mean of the binary losses of label > i
//   order        l = factor max(0, sigmoid(z_0) - sigmoid(z_1))
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

struct LossAndSlope {
  double loss, slope;
};

inline double softplus_of(double z) { return (z > 0 ? z : 0) + ::log1p(::exp(-::fabs(z))); }
inline double sigmoid_of(double z) { return 1 / (1 + ::exp(-z)); }

// A loss of one number per row, one row at a time in double: element(z, y) is its l and dl/dz.
template <class Element>
__attribute__((always_inline)) inline void each_row(const Loss* b, const Element& element) {
  for (int64_t r = 0; r < b->rows; r++) {
    const float w = weight_of(b, r);
    float slope = 0;
    if (w != 0.0f) {
      const LossAndSlope own = element(static_cast<double>(b->z.data[r * b->z.stride]), static_cast<double>(b->label.data[r * b->label.stride]));
      *b->loss += static_cast<double>(w) * own.loss;
      slope = static_cast<float>(static_cast<double>(w * b->gradient_scale) * own.slope);
    }
    if (b->dz.data) b->dz.data[r * b->dz.stride] = slope;
  }
}

// With L(z) = (1-p)^gamma softplus(-z): dL = -(1-p)^gamma (gamma p softplus(-z) + 1 - p). Label 0 is the same at -z.
inline void focal_loss(const Loss* b) {
  const double gamma = b->parameter;
  const auto of_one = [gamma](double z) {
    const double rest = sigmoid_of(-z), factor = ::pow(rest, gamma), plus = softplus_of(-z);
    return LossAndSlope{factor * plus, -factor * (gamma * sigmoid_of(z) * plus + rest)};
  };
  each_row(b, [&](double z, double y) {
    const LossAndSlope one = of_one(z), zero = of_one(-z);
    return LossAndSlope{y * one.loss + (1 - y) * zero.loss, y * one.slope - (1 - y) * zero.slope};
  });
}

// kLanes rows at a time.
void binary_loss(const Loss* arguments) {
  if (arguments->parameter > 0) return focal_loss(arguments);
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

void binary_predict(const Predict* p) {
  const vec offset = set1(static_cast<float>(p->offset));
  for (int64_t r = 0; r < p->rows; r += kLanes) {
    const int64_t n = least(kLanes, p->rows - r);
    float zs[kLanes];
    for (int64_t i = 0; i < kLanes; i++) zs[i] = i < n ? p->z.data[(r + i) * p->z.stride] : 0.0f;
    store(zs, sigmoid(add(load(zs), offset)));
    for (int64_t i = 0; i < n; i++) p->y.data[(r + i) * p->y.stride] = zs[i];
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

void order_loss(const ProductLoss* p) {
  const Loss& b = p->shared;
  for (int64_t r = 0; r < b.rows; r++) {
    const float w = weight_of(&b, r);
    const double z0 = static_cast<double>(p->logits[0].data[r * p->logits[0].stride]),
                 z1 = static_cast<double>(p->logits[1].data[r * p->logits[1].stride]);
    const bool counts = w != 0.0f && z0 > z1;
    // The difference of the smaller ends: nothing cancels where both are near 1.
    if (counts) *b.loss += static_cast<double>(w) * b.parameter * (z1 > 0 ? sigmoid_of(-z1) - sigmoid_of(-z0) : sigmoid_of(z0) - sigmoid_of(z1));
    if (!p->dlogits) continue;
    const double slope = static_cast<double>(w) * static_cast<double>(b.gradient_scale) * b.parameter;
    for (int64_t i = 0; i < 2; i++) {
      const double z = i == 0 ? z0 : z1, own = counts ? sigmoid_of(z) * sigmoid_of(-z) : 0;
      float& dz = p->dlogits[i].data[r * p->dlogits[i].stride];
      dz = (p->accumulate[i] ? dz : 0.0f) + (counts ? static_cast<float>(slope * (i == 0 ? own : -own)) : 0.0f);
    }
  }
}

inline void squared_loss(const Loss* b) {
  for (int64_t r = 0; r < b->rows; r++) {
    const float w = weight_of(b, r);
    const float difference = w != 0.0f ? b->z.data[r * b->z.stride] - b->label.data[r * b->label.stride] : 0.0f;
    if (w != 0.0f) *b->loss += static_cast<double>(w) * static_cast<double>(difference) * static_cast<double>(difference);
    if (b->dz.data) b->dz.data[r * b->dz.stride] = w * b->gradient_scale * 2.0f * difference;
  }
}

// e^t up to 80, then its tangent.
inline LossAndSlope exponential(double t) {
  const double e = ::exp(t < 80 ? t : 80);
  return {t < 80 ? e : e * (1 + t - 80), e};
}

void regression_loss(const Loss* b) {
  const double a = b->parameter;
  switch (b->kind) {
    case MG_ABSOLUTE:
      return each_row(b, [](double z, double y) {
        const double d = z - y;
        return LossAndSlope{::fabs(d), d > 0 ? 1.0 : d < 0 ? -1.0 : 0.0};
      });
    case MG_HUBER:
      return each_row(b, [a](double z, double y) {
        const double d = z - y, size = ::fabs(d);
        return size <= a ? LossAndSlope{d * d / 2, d} : LossAndSlope{a * (size - a / 2), d > 0 ? a : -a};
      });
    case MG_LOG_COSH:
      return each_row(b, [](double z, double y) {
        const double size = ::fabs(z - y);
        return LossAndSlope{size + ::log1p(::expm1(-2 * size) / 2), ::tanh(z - y)};
      });
    case MG_QUANTILE:
      return each_row(b, [a](double z, double y) {
        const double d = z - y;
        return d > 0 ? LossAndSlope{(1 - a) * d, 1 - a} : LossAndSlope{-a * d, d < 0 ? -a : 0.0};
      });
    case MG_POISSON:
      return each_row(b, [](double z, double y) {
        const LossAndSlope mean = exponential(z);
        return LossAndSlope{mean.loss - y * z, mean.slope - y};
      });
    case MG_TWEEDIE:
      return each_row(b, [a](double z, double y) {
        const LossAndSlope up = exponential((2 - a) * z), down = exponential((1 - a) * z);
        return LossAndSlope{up.loss / (2 - a) + y * down.loss / (a - 1), up.slope - y * down.slope};
      });
    default: return squared_loss(b);
  }
}

// y = link(offset + scale z), in double: predictions are few beside the products that lead to them.
void regression_predict(const Predict* p) {
  for (int64_t r = 0; r < p->rows; r++) {
    const double t = p->offset + p->scale * static_cast<double>(p->z.data[r * p->z.stride]), bounded = t < 88 ? t : 88;
    const double y = p->link == MG_LINK_EXP ? ::exp(bounded) : p->link == MG_LINK_EXPM1 ? ::expm1(bounded) : t;
    p->y.data[r * p->y.stride] = static_cast<float>(y);
  }
}

inline double deviation(float raw) { return softplus_of(static_cast<double>(raw)) + 1.0 / 1024; }

void ziln_loss(const Loss* b) {
  constexpr double kHalfLogOfTwoPi = 0.91893853320467274178;
  for (int64_t r = 0; r < b->rows; r++) {
    const float* z = b->z.data + r * b->z.stride;
    float* dz = b->dz.data ? b->dz.data + r * b->dz.stride : nullptr;
    const float w = weight_of(b, r);
    if (w == 0.0f) {
      if (dz) dz[0] = dz[1] = dz[2] = 0.0f;
      continue;
    }
    const double y = static_cast<double>(b->label.data[r * b->label.stride]), a = static_cast<double>(z[0]);
    const double scale = static_cast<double>(w) * static_cast<double>(b->gradient_scale);
    if (!(y > 0)) {
      *b->loss += static_cast<double>(w) * softplus_of(a);
      if (dz) dz[0] = static_cast<float>(scale * sigmoid_of(a)), dz[1] = dz[2] = 0.0f;
      continue;
    }
    const double sigma = deviation(z[2]), far = (::log(y) - static_cast<double>(z[1])) / sigma;
    *b->loss += static_cast<double>(w) * (softplus_of(-a) + ::log(y) + ::log(sigma) + kHalfLogOfTwoPi + far * far / 2);
    if (!dz) continue;
    dz[0] = static_cast<float>(-scale * sigmoid_of(-a));
    dz[1] = static_cast<float>(-scale * far / sigma);
    dz[2] = static_cast<float>(scale * (1 - far * far) / sigma * sigmoid_of(static_cast<double>(z[2])));
  }
}

void ziln_predict(const Predict* p) {
  for (int64_t r = 0; r < p->rows; r++) {
    const float* z = p->z.data + r * p->z.stride;
    const double sigma = deviation(z[2]), t = static_cast<double>(z[1]) + sigma * sigma / 2;
    p->y.data[r * p->y.stride] = static_cast<float>(sigmoid_of(static_cast<double>(z[0])) * ::exp(t < 88 ? t : 88));
  }
}

// kLanes logits of a row at a time.
void ordinal_loss(const Loss* b) {
  for (int64_t r = 0; r < b->rows; r++) {
    const float* zs = b->z.data + r * b->z.stride;
    float* dz = b->dz.data ? b->dz.data + r * b->dz.stride : nullptr;
    const float w = weight_of(b, r);
    if (w == 0.0f) {
      if (dz) memset(dz, 0, static_cast<size_t>(b->classes) * sizeof(float));
      continue;
    }
    const float label = b->label.data[r * b->label.stride];
    const vec scale = set1(w * b->gradient_scale / static_cast<float>(b->classes));
    vec sums = zero();
    each_vector(b->classes, [&](int64_t c, int64_t n) {
      // The loss of z is that of -z with the other label: softplus(s z), with s = -1 above.
      float signs[kLanes];
      for (int64_t i = 0; i < kLanes; i++) signs[i] = label > static_cast<float>(c + i) ? -1.0f : 1.0f;
      const vec sign = load(signs), z = mul(sign, load_n(zs + c, n)), u = exp(sub(zero(), abs(z)));
      sums = add(sums, keep_n(add(max(z, zero()), log1p_unit(u)), n, 0.0f));
      const vec rest = div(u, add(set1(1.0f), u)), p = select_less(z, zero(), rest, sub(set1(1.0f), rest));
      if (dz) store_n(dz + c, mul(scale, mul(sign, p)), n);
    });
    *b->loss += static_cast<double>(w) * static_cast<double>(reduce_add(sums)) / static_cast<double>(b->classes);
  }
}

void ordinal_predict(const Predict* p) {
  for (int64_t r = 0; r < p->rows; r++) {
    double sum = p->offset;
    for (int64_t i = 0; i < p->width; i++) sum += p->widths[i] * sigmoid_of(static_cast<double>(p->z.data[r * p->z.stride + i]));
    p->y.data[r * p->y.stride] = static_cast<float>(sum);
  }
}

void multiclass_predict(const Predict* p) {
  for (int64_t r = 0; r < p->rows; r++) {
    float* y = p->y.data + r * p->y.stride;
    memcpy(y, p->z.data + r * p->z.stride, static_cast<size_t>(p->width) * sizeof(float));
    softmax(y, p->width, 1.0f);
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
