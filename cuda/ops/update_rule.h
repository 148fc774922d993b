// The update rules of optimizers, one element at a time, for dense parameters and tables. native/cpu/kernels/update.h has the
// formulas. Square roots and divisions are correctly rounded.
//
// UpdateRule holds the program's constants and is an argument. UpdateStep holds values that change from step to step. The first kernel
// computes it on the device in double, because graphs are replayed with other scalars.
#pragma once
#include <cmath>
#include <type_traits>

#include "cuda/ops/pieces.h"
#include "cuda/scalar_sums.h"

namespace mg_cuda {

// kSquares is no rule: it sums the squares of the gradient instead (table_squares).
enum Rule : int {
  kSgd = MG_SGD,
  kAdam = MG_ADAM,
  kAdagrad = MG_ADAGRAD,
  kRmsprop = MG_RMSPROP,
  kFtrl = MG_FTRL,
  kRowwise = MG_ROWWISE_ADAGRAD,
  kSquares = MG_RULE_COUNT
};

struct UpdateRule {
  bool keras, nesterov;
  float one_minus_beta1, one_minus_beta2, epsilon, momentum;
  float ftrl_l1, ftrl_shrink, ftrl_power;
  float clip;  // largest size of a gradient's element; 0: any
};

struct UpdateStep {
  float rate, decay, root_scale, inverse_rate, ridge;
  float scale;          // factor of the gradient, which limits its length
  float average_scale;  // of a kept average
};

// The inputs of UpdateStep: the numbers of scalar inputs, and constants in double.
struct StepSource {
  int rule;
  bool keras;
  int64_t learning_rate, step;
  double beta1, beta2, weight_decay;
  float ftrl_l2, ftrl_beta;
  int64_t average_scale;  // -1: none
  int64_t squares;        // a scalar output
  double clip_norm;       // 0: any length
};

template <class Op>
UpdateRule rule_of(const Op& op) {
  return {op.form == 0,
          op.nesterov != 0,
          static_cast<float>(1 - op.beta1),
          static_cast<float>(1 - op.beta2),
          static_cast<float>(op.epsilon),
          static_cast<float>(op.momentum),
          static_cast<float>(op.ftrl_l1),
          2 * static_cast<float>(op.ftrl_l2_shrinkage),
          static_cast<float>(-op.ftrl_power),
          static_cast<float>(op.clip_value)};
}

template <class Op>
StepSource step_source_of(const Op& op) {
  return {static_cast<int>(op.rule),
          op.form == 0,
          op.learning_rate,
          op.step,
          op.beta1,
          op.beta2,
          op.weight_decay,
          static_cast<float>(op.ftrl_l2),
          static_cast<float>(op.ftrl_beta),
          op.average.buffer < 0 ? -1 : op.average_scale,
          op.squares,
          op.clip_norm};
}

__device__ inline UpdateStep step_of(const StepSource& from, const double* scalars) {
  double rate = scalars[from.learning_rate];
  UpdateStep step{};
  step.decay = static_cast<float>(rate * from.weight_decay);
  step.root_scale = step.scale = 1;
  step.average_scale = from.average_scale < 0 ? 0 : static_cast<float>(scalars[from.average_scale]);
  if (from.rule == kAdam) {
    const double t = scalars[from.step];
    const double correction1 = 1 - pow(from.beta1, t), correction2 = 1 - pow(from.beta2, t);
    rate *= (from.keras ? sqrt(correction2) : 1.0) / correction1;
    if (!from.keras) step.root_scale = static_cast<float>(1 / sqrt(correction2));
  }
  step.rate = static_cast<float>(rate);
  step.inverse_rate = 1.0f / step.rate;
  step.ridge = 2 * from.ftrl_l2 + from.ftrl_beta / step.rate;
  return step;
}

// The factor that limits the length of the gradient. NaN has no limit: it stays. All threads of a block call it; thread 0 has the result.
// scratch: one double per warp.
__device__ inline float length_scale(const StepSource& from, const RunningSums& all, double* scratch) {
  double squares = all.before[from.squares];
  for (int64_t s = 0; s < all.count; s++) {
    const ScalarSum own = all.sums[s];
    if (own.output != from.squares) continue;
    double sum = 0;
    for (int64_t i = threadIdx.x; i < own.count; i += blockDim.x) sum += all.partials[own.first + i];
    squares += block_sum(sum, scratch);
    block_barrier();
  }
  const double length = sqrt(squares);
  return length > from.clip_norm ? static_cast<float>(from.clip_norm / length) : 1.0f;
}

// x^p for x >= 0. The usual p = 1/2 is a square root.
__device__ __forceinline__ float power(float x, float p) {
  return p == 0.5f ? sqrtf(x) : static_cast<float>(pow(static_cast<double>(x), static_cast<double>(p)));
}

// Weights, their moments and their average, element by element. Those that there are not are null.
struct Updated {
  float *w, *first, *second, *third, *average;
};

template <class Op>
Updated updated_by(const Context& context, const mg_view& weights, const Op& op) {
  return {context.elements(weights), context.elements(op.moment1), context.elements(op.moment2), context.elements(op.moment3),
          context.elements(op.average)};
}

// Updates one element. m1, m2, m3: its moments, if `to` has them.
template <int kRule>
__device__ __forceinline__ void update_element(const UpdateRule& r, const UpdateStep& s, const Updated& to, float g, float& w, float& m1, float& m2,
                                               float& m3) {
  if constexpr (kRule == kSgd) {
    if (to.first == nullptr) {
      w = fused(-s.rate, g, w);
    } else if (r.keras) {
      m1 = fused(-s.rate, g, r.momentum * m1);
      w += r.nesterov ? fused(-s.rate, g, r.momentum * m1) : m1;
    } else {
      m1 = fused(r.momentum, m1, g);
      w = fused(-s.rate, r.nesterov ? fused(r.momentum, m1, g) : m1, w);
    }
  } else if constexpr (kRule == kAdam) {
    m1 = fused(g - m1, r.one_minus_beta1, m1);
    m2 = fused(fused(g, g, -m2), r.one_minus_beta2, m2);
    w = fused(-s.decay, w, w) - s.rate * m1 / fused(sqrtf(m2), s.root_scale, r.epsilon);
  } else if constexpr (kRule == kAdagrad) {
    m1 = fused(g, g, m1);
    w -= s.rate * g / (r.keras ? sqrtf(m1 + r.epsilon) : sqrtf(m1) + r.epsilon);
  } else if constexpr (kRule == kRmsprop) {
    m1 = fused(fused(g, g, -m1), r.one_minus_beta2, m1);
    float variance = m1;
    if (to.third != nullptr) {
      m3 = fused(g - m3, r.one_minus_beta2, m3);
      variance = fmaxf(fused(-m3, m3, m1), 0.0f);  // rounding may take it below 0
    }
    float step = r.keras ? s.rate * g / sqrtf(variance + r.epsilon) : g / (sqrtf(variance) + r.epsilon);
    if (to.second != nullptr) step = m2 = fused(r.momentum, m2, step);
    w -= r.keras ? step : s.rate * step;
  } else if constexpr (kRule == kRowwise || kRule == kSquares) {
    // update_row does the one: it needs the whole row; the other updates nothing
  } else {
    static_assert(kRule == kFtrl);
    const float sum = fused(g, g, m1), root = power(sum, r.ftrl_power);
    const float grown = (root - power(m1, r.ftrl_power)) * s.inverse_rate;
    m1 = sum;
    m2 += fused(-grown, w, fused(r.ftrl_shrink, w, g));
    const float clipped = fmaxf(fminf(m2, r.ftrl_l1), -r.ftrl_l1);
    w = (clipped - m2) / fused(root, s.inverse_rate, s.ridge);
  }
}

// g within the limits. NaN stays NaN.
__device__ __forceinline__ float limited(const UpdateRule& rule, const UpdateStep& step, float g) {
  g *= step.scale;
  if (rule.clip == 0) return g;
  return g > rule.clip ? rule.clip : g < -rule.clip ? -rule.clip : g;
}

// The average of elements from `at` on, which an update has changed from `before` to `after`.
template <int kFloats>
__device__ __forceinline__ void keep_average(const UpdateStep& step, const Updated& to, int64_t at, const Piece<kFloats>& before,
                                             const Piece<kFloats>& after) {
  if (to.average == nullptr) return;
  Piece<kFloats> average = load_piece<kFloats>(to.average + at);
#pragma unroll
  for (int k = 0; k < kFloats; k++) average.at[k] = fused(-step.average_scale, after.at[k] - before.at[k], average.at[k]);
  store_piece(to.average + at, average);
}

// Updates the elements from `at` on, with weights w and gradient g.
template <int kRule, int kFloats>
__device__ __forceinline__ void update_piece(const UpdateRule& rule, const UpdateStep& step, const Updated& to, int64_t at, Piece<kFloats> w,
                                             const Piece<kFloats>& g) {
  const Piece<kFloats> before = w;
  Piece<kFloats> m1{}, m2{}, m3{};
  if (to.first != nullptr) m1 = load_piece<kFloats>(to.first + at);
  if (to.second != nullptr) m2 = load_piece<kFloats>(to.second + at);
  if (kRule == kRmsprop && to.third != nullptr) m3 = load_piece<kFloats>(to.third + at);
#pragma unroll
  for (int k = 0; k < kFloats; k++) update_element<kRule>(rule, step, to, limited(rule, step, g.at[k]), w.at[k], m1.at[k], m2.at[k], m3.at[k]);
  store_piece(to.w + at, w);
  keep_average(step, to, at, before, w);
  if (to.first != nullptr) store_piece(to.first + at, m1);
  if (to.second != nullptr) store_piece(to.second + at, m2);
  if (kRule == kRmsprop && to.third != nullptr) store_piece(to.third + at, m3);
}

// Updates a row of `pieces` pieces by row-wise Adagrad. All lanes of a warp call it. gradient(c): that of piece c, the same each time.
template <int kFloats, class Gradient>
__device__ __forceinline__ void update_row(const UpdateRule& rule, const UpdateStep& step, const Updated& to, int64_t row, int pieces,
                                           const Gradient& gradient) {
  const float before_step = to.first[row];
  float squares = 0;
  for (int c = lane(); c < pieces; c += kWarp) {
    const Piece<kFloats> g = gradient(c);
#pragma unroll
    for (int k = 0; k < kFloats; k++) squares = fused(limited(rule, step, g.at[k]), limited(rule, step, g.at[k]), squares);
  }
  const float sum = before_step + warp_sum(squares) / static_cast<float>(pieces * kFloats);
  const float rate = step.rate / (sqrtf(sum) + rule.epsilon);
  const int64_t first = row * pieces * kFloats;
  for (int c = lane(); c < pieces; c += kWarp) {
    const Piece<kFloats> g = gradient(c);
    const int64_t at = first + c * kFloats;
    const Piece<kFloats> before = load_piece<kFloats>(to.w + at);
    Piece<kFloats> w = before;
#pragma unroll
    for (int k = 0; k < kFloats; k++) w.at[k] = fused(-rate, limited(rule, step, g.at[k]), w.at[k]);
    store_piece(to.w + at, w);
    keep_average(step, to, at, before, w);
  }
  // All lanes have read the sum.
  // No test shows this: the lanes meet in warp_sum() too, but only a barrier orders memory.
  warp_barrier();
  if (lane() == 0) to.first[row] = sum;
}

// Whether weights and moments can move 16 bytes at a time.
template <class Op>
bool is_aligned(const mg_view& weights, const Op& op) {
  const auto aligned = [](const mg_view& view) { return view.buffer < 0 || view.offset % 4 == 0; };
  return aligned(weights) && aligned(op.moment1) && aligned(op.moment2) && aligned(op.moment3) && aligned(op.average);
}

template <int kValue>
using Constant = std::integral_constant<int, kValue>;

// Calls work(rule, floats of a piece), both as constants of a type.
template <class Work>
void with_rule(int64_t rule, bool aligned, const Work& work) {
  const auto with = [&](auto floats) {
    switch (rule) {
      case kSgd: return work(Constant<kSgd>{}, floats);
      case kAdam: return work(Constant<kAdam>{}, floats);
      case kAdagrad: return work(Constant<kAdagrad>{}, floats);
      case kRmsprop: return work(Constant<kRmsprop>{}, floats);
      case kRowwise: return work(Constant<kRowwise>{}, floats);
      case kSquares: return work(Constant<kSquares>{}, floats);
      default: return work(Constant<kFtrl>{}, floats);
    }
  };
  aligned ? with(Constant<4>{}) : with(Constant<1>{});
}

}  // namespace mg_cuda
