// Cases of dense layers and mixtures, forward and backward.
#include <algorithm>
#include <cmath>

#include "selftest/cases/cases.h"

namespace selftest {
namespace {

const std::vector<int64_t> kWidths = {1, 3, 5, 7, 16, 17, 31, 32, 33, 48, 64, 113, 256};

int64_t some_activation(Random& random, Program& p) {
  const int64_t activation = random.between(0, MG_SWISH);
  p.smooth = activation != MG_RELU;
  return activation;
}

bool needs_pre(int64_t activation) { return activation == MG_GELU || activation == MG_SWISH; }

/// Weights of a layer of `depth` inputs, at a scale that keeps its outputs near 1.
mg_view weights(Program& p, Random& random, int64_t depth, int64_t count) {
  return p.parameter(random.floats(count, 1.5 / std::sqrt(static_cast<double>(depth))));
}

}  // namespace

// Views are anywhere in a wider buffer: rows start at odd addresses, and neighbours must not change.
Program dense_case(Random& random, int64_t rows) {
  Program p("dense");
  p.rows = rows;
  const int64_t in = random.pick(kWidths), out = random.pick(kWidths), activation = some_activation(random, p);
  const bool inside = random.chance(0.4), accumulates = random.chance(0.3);
  const int64_t left = inside ? random.between(0, 5) : 0, right = inside ? random.between(0, 5) : 0;
  const mg_view x_in = p.input(in, random.floats(rows * in)), dy = p.input(out, random.floats(rows * out));
  const mg_view kernel = weights(p, random, in, in * out), bias = random.chance(0.7) ? p.parameter(random.floats(out)) : kAbsent;
  const int64_t dx_width = random.chance(0.8) ? (random.chance(0.3) ? random.between(1, in) : in) : 0;
  const auto place = [&](const mg_view& all, int64_t width) { return mg_view{all.buffer, left, width}; };
  const auto around = [&](int64_t width) { return p.input(width, random.floats(rows * width)); };

  mg_view x = x_in;
  if (inside) {
    x = place(p.activation(left + in + right), in);
    p.add(mg_copy_columns{x_in, x});
  }
  const mg_view y_all = p.output(left + out + right), y = place(y_all, out);
  if (inside) p.add(mg_copy_columns{around(y_all.width), y_all});
  const mg_view z = needs_pre(activation) || random.chance(0.3) ? p.activation(out) : kAbsent;
  p.add(mg_dense_forward{x, kernel, bias, z, y, activation});
  mg_view dx = kAbsent;
  if (dx_width > 0) {
    const mg_view dx_all = p.output(left + dx_width + right);
    dx = place(dx_all, dx_width);
    if (inside || accumulates) p.add(mg_copy_columns{around(dx_all.width), dx_all});
  }
  p.add(mg_dense_backward{x, kernel, bias, z, y, dy, dx, kGradients, activation, dx_width > 0 && accumulates ? 1 : 0});
  // Other readers of the same weights: those with the same GRADIENT buffer add to the first one's gradients.
  int buffers = 1;
  for (int64_t more = random.chance(0.3) ? random.between(1, 3) : 0; more > 0; more--) {
    const int32_t buffer = static_cast<int32_t>(random.between(0, buffers));
    buffers = std::max(buffers, buffer + 1);
    const mg_view other = p.input(out, random.floats(rows * out));
    p.add(mg_dense_backward{x, kernel, bias, z, y, other, buffer == 0 ? dx : kAbsent, gradients_of(buffer), activation,
                            buffer == 0 && dx_width > 0 ? 1 : 0});
    if (!inside && buffer == 0) p.weighted_outputs.emplace_back(y.buffer, other.buffer);
  }
  p.close_store(buffers);
  if (!inside) p.weighted_outputs.emplace_back(y.buffer, dy.buffer);
  if (!inside && !accumulates && dx_width == in) p.derivatives.push_back({x_in.buffer, dx.buffer});
  return p;
}

/// The sizes of a mixture. One in seven exceeds what kernels hold at once in one dimension: depth, units, or experts and gates.
struct MixtureSizes {
  int64_t streams, experts, gates, units;
  std::vector<int64_t> depths;
};

MixtureSizes mixture_sizes(Random& random) {
  switch (random.between(0, 20)) {
    case 0: return {random.between(1, 2), random.between(1, 3), random.between(1, 3), random.pick<int64_t>({1, 5, 16}), {130, 256, 600}};
    case 1: return {random.between(1, 2), random.between(1, 3), random.between(1, 6), random.pick<int64_t>({33, 64, 70, 128}), {5, 16, 33}};
    case 2: return {random.between(1, 3), random.between(20, 40), random.between(6, 9), random.pick<int64_t>({1, 3, 5, 8}), {3, 8, 17}};
    default: return {random.between(1, 4), random.between(1, 9), random.between(1, 5), random.pick<int64_t>({1, 3, 8, 16, 17, 32, 40}), kWidths};
  }
}

// Any topology: streams of different widths, experts spread over them, gates that see some experts in any order. Some cases are only forward.
Program mixture_case(Random& random, int64_t rows) {
  Program p("mixture");
  p.rows = rows;
  const auto [streams, experts, gates, units, depths] = mixture_sizes(random);
  const int64_t activation = some_activation(random, p);
  const bool trains = random.chance(0.9);
  mg_mixture_forward forward{};
  std::vector<mg_view> xs, dxs, expert_kernels, gate_kernels, gate_biases, outputs, doutputs;
  std::vector<int64_t> expert_stream, gate_stream, gate_offset{0}, gate_expert, accumulate, on(static_cast<size_t>(streams), 0);
  for (int64_t s = 0; s < streams; s++) {
    const int64_t width = random.pick(depths);
    xs.push_back(p.input(width, random.floats(rows * width)));
    accumulate.push_back(0);
    dxs.push_back(trains && random.chance(0.8) ? p.output(width) : kAbsent);
    if (dxs.back().buffer >= 0) p.derivatives.push_back({xs.back().buffer, dxs.back().buffer});
  }
  for (int64_t i = 0; i < experts; i++) {
    expert_stream.push_back(random.between(0, streams - 1));
    on[static_cast<size_t>(expert_stream.back())]++;
  }
  for (int64_t s = 0; s < streams; s++) {
    const int64_t width = xs[static_cast<size_t>(s)].width, count = on[static_cast<size_t>(s)];
    expert_kernels.push_back(count == 0 ? kAbsent : weights(p, random, width, count * width * units));
  }
  const bool with_bias = random.chance(0.5);
  for (int64_t j = 0; j < gates; j++) {
    gate_stream.push_back(random.between(0, streams - 1));
    std::vector<int64_t> seen(static_cast<size_t>(experts));
    for (size_t i = 0; i < seen.size(); i++) seen[i] = static_cast<int64_t>(i);
    for (size_t i = seen.size(); i-- > 1;) std::swap(seen[i], seen[static_cast<size_t>(random.between(0, static_cast<int64_t>(i)))]);
    seen.resize(static_cast<size_t>(random.between(1, experts)));
    gate_expert.insert(gate_expert.end(), seen.begin(), seen.end());
    gate_offset.push_back(static_cast<int64_t>(gate_expert.size()));
    const int64_t width = xs[static_cast<size_t>(gate_stream.back())].width, count = static_cast<int64_t>(seen.size());
    gate_kernels.push_back(weights(p, random, width, width * count));
    if (with_bias) gate_biases.push_back(p.parameter(random.floats(count)));
    outputs.push_back(p.output(units));
    doutputs.push_back(trains && random.chance(0.9) ? p.input(units, random.floats(rows * units)) : kAbsent);
    if (doutputs.back().buffer >= 0) p.weighted_outputs.emplace_back(outputs.back().buffer, doutputs.back().buffer);
  }
  const auto sees = static_cast<int64_t>(gate_expert.size());
  const auto topology = [&, units = units](auto& op) {
    op.streams = p.list(xs), op.expert_stream = p.list(expert_stream), op.gate_stream = p.list(gate_stream);
    op.gate_offset = p.list(gate_offset), op.gate_expert = p.list(gate_expert);
    op.expert_kernel = p.list(expert_kernels), op.gate_kernel = p.list(gate_kernels), op.gate_bias = p.list(gate_biases);
    op.units = units, op.activation = activation;
  };
  topology(forward);
  forward.expert_bias = p.parameter(random.floats(experts * units));
  forward.temperature = random.pick<double>({1, 1, 0.5, 3});
  forward.outputs = p.list(outputs);
  forward.gates = trains || random.chance(0.5) ? p.output(sees) : kAbsent;
  const bool keep = trains && random.chance(0.6);
  forward.experts = keep ? p.activation(experts * units) : kAbsent;
  forward.pre = keep && needs_pre(activation) ? p.activation(experts * units) : kAbsent;
  p.add(forward);
  if (!trains) {
    p.close_store(0);
    return p;
  }
  mg_mixture_backward backward{};
  topology(backward);
  backward.expert_bias = forward.expert_bias, backward.temperature = forward.temperature;
  backward.doutputs = p.list(doutputs), backward.dstreams = p.list(dxs), backward.accumulate = p.list(accumulate);
  backward.gates = forward.gates, backward.experts = forward.experts, backward.pre = forward.pre;
  backward.gradients = kGradients;
  p.add(backward);
  // Another task that reads the same mixture and recomputes its experts. With the same GRADIENT buffer it adds to the first one's gradients.
  int buffers = 1;
  for (int64_t more = random.chance(0.25) ? random.between(1, 2) : 0; more > 0; more--) {
    const int32_t buffer = static_cast<int32_t>(random.between(0, buffers));
    buffers = std::max(buffers, buffer + 1);
    std::vector<mg_view> others;
    for (size_t j = 0; j < outputs.size(); j++) {
      others.push_back(random.chance(0.7) ? p.input(units, random.floats(rows * units)) : kAbsent);
      if (buffer == 0 && others.back().buffer >= 0) p.weighted_outputs.emplace_back(outputs[j].buffer, others.back().buffer);
    }
    backward.experts = backward.pre = kAbsent, backward.gradients = gradients_of(buffer), backward.doutputs = p.list(others);
    backward.dstreams = p.list(buffer == 0 ? dxs : std::vector<mg_view>(dxs.size(), kAbsent));
    backward.accumulate = p.list(std::vector<int64_t>(dxs.size(), buffer == 0 ? 1 : 0));
    p.add(backward);
  }
  p.close_store(buffers);
  return p;
}

}  // namespace selftest
