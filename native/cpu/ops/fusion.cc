// Fusion, dropout and the noise of gates: views to pointers, then the kernels.
#include <algorithm>
#include <cmath>
#include <new>
#include <tuple>

#include "cpu/plan.h"

namespace mg {
namespace {

struct FusionOp final : RowsOp {
  std::vector<Rows> inputs, dinputs;  // dinputs: backward
  std::vector<int64_t> columns, accumulate;
  Rows y;
  int64_t kind, pointers, prefix;
  bool backward;

  void run(const Block& block) const override {
    const size_t count = inputs.size();
    auto* in = new (block.fixed(pointers)) RowPointer[2 * count];
    for (size_t i = 0; i < count; i++) in[i] = block.at(inputs[i]);
    for (size_t i = 0; backward && i < count; i++) in[count + i] = block.at(dinputs[i]);
    const Fusion arguments{block.rows, y.width,        static_cast<int64_t>(count), kind,        in,
                           in + count, columns.data(), accumulate.data(),           block.at(y), block.fixed(prefix)};
    (backward ? block.plan.kernels->fusion_backward : block.plan.kernels->fusion_forward)(&arguments);
  }
};

template <class Op>
std::unique_ptr<FusionOp> make_fusion(PlanBuilder& builder, const Op& op, const mg_view& y, bool backward) {
  auto compiled = std::make_unique<FusionOp>();
  for (uint32_t i = 0; i < op.inputs.count; i++) compiled->inputs.push_back(builder.rows(op.inputs.items[i]));
  compiled->y = builder.rows(y);
  compiled->kind = op.kind;
  compiled->backward = backward;
  compiled->pointers = builder.fixed(static_cast<int64_t>(2 * op.inputs.count * sizeof(RowPointer) / sizeof(float)));
  compiled->prefix = builder.fixed(backward ? op.inputs.count * kPad : 0);
  return compiled;
}

struct DropoutOp final : RowsOp {
  Rows x, y, kept;
  bool drawn;
  uint64_t seed, stream;
  int64_t step;
  double rate;

  void run(const Block& block) const override {
    Dropout d{};
    d.rows = block.rows, d.width = x.width;
    d.x = block.at(x), d.y = block.at(y);
    d.key[0] = static_cast<uint32_t>(seed), d.key[1] = static_cast<uint32_t>(stream);
    d.first_row = static_cast<uint32_t>(block.run.first_row + block.first_row);
    d.step = static_cast<uint32_t>(static_cast<uint64_t>(block.run.scalars_in[step]));
    d.high = static_cast<uint32_t>(seed >> 32) | 2u << 22;
    d.limit = static_cast<uint16_t>(std::min(std::round(rate * 65536), 65535.0));
    d.scale = static_cast<float>(1 / (1 - d.limit / 65536.0));
    const RowPointer bits = block.at(kept);
    d.kept = reinterpret_cast<uint8_t*>(bits.data), d.kept_row = bits.stride * static_cast<int64_t>(sizeof(float)), d.drawn = drawn;
    block.plan.kernels->dropout(&d);
  }
};

struct GateNoiseOp final : RowsOp {
  Rows x, y;
  uint64_t seed, stream;
  int64_t step;
  float deviation;
  uint32_t limit;

  void run(const Block& block) const override {
    GateNoise g{};
    g.rows = block.rows, g.width = x.width;
    g.x = block.at(x), g.y = block.at(y);
    g.key[0] = static_cast<uint32_t>(seed), g.key[1] = static_cast<uint32_t>(stream);
    g.first_row = static_cast<uint32_t>(block.run.first_row + block.first_row);
    g.step = static_cast<uint32_t>(static_cast<uint64_t>(block.run.scalars_in[step]));
    g.high = static_cast<uint32_t>(seed >> 32) | 3u << 22;
    g.deviation = deviation, g.limit = limit;
    block.plan.kernels->gate_noise(&g);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_fusion_forward& op) { builder.add(make_fusion(builder, op, op.y, false)); }

void compile_op(PlanBuilder& builder, const mg_fusion_backward& op) {
  auto compiled = make_fusion(builder, op, op.dy, true);
  for (uint32_t i = 0; i < op.inputs.count; i++) {
    compiled->dinputs.push_back(builder.rows(op.dinputs.items[i]));
    compiled->columns.push_back(compiled->dinputs.back().width);
    compiled->accumulate.push_back(op.accumulate.items[i]);
  }
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_dropout& op) {
  auto compiled = std::make_unique<DropoutOp>();
  compiled->x = builder.rows(op.x);
  compiled->y = builder.rows(op.y);
  compiled->seed = static_cast<uint64_t>(op.seed), compiled->stream = static_cast<uint64_t>(op.stream);
  compiled->step = op.step;
  compiled->rate = op.rate;
  std::tie(compiled->kept, compiled->drawn) = builder.dropout_bits(op);
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_gate_noise& op) {
  auto compiled = std::make_unique<GateNoiseOp>();
  compiled->x = builder.rows(op.x);
  compiled->y = builder.rows(op.y);
  compiled->seed = static_cast<uint64_t>(op.seed), compiled->stream = static_cast<uint64_t>(op.stream);
  compiled->step = op.step;
  compiled->deviation = static_cast<float>(op.deviation);
  compiled->limit = static_cast<uint32_t>(std::min(std::round(op.dropout * 4294967296.0), 4294967295.0));
  builder.add(std::move(compiled));
}

}  // namespace mg
