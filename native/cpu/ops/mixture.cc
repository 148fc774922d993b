// The mixture ops: turns a topology into combined weight matrices, one per stream, and columns of the activations.
//
// This backend chooses what forward keeps for backward: the buffer named `experts` holds the whole activations, including
// logits. Without it they are in scratch and backward recomputes them.
#include <algorithm>
#include <new>

#include "cpu/plan.h"

namespace mg {
namespace {

struct Topology {
  struct Stream {
    Rows x;
    PlanWeights* weights;
    int64_t column, expert_columns, logits, first;
  };
  struct Gate {
    int64_t first, logits, seen, probabilities;  // probabilities: column in the gates view
    std::vector<int64_t> expert;
  };
  std::vector<Stream> streams;
  std::vector<Gate> gates;
  std::vector<int64_t> expert_column, seer_offset, seer;
  int64_t columns = 0, units = 0, activation = 0, logits = 0;
  float inverse_temperature = 1;
};

template <class Op>
Topology make_topology(PlanBuilder& builder, const Op& op) {
  Topology t;
  const int64_t units = t.units = op.units;
  t.activation = op.activation;
  t.inverse_temperature = static_cast<float>(1 / op.temperature);
  const uint32_t experts = op.expert_stream.count, gates = op.gate_stream.count;
  t.expert_column.resize(experts);
  t.gates.resize(gates);
  std::vector<std::vector<uint32_t>> experts_on(op.streams.count), gates_on(op.streams.count);
  for (uint32_t i = 0; i < experts; i++) experts_on[static_cast<size_t>(op.expert_stream.items[i])].push_back(i);
  for (uint32_t j = 0; j < gates; j++) gates_on[static_cast<size_t>(op.gate_stream.items[j])].push_back(j);
  for (uint32_t s = 0; s < op.streams.count; s++) {
    const int64_t depth = op.streams.items[s].width;
    std::vector<WeightColumns> parts;
    int64_t count = 0;
    for (const uint32_t i : experts_on[s]) {
      t.expert_column[i] = t.columns + count * units;
      parts.push_back({count * units, units, op.expert_kernel.items[s].offset + count * depth * units, units, op.expert_bias.offset + i * units});
      count++;
    }
    const int64_t expert_columns = builder.aligned(count * units);
    int64_t column = expert_columns;
    for (const uint32_t j : gates_on[s]) {
      Topology::Gate& gate = t.gates[j];
      gate.seen = op.gate_offset.items[j + 1] - op.gate_offset.items[j];
      gate.probabilities = op.gate_offset.items[j];
      gate.logits = t.columns + column;
      gate.first = t.logits + column - expert_columns;
      parts.push_back({column, gate.seen, op.gate_kernel.items[j].offset, gate.seen,
                       op.gate_bias.count > 0 && op.gate_bias.items[j].buffer >= 0 ? op.gate_bias.items[j].offset : -1});
      column += gate.seen;
    }
    const int64_t logits = column - expert_columns;
    PlanWeights& weights = builder.weights(depth, column, std::move(parts), count * units);
    t.streams.push_back({builder.rows(op.streams.items[s]), &weights, t.columns, expert_columns, logits, t.logits});
    t.logits += padded(logits + 3);
    t.columns += weights.weights.columns;
  }
  std::vector<std::vector<int64_t>> seers(experts);
  for (uint32_t j = 0; j < gates; j++)
    for (int64_t k = 0; k < t.gates[j].seen; k++) {
      const int64_t expert = op.gate_expert.items[op.gate_offset.items[j] + k];
      t.gates[j].expert.push_back(t.expert_column[static_cast<size_t>(expert)]);
      seers[static_cast<size_t>(expert)].insert(seers[static_cast<size_t>(expert)].end(), {j, t.gates[j].logits + k});
    }
  t.seer_offset.push_back(0);
  for (const auto& list : seers) {
    t.seer.insert(t.seer.end(), list.begin(), list.end());
    t.seer_offset.push_back(static_cast<int64_t>(t.seer.size() / 2));
  }
  return t;
}

// What both directions share: the kernel's arguments, in the thread's fixed scratch so that a step allocates nothing.
struct MixtureOp : RowsOp {
  Topology topology;
  Rows activations, pre, gates, narrowed_x, narrowed_dz;
  std::vector<Rows> outputs;  // or doutputs
  int64_t stream_arguments, gate_arguments, gate_rows, row_scratch;

