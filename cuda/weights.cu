// See weights.h. One element per thread, one grid row per part: a few megabytes, once a step.
#include "cuda/weights.h"

#include <algorithm>
#include <utility>

#include "cuda/ops/panels.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 64;  // per part; beyond it a thread takes several elements

// Sets row `row` of the column at `place` of the panels. Padding beyond the depth and beside the columns is already 0.
__device__ __forceinline__ void put_in_panel(const PackedPart& p, Precision precision, int64_t row, int64_t place, float value, float* panels) {
  const int64_t panel = place / kPanel, rounded = panel < p.panels.rounded ? panel : p.panels.rounded;
  const auto column = static_cast<int>(place % kPanel);
  const Precision its = panel < p.panels.rounded ? precision : Precision::kFloat32;
  float* const to = panels + rounded * panel_floats(precision, p.depth) + (panel - rounded) * panel_floats(Precision::kFloat32, p.depth);
  if (row == p.depth) {
    to[panel_floats(its, p.depth) - kPanel + column] = value;
    return;
  }
  const int64_t at = place_in_panel(its, row, column);
  switch (its) {
    case Precision::kFloat32: to[at] = value; break;
    case Precision::kTf32: to[at] = float_of_bits(to_tf32(value)); break;
    case Precision::kBfloat16: reinterpret_cast<uint16_t*>(to)[at] = static_cast<uint16_t>(to_bf16_pair(value, 0)); break;
  }
}

// The same for panels of cores.
__device__ __forceinline__ void put_in_cores(const PackedPart& p, int64_t row, int64_t place, float value, float* panels) {
  const int64_t panel = place / kPanel, floats = core_panel_floats(p.depth);
  const auto column = static_cast<int>(place % kPanel);
  float* const to = panels + panel * floats;
  if (row == p.depth) {
    to[floats - kPanel + column] = value;
    return;
  }
  const int64_t at = place_in_cores(row, column);
  for (int part = 0; part < (panel < p.panels.rounded ? 1 : kLogitParts); part++) {
    const auto rounded = static_cast<uint16_t>(to_bf16_pair(value, 0));
    reinterpret_cast<uint16_t*>(to + part * p.panels.parts_apart * floats)[at] = rounded;
    value -= float_of_bits(static_cast<uint32_t>(rounded) << 16);
  }
}

// packed[row, column + c] = store[offset + row * stride + c]; the last row from the bias. The same for panels. parts [gridDim.y].
__global__ void pack_kernel(const PackedPart* parts, const float* store, float* packed, Precision precision) {
  begin_kernel();
  const PackedPart p = parts[blockIdx.y];
  const int64_t count = (p.depth + 1) * p.part.count;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const int64_t row = i / p.part.count, c = i % p.part.count;
    float value = 0;
    if (row < p.depth)
      value = store[p.part.offset + row * p.part.stride + c];
    else if (p.part.bias >= 0)
      value = store[p.part.bias + c];
    packed[p.packed + row * p.columns + p.part.column + c] = value;
    if (p.panels.packed < 0) continue;
    float* const panels = packed + p.panels.packed;
    p.panels.cores ? put_in_cores(p, row, p.part.place + c, value, panels) : put_in_panel(p, precision, row, p.part.place + c, value, panels);
  }
}

// gradient = the sum over splits, first to last, in the store's layout. `most`: number of filled splits, if a gradient has that many.
__global__ void reduce_kernel(const PackedPart* parts, const float* splits, int64_t most, float* gradient) {
  begin_kernel();
  const PackedPart p = parts[blockIdx.y];
  const int64_t count = (p.depth + 1) * p.part.count, elements = (p.depth + 1) * p.columns, filled = p.splits < most ? p.splits : most;
  for (int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const int64_t row = i / p.part.count, c = i % p.part.count;
    if (row == p.depth && p.part.bias < 0) continue;
    const float* const from = splits + p.split + row * p.columns + p.part.column + c;
    float sum = 0;
#pragma unroll 8
    for (int64_t split = 0; split < filled; split++) sum += from[split * elements];
    gradient[row < p.depth ? p.part.offset + row * p.part.stride + c : p.part.bias + c] = sum;
  }
}

Grid grid_of(const Plan& plan, int64_t parts) {
  int64_t most = 1;
  for (const Weights& w : plan.weights)
    for (const WeightColumns& part : w.parts) most = std::max(most, (w.depth + 1) * part.count);
  return {static_cast<unsigned>(std::min(blocks_of(most, kThreads), kMostBlocks)), static_cast<unsigned>(parts)};
}

// Reduces one GRADIENT buffer.
struct ReduceGradients final : Op {
  int32_t buffer;
  int64_t elements, count = 0;
  Table<PackedPart> parts;

  ReduceGradients(const Plan& plan, int32_t of) : buffer(of), elements(plan.buffers[static_cast<size_t>(of)].count) {
    std::vector<PackedPart> own;
    std::vector<std::pair<int64_t, int64_t>> covered;  // ranges that some op writes
    for (const Weights& w : plan.weights)
      for (const SplitGradient& gradient : w.gradients) {
        if (gradient.buffer != buffer) continue;
        for (const WeightColumns& part : w.parts) {
          own.push_back({w.depth, w.columns, w.packed, gradient.first, w.splits, part, w.panels});
          for (int64_t d = 0; d < w.depth; d++) covered.emplace_back(part.offset + d * part.stride, part.count);
          if (part.bias >= 0) covered.emplace_back(part.bias, part.count);
        }
      }
    std::sort(covered.begin(), covered.end());
    for (size_t i = 1; i < covered.size(); i++)
      if (covered[i - 1].first + covered[i - 1].second > covered[i].first)
        throw Fault{MG_UNSUPPORTED, "two backward ops write the same parameter gradient, but their weights differ; expected the same weights"};
    parts.assign(own), count = static_cast<int64_t>(own.size());
  }

  void launch(const Context& context) const override {
    const Plan& plan = context.plan;
    float* const gradient = context.elements({buffer, 0, elements});
    context.stream.zero(gradient, static_cast<size_t>(elements) * sizeof(float));  // ranges that no op writes
    if (count == 0) return;
    context.stream.launch(reduce_kernel, grid_of(plan, count), kThreads, 0, parts.data(), plan.splits_memory.data<const float>(),
                          plan.most_splits(context.rows), gradient);
  }
};

}  // namespace

void launch_pack(const Context& context) {
  const Plan& plan = context.plan;
  context.stream.launch(pack_kernel, grid_of(plan, plan.part_count), kThreads, 0, plan.parts.data(), context.elements({plan.parameter_buffer, 0, 0}),
                        plan.packed.data<float>(), plan.precision);
}

// All row ops are compiled by now, so their gradients are known.
void compile_op(PlanBuilder& builder, const mg_reduce_gradients& op) {
  builder.add(std::make_unique<ReduceGradients>(builder.plan, op.gradients.buffer));
}

}  // namespace mg_cuda
