// Step ops over the flat store: the sum of slots, penalties, the update.
#include <algorithm>
#include <stdexcept>

#include "cpu/ops/update_rule.h"

namespace mg {
namespace {

constexpr int64_t kUnit = 8192;  // elements, some microseconds of work

// Slots keep each weight matrix padded, with its bias as the last row. This converts it to Keras's layout in one GRADIENT buffer.
class ReduceGradients final : public StepOp {
 public:
  ReduceGradients(const Plan& plan, int32_t buffer) : StepOp(MG_PHASE_GRADIENTS), buffer_(buffer) {
    std::vector<std::pair<int64_t, int64_t>> covered;  // ranges that some op writes
    for (const auto& w : plan.weights) {
      const auto own = std::find_if(w->gradients.begin(), w->gradients.end(), [&](const SlotGradient& one) { return one.buffer == buffer; });
      if (own == w->gradients.end()) continue;
      sums_.push_back({w.get(), own->at});
      for (const WeightColumns& part : w->parts) {
        for (int64_t d = 0; d < w->weights.depth; d++)
          covered.emplace_back(part.offset + d * part.stride, part.offset + d * part.stride + part.count);
        if (part.bias >= 0) covered.emplace_back(part.bias, part.bias + part.count);
      }
    }
    std::sort(covered.begin(), covered.end());
    int64_t end = 0;
    for (const auto& [from, to] : covered) {
      if (from < end)
        throw std::invalid_argument("two backward ops write the same parameter gradient, but their weights differ; expected the same weights");
      if (from > end) uncovered_.emplace_back(end, from);
      end = to;
    }
    const int64_t count = plan.buffers[static_cast<size_t>(buffer)].count;
    if (end < count) uncovered_.emplace_back(end, count);
  }

  void run(Plan& plan, const mg_run& run, Team& team) override {
    float* const flat = static_cast<float*>(run.data[buffer_]);
    for (const auto& [from, to] : uncovered_) std::fill(flat + from, flat + to, 0.0f);
    const int64_t slots = plan.slot_count(run.rows);
    int64_t units = 0;
    for (const Sum& sum : sums_) units += units_of(*sum.weights);
    team.parallel(units, [&](int64_t unit, int) {
      for (const Sum& sum : sums_) {
        const int64_t count = units_of(*sum.weights);
        if (unit < count) return reduce(plan, sum, unit, count, slots, flat);
        unit -= count;
      }
    });
  }

 private:
  struct Sum {
    const PlanWeights* weights;
    int64_t at;  // floats before it in a slot
  };

  static int64_t units_of(const PlanWeights& w) {
    return std::clamp<int64_t>((w.weights.depth + 1) * w.weights.columns / kUnit, 1, w.weights.depth + 1);
  }

  static void reduce(const Plan& plan, const Sum& sum, int64_t unit, int64_t units, int64_t slots, float* flat) {
    const PlanWeights& w = *sum.weights;
    const auto [first, end] = unit_range(unit, units, w.weights.depth + 1);
    for (int64_t d = first; d < end; d++)
      for (const WeightColumns& part : w.parts) {
        const bool is_bias = d == w.weights.depth;
        if (is_bias && part.bias < 0) continue;
        plan.kernels->sum_slots(slots, plan.slot_floats, plan.slots.data() + sum.at + d * w.weights.columns + part.column, part.count,
                                flat + (is_bias ? part.bias : part.offset + d * part.stride), false);
      }
  }

  int32_t buffer_;
  std::vector<Sum> sums_;
  std::vector<std::pair<int64_t, int64_t>> uncovered_;  // ranges that no op writes
};

struct Penalty final : StepOp {
  Penalty() : StepOp(MG_PHASE_UPDATE) {}

  struct Range {
    mg_view view;
    int64_t from, to;
  };
  std::vector<Range> ranges;
  std::vector<double> sums;
  int64_t loss;
  float l1, l2;
  mg_view gradients;

  void run(Plan& plan, const mg_run& run, Team& team) override {
    team.parallel(static_cast<int64_t>(ranges.size()), [&](int64_t unit, int) {
      const Range& range = ranges[static_cast<size_t>(unit)];
      Parameters own{};
      own.rows = 1, own.width = range.to - range.from;
      own.w = bound(run, range.view) + range.from;
      if (gradients.buffer >= 0) own.gradient = bound(run, gradients) + range.view.offset + range.from;
      sums[static_cast<size_t>(unit)] = plan.kernels->penalty(&own, l1, l2);
    });
    for (const double sum : sums) run.scalars_out[loss] += sum;
  }
};

struct Optimize final : StepOp {
  Optimize() : StepOp(MG_PHASE_UPDATE) {}

  mg_optimize op;

  void run(Plan& plan, const mg_run& run, Team& team) override {
    const UpdateRule rule = make_rule(op, run);
    Parameters all = parameters_of(op, op.parameters, run);
    all.width = all.moment_width = 1;
    float* const gradient = bound(run, op.gradients);
    const int64_t count = op.parameters.width, units = (count + kUnit - 1) / kUnit;
    team.parallel(units, [&](int64_t unit, int) {
      const int64_t from = unit * kUnit;
      Parameters own = part_of(all, from);
      own.rows = 1, own.width = std::min(kUnit, count - from), own.gradient = gradient + from;
      plan.kernels->update(&rule, &own);
    });
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_reduce_gradients& op) {
  // All rows ops are compiled by now, so their gradients are known.
  builder.add(std::make_unique<ReduceGradients>(builder.plan, op.gradients.buffer));
}

void compile_op(PlanBuilder& builder, const mg_penalty& op) {
  auto compiled = std::make_unique<Penalty>();
  for (uint32_t i = 0; i < op.parameters.count; i++)
    for (int64_t from = 0; from < op.parameters.items[i].width; from += kUnit)
      compiled->ranges.push_back({op.parameters.items[i], from, std::min(from + kUnit, op.parameters.items[i].width)});
  compiled->sums.resize(compiled->ranges.size());
  compiled->loss = op.loss;
  compiled->gradients = op.gradients;
  compiled->l1 = static_cast<float>(op.l1);
  compiled->l2 = static_cast<float>(op.l2);
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_optimize& op) {
  auto compiled = std::make_unique<Optimize>();
  compiled->op = op;
  builder.add(std::move(compiled));
}

}  // namespace mg
