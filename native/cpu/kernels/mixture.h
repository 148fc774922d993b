// The fused mixture of gated experts on a block of rows, forward and backward.
//
//   a_i = f(x W_i + b_i), p_j = softmax((x G_j + c_j) / temperature), out_j = sum_i p_j[i] a_i
//   dp_j[i] = dout_j . a_i, dlogit_j = p_j (dp_j - p_j . dp_j) / temperature, da_i = sum_j p_j[i] dout_j, dz_i = da_i f'(z_i)
//   dW += x^T dz, dx = dz W^T with dz the experts' dz_i and the gates' dlogit_j side by side
//
// Per stream one product computes all experts and gate logits into `activations` [rows, columns] in the thread's arena. It holds
// z, then a and p, then, in place, dz and dlogit. [rows, experts, units] never leaves the arena. Softmax and its gradient process
// kLanes rows at a time, the mix one row at a time. FLOPs per row: 2 d (e h + sum seen) + 2 h (sum seen) forward, about three times that with
// backward. Order of reduction: a softmax and a mix over the experts in the order seen; a dot over units by lanes, then as
// in reduce_add4.
#pragma once
#include "cpu/kernels/dense.h"

namespace mg {
namespace {

// p = softmax(p scale) in place, for logits of any range.
inline void softmax(float* p, int64_t count, float scale) {
  vec largest = set1(-INFINITY);
  each_vector(count, [&](int64_t c, int64_t n) { largest = max(keep_n(load_n(p + c, n), n, -INFINITY), largest); });
  const vec top = set1(reduce_max(largest));
  vec sum = zero();
  each_vector(count, [&](int64_t c, int64_t n) {
    const vec e = keep_n(exp(mul(sub(load_n(p + c, n), top), set1(scale))), n, 0.0f);
    sum = add(sum, e);
    store_n(p + c, e, n);
  });
  const vec whole = set1(1.0f / reduce_add(sum));
  each_vector(count, [&](int64_t c, int64_t n) { store_n(p + c, mul(load_n(p + c, n), whole), n); });
}

template <int kActivation>
void activate_experts(const Mixture* m) {
  for (int64_t s = 0; s < m->stream_count; s++) {
    float* a = m->activations + m->streams[s].column;
    float* z = m->pre ? m->pre + m->streams[s].column : nullptr;
    for (int64_t r = 0; r < m->rows; r++)
      for (int64_t c = 0; c < m->streams[s].expert_columns; c += kLanes) {
        const vec value = load(a + r * m->columns + c);
        if (z) store(z + r * m->columns + c, value);
        store(a + r * m->columns + c, activate<kActivation>(value));
      }
  }
}

// activations = experts' outputs and gate logits.
inline void experts_and_logits(const Mixture* m) {
  for (int64_t s = 0; s < m->stream_count; s++) {
    const MixtureStream& stream = m->streams[s];
    const Weights* w = stream.weights;
    const bool in_product = m->activation == MG_RELU && !m->pre;
    Gemm g = forward_product(m->rows, stream.x, stream.x_row, w, stream.expert_columns, m->activations + stream.column, m->columns);
    if (in_product) g.floor = 0;
    if (w->rounded > 0)
      rounded_forward(g, w, m->narrowed.x);
    else
      gemm(g);
    const int64_t logits = w->columns - stream.expert_columns;
    if (logits == 0) continue;
    // The logits start after the experts' padding, maybe within a panel: process that panel's columns separately.
    int64_t column = stream.expert_columns;
    while (column < w->columns) {
      const int64_t within = column % kPanel, count = least(kPanel - within, w->columns - column);
      Gemm part = forward_product(m->rows, stream.x, stream.x_row, w, count, m->activations + stream.column + column, m->columns);
      part.b = w->forward + column / kPanel * part.b_panel + within;
      part.bias = w->bias + column;
      if (within == 0) part.columns = w->columns - column;
      gemm(part);
      column += part.columns;
    }
  }
  if (m->activation == MG_LINEAR && !m->pre) return;
  if (m->activation == MG_RELU && !m->pre) return;
  MG_WITH_ACTIVATION(m->activation, activate_experts, m)
}

// out[0 .. units) = sum over i of weight[i] a[column[i] ..]; four vectors of units at a time.
inline void weighted_sum(int64_t count, const float* weight, const int64_t* column, const float* a, int64_t units, float* out) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= units; c += 4 * kLanes) {
    vec s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    for (int64_t i = 0; i < count; i++) {
      const vec p = set1(weight[i]);
      const float* from = a + column[i] + c;
      s0 = fma(p, load(from), s0), s1 = fma(p, load(from + kLanes), s1);
      s2 = fma(p, load(from + 2 * kLanes), s2), s3 = fma(p, load(from + 3 * kLanes), s3);
    }
    store(out + c, s0), store(out + c + kLanes, s1), store(out + c + 2 * kLanes, s2), store(out + c + 3 * kLanes, s3);
  }
  for (; c + 2 * kLanes <= units; c += 2 * kLanes) {
    vec s0 = zero(), s1 = zero();
    for (int64_t i = 0; i < count; i++) {
      const vec p = set1(weight[i]);
      const float* from = a + column[i] + c;
      s0 = fma(p, load(from), s0), s1 = fma(p, load(from + kLanes), s1);
    }
    store(out + c, s0), store(out + c + kLanes, s1);
  }
  for (; c < units; c += kLanes) {
    const int64_t n = least(kLanes, units - c);
    vec sum = zero();
    for (int64_t i = 0; i < count; i++) sum = fma(set1(weight[i]), load_n(a + column[i] + c, n), sum);
    store_n(out + c, sum, n);
  }
}

