// Cases of dense layers and mixtures, forward and backward.
#include <algorithm>
#include <cmath>
#include <optional>

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
  if (dx_width > 0 && random.chance(0.3))  // a reader that wants no gradients of the weights
    p.add(mg_dense_backward{x, kernel, bias, z, y, p.input(out, random.floats(rows * out)), p.output(dx_width), kAbsent, activation, 0});
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
  if (random.chance(0.3)) {  // one that wants no gradients of the parameters
    std::vector<mg_view> others, rest;
    for (size_t j = 0; j < outputs.size(); j++) others.push_back(random.chance(0.7) ? p.input(units, random.floats(rows * units)) : kAbsent);
    for (const mg_view& dx : dxs) rest.push_back(dx.buffer < 0 ? kAbsent : p.output(dx.width));
    backward.experts = backward.pre = kAbsent, backward.gradients = kAbsent;
    backward.doutputs = p.list(others), backward.dstreams = p.list(rest);
    backward.accumulate = p.list(std::vector<int64_t>(rest.size(), 0));
    p.add(backward);
  }
  p.close_store(buffers);
  return p;
}

namespace {

/// A dense layer with its dropout, forward and backward.
struct Layer {
  mg_view x, kernel, bias, z, y;
  int64_t activation;
  mg_dropout drop;
};

Layer add_layer(Program& p, Random& random, const mg_view& x, int64_t out, int64_t activation, bool is_last) {
  Layer layer{x, weights(p, random, x.width, x.width * out), random.chance(0.7) ? p.parameter(random.floats(out)) : kAbsent, kAbsent, {}, activation,
              {}};
  layer.z = needs_pre(activation) || random.chance(0.2) ? p.activation(out) : kAbsent;
  layer.y = is_last ? p.output(out) : p.activation(out);
  p.add(mg_dense_forward{x, layer.kernel, layer.bias, layer.z, layer.y, activation});
  return layer;
}

void add_dropout(Program& p, Random& random, Layer& layer) {
  layer.drop = {layer.y,
                p.activation(layer.y.width),
                random.between(0, 1000),
                random.between(0, 1000),
                p.scalar(static_cast<double>(random.between(1, 1000))),
                random.pick<double>({0, 0.2, 0.5})};
  p.add(layer.drop);
}

/// The gradient of what dropout read, from the gradient of what it wrote.
mg_view add_dropout_back(Program& p, const Layer& layer, const mg_view& gradient) {
  mg_dropout back = layer.drop;
  back.x = gradient, back.y = p.activation(gradient.width);
  p.add(back);
  return back.y;
}

void add_backward(Program& p, const Layer& layer, const mg_view& dy, const mg_view& dx, bool accumulate) {
  p.add(mg_dense_backward{layer.x, layer.kernel, layer.bias, layer.z, layer.y, dy, dx, kGradients, layer.activation, accumulate ? 1 : 0});
}

/// Experts and gates on one stream, forward and backward.
struct Level {
  mg_mixture_forward forward{};
  std::vector<mg_view> outputs;

  Level(Program& p, Random& random, const mg_view& x, int64_t gates, int64_t activation) {
    // Many columns for many rows, so that devices take them in chunks.
    const bool many = p.rows > 128;
    const int64_t experts = many ? 5 : random.between(1, 4), units = many ? 128 : random.pick<int64_t>({5, 8, 32});
    std::vector<int64_t> stream_of_expert(static_cast<size_t>(experts), 0), stream_of_gate(static_cast<size_t>(gates), 0), offset{0}, seen;
    std::vector<mg_view> kernels;
    for (int64_t j = 0; j < gates; j++) {
      for (int64_t i = 0; i < experts; i++) seen.push_back(i);
      offset.push_back(static_cast<int64_t>(seen.size()));
      kernels.push_back(weights(p, random, x.width, x.width * experts));
      outputs.push_back(p.activation(units));
    }
    forward.streams = p.list({x}), forward.expert_stream = p.list(stream_of_expert), forward.gate_stream = p.list(stream_of_gate);
    forward.gate_offset = p.list(offset), forward.gate_expert = p.list(seen);
    forward.expert_kernel = p.list({weights(p, random, x.width, experts * x.width * units)}), forward.gate_kernel = p.list(kernels);
    forward.expert_bias = p.parameter(random.floats(experts * units));
    forward.units = units, forward.activation = activation, forward.temperature = 1;
    forward.outputs = p.list(outputs), forward.gates = p.output(gates * experts);
    forward.experts = forward.pre = kAbsent;
    p.add(forward);
  }

