// The mixture of gated experts, written as its formulas: a_i = f(x W_i + b_i),
// p_j = softmax((x G_j + c_j) / temperature), out_j = sum p_j[i] a_i.
#include <algorithm>
#include <cmath>

#include "reference/state.h"

namespace reference {
namespace {

/// One row of a mixture: z and a per expert, p per (gate, expert seen).
struct Row {
  std::vector<double> z, a, p;
};

/// The start of expert i's kernel [d, units] in the view of its stream.
template <class Op>
const mg_view expert_kernel(const State& s, const Op& op, int64_t expert) {
  (void)s;
  const int64_t stream = op.expert_stream.items[expert];
  const int64_t size = op.streams.items[stream].width * op.units;
  int64_t before = 0;
  for (int64_t i = 0; i < expert; i++) before += op.expert_stream.items[i] == stream;
  const mg_view& all = op.expert_kernel.items[stream];
  return {all.buffer, all.offset + before * size, size};
}

template <class Op>
mg_view expert_bias(const Op& op, int64_t expert) {
  return {op.expert_bias.buffer, op.expert_bias.offset + expert * op.units, op.units};
}

template <class Op>
mg_view gate_bias(const Op& op, int64_t gate) {
  return op.gate_bias.count > 0 ? op.gate_bias.items[gate] : mg_view{-1, 0, 0};
}

template <class Op>
void experts_forward(const State& s, const Op& op, int64_t r, Row& row) {
  const int64_t experts = op.expert_stream.count, units = op.units;
  row.z.assign(static_cast<size_t>(experts * units), 0);
  row.a = row.z;
  for (int64_t i = 0; i < experts; i++) {
    const mg_view& x = op.streams.items[op.expert_stream.items[i]];
    const double *kernel = s.elements(expert_kernel(s, op, i)), *bias = s.elements(expert_bias(op, i));
    double *z = row.z.data() + i * units, *a = row.a.data() + i * units;
    for (int64_t c = 0; c < units; c++) z[c] = bias ? bias[c] : 0;
    for (int64_t k = 0; k < x.width; k++) {
      const double value = s.operand(s.get(x, r, k));
      for (int64_t c = 0; c < units; c++) z[c] += value * s.operand(kernel[k * units + c]);
    }
    for (int64_t c = 0; c < units; c++) a[c] = activate(op.activation, z[c]);
  }
}

template <class Op>
void gates_forward(const State& s, const Op& op, int64_t r, Row& row) {
  const int64_t gates = op.gate_stream.count;
  row.p.assign(static_cast<size_t>(op.gate_offset.items[gates]), 0);
  for (int64_t j = 0; j < gates; j++) {
    const int64_t from = op.gate_offset.items[j], seen = op.gate_offset.items[j + 1] - from;
    const mg_view& x = op.streams.items[op.gate_stream.items[j]];
    const double *kernel = s.elements(op.gate_kernel.items[j]), *bias = s.elements(gate_bias(op, j));
    double* p = row.p.data() + from;
    for (int64_t i = 0; i < seen; i++) {
      p[i] = bias ? bias[i] : 0;
      for (int64_t k = 0; k < x.width; k++) p[i] += s.get(x, r, k) * kernel[k * seen + i];
      p[i] /= op.temperature;
    }
    const double top = *std::max_element(p, p + seen);
    double sum = 0;
    for (int64_t i = 0; i < seen; i++) sum += p[i] = std::exp(p[i] - top);
    for (int64_t i = 0; i < seen; i++) p[i] /= sum;
  }
}

}  // namespace

void run_op(State& s, const mg_mixture_forward& op) {
  const int64_t units = op.units;
  Row row;
  for (int64_t r = 0; r < s.rows(); r++) {
    experts_forward(s, op, r, row);
    gates_forward(s, op, r, row);
    for (int64_t j = 0; j < op.gate_stream.count; j++)
      for (int64_t c = 0; c < units; c++) {
        double sum = 0;
        for (int64_t k = op.gate_offset.items[j]; k < op.gate_offset.items[j + 1]; k++)
          sum += row.p[static_cast<size_t>(k)] * row.a[static_cast<size_t>(op.gate_expert.items[k] * units + c)];
        s.at(op.outputs.items[j], r, c) = sum;
      }
    if (State::has(op.gates))
      for (size_t k = 0; k < row.p.size(); k++) s.at(op.gates, r, static_cast<int64_t>(k)) = row.p[k];
    for (size_t k = 0; k < row.a.size(); k++) {
      if (State::has(op.experts)) s.at(op.experts, r, static_cast<int64_t>(k)) = row.a[k];
      if (State::has(op.pre)) s.at(op.pre, r, static_cast<int64_t>(k)) = row.z[k];
    }
  }
}

void run_op(State& s, const mg_mixture_backward& op) {
  const int64_t experts = op.expert_stream.count, gates = op.gate_stream.count, units = op.units;
  Row row;
  std::vector<double> da, dlogit;
  for (int64_t r = 0; r < s.rows(); r++) {
    experts_forward(s, op, r, row);  // always from x: kept experts have the same numbers
    row.p.resize(static_cast<size_t>(op.gate_offset.items[gates]));
    for (size_t k = 0; k < row.p.size(); k++) row.p[k] = s.get(op.gates, r, static_cast<int64_t>(k));
    da.assign(row.a.size(), 0);
    dlogit.assign(row.p.size(), 0);
    for (int64_t j = 0; j < gates; j++) {
      const mg_view& dout = op.doutputs.items[j];
      if (!State::has(dout)) continue;
      const int64_t from = op.gate_offset.items[j], to = op.gate_offset.items[j + 1];
      double mean = 0;
      for (int64_t k = from; k < to; k++) {
        const int64_t a = op.gate_expert.items[k] * units;
        double dp = 0;
        for (int64_t c = 0; c < units; c++) {
          dp += s.get(dout, r, c) * row.a[static_cast<size_t>(a + c)];
          da[static_cast<size_t>(a + c)] += row.p[static_cast<size_t>(k)] * s.get(dout, r, c);
        }
        dlogit[static_cast<size_t>(k)] = dp;
        mean += row.p[static_cast<size_t>(k)] * dp;
      }
      for (int64_t k = from; k < to; k++)
        dlogit[static_cast<size_t>(k)] = row.p[static_cast<size_t>(k)] * (dlogit[static_cast<size_t>(k)] - mean) / op.temperature;
    }
    for (uint32_t t = 0; t < op.dstreams.count; t++) {
      const mg_view& dx = op.dstreams.items[t];
      if (!State::has(dx) || (t < op.accumulate.count && op.accumulate.items[t])) continue;
      for (int64_t k = 0; k < dx.width; k++) s.at(dx, r, k) = 0;
    }
    // dkernel += x^T dz, dbias += dz, dx += dz kernel^T, for one matrix [d, width] on one stream. Experts' products may be rounded
    const auto back = [&](int64_t stream, const mg_view& kernel_view, const mg_view& bias_view, const double* dz, int64_t width, bool expert) {
      const auto operand = [&](double value) { return expert ? s.operand(value) : value; };
      const mg_view& x = op.streams.items[stream];
      const double* kernel = s.elements(kernel_view);
      double *dkernel = s.sum(op.gradients, kernel_view), *dbias = s.sum(op.gradients, bias_view);
      const mg_view dx = static_cast<uint32_t>(stream) < op.dstreams.count ? op.dstreams.items[stream] : mg_view{-1, 0, 0};
      for (int64_t c = 0; dbias && c < width; c++) dbias[c] += dz[c];
      for (int64_t k = 0; dkernel && k < x.width; k++) {
        const double value = operand(s.get(x, r, k));
        for (int64_t c = 0; c < width; c++) dkernel[k * width + c] += value * operand(dz[c]);
      }
      for (int64_t k = 0; State::has(dx) && k < dx.width; k++) {
        double& sum = s.at(dx, r, k);
        for (int64_t c = 0; c < width; c++) sum += operand(dz[c]) * operand(kernel[k * width + c]);
      }
    };
    for (int64_t i = 0; i < experts; i++) {
      double* dz = da.data() + i * units;
      for (int64_t c = 0; c < units; c++) dz[c] *= slope(op.activation, row.z[static_cast<size_t>(i * units + c)]);
      back(op.expert_stream.items[i], expert_kernel(s, op, i), expert_bias(op, i), dz, units, true);
    }
    for (int64_t j = 0; j < gates; j++)
      back(op.gate_stream.items[j], op.gate_kernel.items[j], gate_bias(op, j), dlogit.data() + op.gate_offset.items[j],
           op.gate_offset.items[j + 1] - op.gate_offset.items[j], false);
  }
}

}  // namespace reference