// Gates are too narrow for vectors along a row, so process the logits of kLanes rows at once, one row per lane. Copies all
// logits of `count` rows to lanes[logit][kLanes], and back. `row` 0: rows are as wide as all logits, else as the activations.
inline void to_lanes(const Mixture* m, const float* rows, int64_t row, int64_t count, float* lanes) {
  vec tile[kLanes];
  for (int64_t s = 0; s < m->stream_count; s++) {
    const MixtureStream& stream = m->streams[s];
    const float* from = rows + (row ? stream.column + stream.expert_columns : stream.first);
    for (int64_t c = 0; c < stream.logits; c += kLanes) {
      for (int64_t r = 0; r < kLanes; r++) tile[r] = load(from + least(r, count - 1) * (row ? row : m->logits) + c);
      transpose(tile);
      for (int64_t i = 0; i < kLanes; i++) store(lanes + (stream.first + c + i) * kLanes, tile[i]);
    }
  }
}

inline void from_lanes(const Mixture* m, const float* lanes, float* activations, int64_t count) {
  vec tile[kLanes];
  for (int64_t s = 0; s < m->stream_count; s++) {
    const MixtureStream& stream = m->streams[s];
    float* to = activations + stream.column + stream.expert_columns;
    for (int64_t c = 0; c < stream.logits; c += kLanes) {
      for (int64_t i = 0; i < kLanes; i++) tile[i] = load(lanes + (stream.first + c + i) * kLanes);
      transpose(tile);
      for (int64_t r = 0; r < count; r++) store(to + r * m->columns + c, tile[r]);
    }
  }
}

// Softmax of all gates of `count` <= kLanes rows.
inline void softmax_rows(const Mixture* m, float* activations, int64_t count) {
  const vec inverse_temperature = set1(m->inverse_temperature);
  float* const lanes = m->row_scratch;
  to_lanes(m, activations, m->columns, count, lanes);
  for (int64_t j = 0; j < m->gate_count; j++) {
    const MixtureGate& gate = m->gates[j];
    float *const p = lanes + gate.first * kLanes, *const end = p + gate.seen * kLanes;
    vec top = set1(-INFINITY), sum = zero();
    for (const float* z = p; z < end; z += kLanes) top = max(load(z), top);
    for (float* z = p; z < end; z += kLanes) {
      const vec e = exp(mul(sub(load(z), top), inverse_temperature));
      sum = add(sum, e);
      store(z, e);
    }
    const vec whole = div(set1(1.0f), sum);
    for (float* z = p; z < end; z += kLanes) store(z, mul(load(z), whole));
  }
  from_lanes(m, lanes, activations, count);
}

void mixture_forward(const Mixture* m) {
  experts_and_logits(m);
  for (int64_t r = 0; r < m->rows; r++) {
    float* a = m->activations + r * m->columns;
    if (r % kLanes == 0) softmax_rows(m, a, least(kLanes, m->rows - r));
    for (int64_t j = 0; j < m->gate_count; j++) {
      const MixtureGate& gate = m->gates[j];
      const float* p = a + gate.logits;
      if (gate.probabilities)
        each_vector(gate.seen, [&](int64_t c, int64_t n) { store_n(gate.probabilities + r * gate.probabilities_row + c, load_n(p + c, n), n); });
      weighted_sum(gate.seen, p, gate.expert, a, m->units, gate.output + r * gate.row);
    }
  }
}

// out[i] = v . a[column[i] ..], four experts at a time so that reduce_add4 sums their lanes together.
inline void dots(int64_t count, const float* v, const int64_t* column, const float* a, int64_t units, float* out) {
  for (int64_t i = 0; i < count; i += 4) {
    const float* from[4];
    for (int64_t k = 0; k < 4; k++) from[k] = a + column[i + k < count ? i + k : i];
    vec s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    each_vector(units, [&](int64_t c, int64_t n) {
      const vec x = load_n(v + c, n);
      s0 = fma(x, load_n(from[0] + c, n), s0), s1 = fma(x, load_n(from[1] + c, n), s1);
      s2 = fma(x, load_n(from[2] + c, n), s2), s3 = fma(x, load_n(from[3] + c, n), s3);
    });
    reduce_add4(s0, s1, s2, s3, out + i);  // out is padded
  }
}