  void reserve(PlanBuilder& builder, bool backward) {
    stream_arguments = builder.fixed(static_cast<int64_t>(topology.streams.size() * sizeof(MixtureStream) / sizeof(float) + 1));
    gate_arguments = builder.fixed(static_cast<int64_t>(topology.gates.size() * sizeof(MixtureGate) / sizeof(float) + 1));
    gate_rows = builder.fixed(static_cast<int64_t>(topology.gates.size() * sizeof(float*) / sizeof(float)));
    row_scratch = builder.fixed((backward ? 3 : 1) * kPad * topology.logits);
  }

  Mixture arguments(const Block& block) const {
    const RowPointer a = block.at(activations), z = block.at(pre), p = block.at(gates);
    auto* streams = new (block.fixed(stream_arguments)) MixtureStream[topology.streams.size()]();
    for (size_t s = 0; s < topology.streams.size(); s++) {
      const Topology::Stream& from = topology.streams[s];
      const RowPointer x = block.at(from.x);
      streams[s].x = x.data, streams[s].x_row = x.stride;
      streams[s].weights = &from.weights->weights;
      streams[s].column = from.column, streams[s].expert_columns = from.expert_columns, streams[s].logits = from.logits,
      streams[s].first = from.first;
    }
    auto* gate = new (block.fixed(gate_arguments)) MixtureGate[topology.gates.size()]();
    for (size_t j = 0; j < topology.gates.size(); j++) {
      const Topology::Gate& from = topology.gates[j];
      gate[j].first = from.first, gate[j].logits = from.logits, gate[j].seen = from.seen;
      gate[j].expert = from.expert.data();
      gate[j].probabilities = p.data ? p.data + from.probabilities : nullptr;
      gate[j].probabilities_row = p.stride;
    }
    Mixture m{};
    m.rows = block.rows, m.units = topology.units, m.activation = topology.activation;
    m.inverse_temperature = topology.inverse_temperature;
    m.streams = streams, m.stream_count = static_cast<int64_t>(topology.streams.size());
    m.gates = gate, m.gate_count = static_cast<int64_t>(topology.gates.size());
    m.expert_count = static_cast<int64_t>(topology.expert_column.size());
    m.expert_column = topology.expert_column.data();
    m.seer_offset = topology.seer_offset.data(), m.seer = topology.seer.data();
    m.narrowed = {block.at(narrowed_x).data, block.at(narrowed_dz).data};
    m.activations = a.data, m.pre = z.data, m.columns = a.stride, m.logits = topology.logits;
    m.gate_rows = reinterpret_cast<const float**>(block.fixed(gate_rows));
    m.row_scratch = block.fixed(row_scratch);
    return m;
  }
};

struct MixtureForwardOp final : MixtureOp {
  void run(const Block& block) const override {
    const Mixture m = arguments(block);
    auto* gate = const_cast<MixtureGate*>(m.gates);
    for (size_t j = 0; j < outputs.size(); j++) {
      const RowPointer out = block.at(outputs[j]);
      gate[j].output = out.data, gate[j].row = out.stride;
    }
    block.plan.kernels->mixture_forward(&m);
  }
};

struct MixtureBackwardOp final : MixtureOp {
  std::vector<Rows> dstreams;
  std::vector<GradientPlace> gradients;  // of the streams
  std::vector<bool> accumulate;
  bool recompute;

