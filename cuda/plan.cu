// Views to pointers, weights to combined matrices; see plan.h.
#include "cuda/plan.h"

#include <algorithm>
#include <stdexcept>

#include "cuda/ops/gradients.h"

namespace mg_cuda {
namespace {

constexpr int64_t kThreadsOfAGradient = 132 * 512;  // enough threads to fill all multiprocessors of an H200
constexpr int64_t kMostSplits = 128;                // limits the final sum
constexpr int64_t kLeastSplitRows = 128;            // keeps a split's traffic small beside its products
constexpr int64_t kLeastRowStep = 32;               // of computed_rows: what a block computes in the time of one row
constexpr int64_t kRowSteps = 8;                    // the step doubles here, so at most a fourth is added

bool is_host_class(int32_t buffer_class) { return buffer_class == MG_ROW_INPUT || buffer_class == MG_ROW_OUTPUT; }

}  // namespace

int64_t Plan::most_splits(int64_t rows) const { return std::clamp<int64_t>(rows / kLeastSplitRows, 1, kMostSplits); }

int64_t Plan::computed_rows(int64_t rows) const {
  if (!divisible || scalar_outputs > 0) return rows;
  int64_t step = kLeastRowStep;
  while (rows > kRowSteps * step) step *= 2;
  return blocks_of(rows, step) * step;
}

int64_t Plan::stride(int32_t buffer) const {
  const mg_buffer& b = buffers[static_cast<size_t>(buffer)];
  return is_host_class(b.buffer_class) ? b.width : padded(b.width);
}

RowPointer Context::at(const mg_view& view) const {
  if (view.buffer < 0) return {nullptr, 0};
  return {plan.regions[static_cast<size_t>(view.buffer)]->data<float>() + view.offset, plan.stride(view.buffer)};
}

IdPointer Context::ids(const mg_view& view) const {
  return {plan.regions[static_cast<size_t>(view.buffer)]->data<const int32_t>() + view.offset, plan.stride(view.buffer)};
}

PlanBuilder::PlanBuilder(Plan& plan, const mg_program& program) : plan(plan), views_(program.buffer_count), last_use_(program.buffer_count) {
  uint32_t i = 0;
  const auto count = [&](const mg_view& view) {
    if (view.buffer >= 0) views_[static_cast<size_t>(view.buffer)]++, last_use_[static_cast<size_t>(view.buffer)] = i;
  };
#define MG_COUNT_VIEW_(name) count(fields.name);
#define MG_COUNT_VIEWS_(name) std::for_each_n(fields.name.items, fields.name.count, count);
#define MG_COUNT_NONE_(name)
#define MG_COUNT_OP_(name, phase)                                                                                            \
  case MG_OP_##name: {                                                                                                       \
    const mg_##name& fields = program.ops[i].fields.name;                                                                    \
    MG_FIELDS_##name(MG_COUNT_VIEW_, MG_COUNT_VIEWS_, MG_COUNT_NONE_, MG_COUNT_NONE_, MG_COUNT_NONE_, MG_COUNT_NONE_) break; \
  }
  for (; i < program.op_count; i++) switch (program.ops[i].kind) {
      MG_OPS(MG_COUNT_OP_)
    }
#undef MG_COUNT_OP_
#undef MG_COUNT_NONE_
#undef MG_COUNT_VIEWS_
#undef MG_COUNT_VIEW_
}

void PlanBuilder::unused(const mg_view& view) {
  if (view.buffer >= 0) views_[static_cast<size_t>(view.buffer)]--;
}

bool PlanBuilder::is_last_use(const mg_view& view) const {
  const auto buffer = static_cast<size_t>(view.buffer);
  return plan.buffers[buffer].buffer_class == MG_ACTIVATION && last_use_[buffer] <= number;
}

int64_t Plan::add_sum(int64_t output, int64_t denominator, int64_t count) {
  sums.push_back({output, denominator, partial_count, count, summing_phase});
  return std::exchange(partial_count, partial_count + count);
}

void PlanBuilder::add(std::unique_ptr<Op> op) {
  if (!plan.ops.empty() && plan.phases.back() == phase && plan.ops.back()->join(*op)) return;
  plan.ops.push_back(std::move(op));
  plan.phases.push_back(phase);
}

bool PlanBuilder::fuse(const Pointwise& work) { return !plan.ops.empty() && plan.phases.back() == phase && plan.ops.back()->fuse(work); }

Weights& PlanBuilder::weights(int64_t depth, int64_t columns, std::vector<WeightColumns> parts, int64_t rounded) {
  const auto same = [](const WeightColumns& a, const WeightColumns& b) {
    return a.column == b.column && a.count == b.count && a.offset == b.offset && a.stride == b.stride && a.bias == b.bias && a.place == b.place;
  };
  for (Weights& known : plan.weights)
    if (!parts.empty() && known.depth == depth && known.parts.size() == parts.size() &&
        std::equal(parts.begin(), parts.end(), known.parts.begin(), same))
      return known;
  Weights fresh{};
  fresh.depth = depth, fresh.columns = padded(columns), fresh.rounded = rounded, fresh.parts = std::move(parts);
  fresh.packed = plan.packed_floats;
  plan.packed_floats += fresh.elements();
  plan.weights.push_back(std::move(fresh));
  return plan.weights.back();
}

void PlanBuilder::need_panels(Weights& weights, Panels panels, int64_t floats) {
  if (weights.panels.packed >= 0) return;
  weights.panels = panels;
  weights.panels.packed = plan.packed_floats;
  plan.packed_floats += floats;
}

GradientPlace PlanBuilder::need_gradient(Weights& weights, const mg_view& gradients) {
  if (gradients.buffer < 0) return {-1, false};
  for (const SplitGradient& known : weights.gradients)
    if (known.buffer == gradients.buffer) return {known.first, true};
  weights.gradients.push_back({gradients.buffer, plan.split_floats});
  // A stream that no expert or gate reads has no columns.
  const int64_t threads = std::max<int64_t>(gradient_threads(plan.precision, weights), 1);
  weights.splits = std::clamp<int64_t>(kThreadsOfAGradient / threads, 1, kMostSplits);
  plan.split_floats += weights.elements() * weights.splits;
  return {weights.gradients.back().first, false};
}

void PlanBuilder::finish() {
  for (size_t i = 0; i < plan.buffers.size(); i++) plan.unused.push_back(views_[i] == 0 && plan.buffers[i].buffer_class == MG_ACTIVATION);
  std::vector<PackedPart> parts;
  for (const Weights& w : plan.weights)
    for (const WeightColumns& part : w.parts) parts.push_back({w.depth, w.columns, w.packed, -1, w.splits, part, w.panels});
  plan.parts.assign(parts), plan.part_count = static_cast<int64_t>(parts.size());
}

}  // namespace mg_cuda
