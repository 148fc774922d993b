// Step ops over the flat store: the sum of slots, penalties, the update.
#include <algorithm>

#include "cpu/ops/update_rule.h"

namespace mg {
namespace {

constexpr int64_t kUnit = 8192;  // elements: some microseconds of work

// Slots keep each weight matrix padded and with its bias as last row; here it becomes Keras's layout again.
struct ReduceGradients final : StepOp {
  mg_view gradients;

  void run(Plan& plan, const mg_run& run, Team& team) override {
    float* const flat = static_cast<float*>(run.data[plan.gradient_buffer]);
    for (const auto& [from, to] : plan.uncovered) std::fill(flat + from, flat + to, 0.0f);
    const int64_t slots = plan.slot_count(run.rows);
    int64_t units = 0;
    for (const auto& w : plan.weights) units += units_of(*w);
    team.parallel(units, [&](int64_t unit, int) {
      for (const auto& w : plan.weights) {
        const int64_t count = units_of(*w);
        if (unit < count) return reduce(plan, *w, unit, count, slots, flat);
        unit -= count;
      }
    });
  }

 private:
  static int64_t units_of(const PlanWeights& w) {
    return w.gradient ? std::clamp<int64_t>((w.weights.depth + 1) * w.weights.columns / kUnit, 1, w.weights.depth + 1) : 0;
  }

  static void reduce(const Plan& plan, const PlanWeights& w, int64_t unit, int64_t units, int64_t slots, float* flat) {
    const auto [first, end] = unit_range(unit, units, w.weights.depth + 1);
    for (int64_t d = first; d < end; d++)
      for (const WeightColumns& part : w.parts) {
        const bool is_bias = d == w.weights.depth;
        if (is_bias && part.bias < 0) continue;
        plan.kernels->sum_slots(slots, plan.slot_floats, plan.slots.data() + w.slot + d * w.weights.columns + part.column,
                                part.count, flat + (is_bias ? part.bias : part.offset + d * part.stride), false);
      }
  }
};

struct Penalty final : StepOp {
  struct Range {
    mg_view view;
    int64_t from, to;
  };
  std::vector<Range> ranges;
  std::vector<double> sums;
  int64_t loss;
  float l1, l2;

  void run(Plan& plan, const mg_run& run, Team& team) override {
    team.parallel(static_cast<int64_t>(ranges.size()), [&](int64_t unit, int) {
      const Range& range = ranges[static_cast<size_t>(unit)];
      Parameters own{};
      own.rows = 1, own.width = range.to - range.from;
      own.w = bound(run, range.view) + range.from;
      if (plan.gradient_buffer >= 0)
        own.gradient = static_cast<float*>(run.data[plan.gradient_buffer]) + range.view.offset + range.from;
      sums[static_cast<size_t>(unit)] = plan.kernels->penalty(&own, l1, l2);
    });
    for (const double sum : sums) run.scalars_out[loss] += sum;
  }
};

struct Optimize final : StepOp {
  mg_optimize op;

  void run(Plan& plan, const mg_run& run, Team& team) override {
    const UpdateRule rule = make_rule(op, run);
    const Parameters all = parameters_of(op, op.parameters, run);
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
  auto compiled = std::make_unique<ReduceGradients>();
  compiled->gradients = op.gradients;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_penalty& op) {
  auto compiled = std::make_unique<Penalty>();
  for (uint32_t i = 0; i < op.parameters.count; i++)
    for (int64_t from = 0; from < op.parameters.items[i].width; from += kUnit)
      compiled->ranges.push_back({op.parameters.items[i], from, std::min(from + kUnit, op.parameters.items[i].width)});
  compiled->sums.resize(compiled->ranges.size());
  compiled->loss = op.loss;
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