  void run(const Block& block) const override {
    Mixture m = arguments(block);
    auto* gate = const_cast<MixtureGate*>(m.gates);
    for (size_t j = 0; j < outputs.size(); j++) {
      const RowPointer dout = block.at(outputs[j]);
      gate[j].doutput = dout.data, gate[j].row = dout.stride;
    }
    auto* stream = const_cast<MixtureStream*>(m.streams);
    for (size_t s = 0; s < dstreams.size(); s++) {
      const RowPointer dx = block.at(dstreams[s]);
      stream[s].gradient = block.gradient(gradients[s]);
      stream[s].dx = dx.data, stream[s].dx_row = dx.stride, stream[s].dx_columns = dstreams[s].width;
      stream[s].accumulate = accumulate[s];
    }
    m.recompute = recompute;
    block.plan.kernels->mixture_backward(&m);
  }
};

// The places of activations and pre-activations: in the named regions, else in scratch. Narrowed operands follow them.
void place(PlanBuilder& builder, MixtureOp& op, const mg_view& experts, const mg_view& pre, bool need_pre, bool backward) {
  const int64_t columns = op.topology.columns;
  int64_t in_front = 0;
  if (experts.buffer >= 0) {
    op.activations = builder.region(experts.buffer, columns);
    if (pre.buffer >= 0) op.pre = builder.region(pre.buffer, columns);
  } else {
    op.activations = builder.scratch(columns);
    if (need_pre) op.pre = builder.scratch(columns, columns);
    in_front = need_pre ? 2 * columns : columns;
  }
  int64_t depth = 0, rounded = 0;
  for (const auto& stream : op.topology.streams) {
    if (stream.weights->weights.rounded == 0) continue;
    depth = std::max(depth, padded(stream.weights->weights.depth));
    rounded = std::max(rounded, stream.weights->weights.rounded);
  }
  if (rounded == 0) return;
  op.narrowed_x = builder.scratch(depth, in_front);
  if (backward) op.narrowed_dz = builder.scratch(2 * rounded, in_front + depth);
}

}  // namespace

void compile_op(PlanBuilder& builder, const mg_mixture_forward& op) {
  auto compiled = std::make_unique<MixtureForwardOp>();
  compiled->topology = make_topology(builder, op);
  for (auto& stream : compiled->topology.streams) stream.weights->forward = true;
  place(builder, *compiled, op.experts, op.pre, false, false);
  compiled->gates = builder.rows(op.gates);
  for (uint32_t j = 0; j < op.outputs.count; j++) compiled->outputs.push_back(builder.rows(op.outputs.items[j]));
  compiled->reserve(builder, false);
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_mixture_backward& op) {
  auto compiled = std::make_unique<MixtureBackwardOp>();
  compiled->topology = make_topology(builder, op);
  compiled->recompute = op.experts.buffer < 0;
  place(builder, *compiled, op.experts, op.pre, op.activation == MG_GELU || op.activation == MG_SWISH, true);
  compiled->gates = builder.rows(op.gates);
  for (uint32_t j = 0; j < op.doutputs.count; j++) compiled->outputs.push_back(builder.rows(op.doutputs.items[j]));
  for (uint32_t s = 0; s < op.streams.count; s++) {
    PlanWeights& weights = *compiled->topology.streams[s].weights;
    compiled->gradients.push_back(builder.need_gradient(weights, op.gradients));
    const mg_view dx = s < op.dstreams.count ? op.dstreams.items[s] : mg_view{-1, 0, 0};
    if (dx.buffer >= 0) weights.backward = true;
    if (compiled->recompute) weights.forward = true;
    compiled->dstreams.push_back(builder.rows(dx));
    compiled->accumulate.push_back(s < op.accumulate.count && op.accumulate.items[s] != 0);
  }
  compiled->reserve(builder, true);
  builder.add(std::move(compiled));
}

}  // namespace mg