// Some vectors of one expert in one row, the last one `last` wide: da = sum of p dout over the gates that see it; then dz
// overwrites the expert's output y.
template <int kActivation, int kVectors>
inline void expert_gradient(int64_t count, const int64_t* seers, const float* const* dout, const float* a, int64_t column, float* y, const float* z,
                            int64_t last) {
  vec da[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; v++) da[v] = zero();
  for (int64_t k = 0; k < count; k++) {
    const float* from = dout[seers[2 * k]];
    if (!from) continue;
    const vec p = set1(a[seers[2 * k + 1]]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; v++) da[v] = fma(p, load_n(from + column + v * kLanes, last), da[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; v++) {
    float* to = y + v * kLanes;
    store_n(to, activate_backward<kActivation>(da[v], load_n(to, last), load_n(z + v * kLanes, last)), last);
  }
}

// Overwrites the probabilities of `count` <= kLanes rows with dlogits, from dp [rows, logits].
inline void logit_gradients(const Mixture* m, const float* dp, float* activations, int64_t count) {
  const vec scale = set1(m->inverse_temperature);
  float* const lanes = m->row_scratch + kPad * m->logits;
  float* const dlanes = lanes + kPad * m->logits;
  to_lanes(m, activations, m->columns, count, lanes);
  to_lanes(m, dp, 0, count, dlanes);
  for (int64_t j = 0; j < m->gate_count; j++) {
    const MixtureGate& gate = m->gates[j];
    float* const p = lanes + gate.first * kLanes;
    const float* const d = dlanes + gate.first * kLanes;
    const int64_t floats = gate.seen * kLanes;
    vec mean = zero();
    for (int64_t i = 0; i < floats; i += kLanes) mean = fma(load(p + i), load(d + i), mean);
    for (int64_t i = 0; i < floats; i += kLanes) store(p + i, gate.doutput ? mul(mul(load(p + i), scale), sub(load(d + i), mean)) : zero());
  }
  from_lanes(m, lanes, activations, count);
}

// Overwrites the experts' outputs of row r with dz. Writes dp to `dp`.
template <int kActivation>
inline void row_gradients(const Mixture* m, int64_t r, float* a, const float* z, float* dp) {
  const float** dout = m->gate_rows;
  for (int64_t j = 0; j < m->gate_count; j++) {
    const MixtureGate& gate = m->gates[j];
    dout[j] = gate.doutput ? gate.doutput + r * gate.row : nullptr;
    if (dout[j]) dots(gate.seen, dout[j], gate.expert, a, m->units, dp + gate.first);
  }
  for (int64_t i = 0; i < m->expert_count; i++) {
    const int64_t* seers = m->seer + 2 * m->seer_offset[i];
    const int64_t count = m->seer_offset[i + 1] - m->seer_offset[i];
    float* ai = a + m->expert_column[i];
    const float* zi = z + m->expert_column[i];
    int64_t c = 0;
    for (; c + 4 * kLanes <= m->units; c += 4 * kLanes) expert_gradient<kActivation, 4>(count, seers, dout, a, c, ai + c, zi + c, kLanes);
    for (; c + 2 * kLanes <= m->units; c += 2 * kLanes) expert_gradient<kActivation, 2>(count, seers, dout, a, c, ai + c, zi + c, kLanes);
    for (; c < m->units; c += kLanes) expert_gradient<kActivation, 1>(count, seers, dout, a, c, ai + c, zi + c, least(kLanes, m->units - c));
  }
}

template <int kActivation>
void mixture_backward_rows(const Mixture* m) {
  float* const dp = m->row_scratch;
  for (int64_t first = 0; first < m->rows; first += kLanes) {
    const int64_t count = least(kLanes, m->rows - first);
    for (int64_t r = first; r < first + count; r++) {
      float* const a = m->activations + r * m->columns;
      row_gradients<kActivation>(m, r, a, m->pre ? m->pre + r * m->columns : a, dp + (r - first) * m->logits);
    }
    logit_gradients(m, dp, m->activations + first * m->columns, count);
  }
}

void mixture_backward(const Mixture* m) {
  if (m->recompute) {
    experts_and_logits(m);
    for (int64_t r = 0; r < m->rows; r++)
      for (int64_t j = 0; j < m->gate_count; j++)
        memcpy(m->activations + r * m->columns + m->gates[j].logits, m->gates[j].probabilities + r * m->gates[j].probabilities_row,
               static_cast<size_t>(m->gates[j].seen) * sizeof(float));
  }
  MG_WITH_ACTIVATION(m->activation, mixture_backward_rows, m)
  for (int64_t s = 0; s < m->stream_count; s++) {
    const MixtureStream& stream = m->streams[s];
    float* dz = m->activations + stream.column;
    weight_gradients(m->rows, stream.x, stream.x_row, m->narrowed, stream.weights, dz, m->columns, stream.gradient);
    if (stream.dx)
      input_gradient(m->rows, stream.weights, dz, m->columns, stream.dx, stream.dx_row, stream.dx_columns, stream.accumulate, m->narrowed);
  }
}

}  // namespace
}  // namespace mg