  void add_backward(Program& p, const std::vector<mg_view>& doutputs, const mg_view& dx) const {
    mg_mixture_backward back{};
    back.streams = forward.streams, back.expert_stream = forward.expert_stream, back.gate_stream = forward.gate_stream;
    back.gate_offset = forward.gate_offset, back.gate_expert = forward.gate_expert;
    back.expert_kernel = forward.expert_kernel, back.gate_kernel = forward.gate_kernel, back.gate_bias = forward.gate_bias;
    back.expert_bias = forward.expert_bias, back.units = forward.units, back.activation = forward.activation, back.temperature = 1;
    back.doutputs = p.list(doutputs), back.dstreams = p.list({dx}), back.accumulate = p.list(std::vector<int64_t>{0});
    back.gates = forward.gates, back.experts = back.pre = kAbsent, back.gradients = kGradients;
    p.add(back);
  }
};

}  // namespace

// A trunk, perhaps a mixture, and a tower of one or two layers per task, level by level, with dropouts between them: ops that backends may join
// or do as one. Now and then something else reads a gradient on its way.
Program towers_case(Random& random, int64_t rows) {
  Program p("towers");
  p.rows = rows;
  p.depth = 4;
  const int64_t tasks = random.between(1, 5), activation = some_activation(random, p);
  const bool has_mixture = random.chance(0.6), deep = random.chance(0.5);
  const int64_t in = random.pick(kWidths);
  const mg_view x = p.input(in, random.floats(rows * in));
  const auto read = [&](const mg_view& gradient) {
    if (random.chance(0.15)) p.add(mg_copy_columns{gradient, p.output(gradient.width)});
  };
  Layer trunk = add_layer(p, random, x, random.pick<int64_t>({4, 7, 33, 64}), activation, false);
  add_dropout(p, random, trunk);
  std::optional<Level> level;
  if (has_mixture) level.emplace(p, random, trunk.drop.y, tasks, activation);
  std::vector<Layer> hidden, last;
  std::vector<mg_view> inputs, gradients;
  for (int64_t t = 0; t < tasks; t++) inputs.push_back(has_mixture ? level->outputs[static_cast<size_t>(t)] : trunk.drop.y);
  if (deep) {
    for (mg_view& in : inputs) hidden.push_back(add_layer(p, random, in, random.pick<int64_t>({3, 16, 17}), activation, false));
    for (size_t t = 0; t < hidden.size(); t++) add_dropout(p, random, hidden[t]), inputs[t] = hidden[t].drop.y;
  }
  for (const mg_view& in : inputs) {
    last.push_back(add_layer(p, random, in, random.between(1, 6), random.chance(0.6) ? static_cast<int64_t>(MG_LINEAR) : activation, true));
    const mg_view dy = p.input(last.back().y.width, random.floats(rows * last.back().y.width));
    p.weighted_outputs.emplace_back(last.back().y.buffer, dy.buffer);
  }
  const auto one = [&](const mg_view& like) { return p.activation(like.width); };
  const mg_view dtrunk = one(trunk.drop.y);
  // Towers on a mixture have a gradient each, others add to the trunk's.
  const auto back = [&](std::vector<Layer>& layers, std::vector<mg_view> from, bool to_trunk) {
    std::vector<mg_view> to(layers.size());
    for (size_t t = layers.size(); t-- > 0;) {
      to[t] = to_trunk ? dtrunk : one(layers[t].x);
      add_backward(p, layers[t], from[t], to[t], to_trunk && t + 1 < layers.size());
    }
    return to;
  };
  for (size_t t = 0; t < last.size(); t++) gradients.push_back({p.weighted_outputs[t].second, 0, last[t].y.width});
  gradients = back(last, gradients, !deep && !has_mixture);
  if (deep) {
    for (size_t t = hidden.size(); t-- > 0;) {
      const mg_view before = gradients[t];
      gradients[t] = add_dropout_back(p, hidden[t], before);
      read(before);
    }
    for (const mg_view& gradient : gradients) read(gradient);
    gradients = back(hidden, gradients, !has_mixture);
  }
  if (has_mixture) level->add_backward(p, gradients, dtrunk);
  const mg_view dy = add_dropout_back(p, trunk, dtrunk), dx = random.chance(0.7) ? p.output(x.width) : kAbsent;
  read(dtrunk);
  add_backward(p, trunk, dy, dx, false);
  read(dy);
  if (dx.buffer >= 0) p.derivatives.push_back({x.buffer, dx.buffer});
  p.close_store(1);
  return p;
}

}  // namespace selftest
