// Ops over several gradients, one per task: their dot products and their weighted sums.
#include <algorithm>

#include "cpu/plan.h"

namespace mg {
namespace {

constexpr int64_t kUnit = 8192;  // elements, some microseconds of work
constexpr int64_t kRowUnit = 128;

// Calls work(i, j, number of the pair) for all pairs i <= j.
template <class Work>
void each_pair(size_t count, const Work& work) {
  size_t number = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t j = i; j < count; j++) work(i, j, number++);
}

struct RowGram final : RowsOp {
  std::vector<Rows> gradients;
  int64_t output;

  void run(const Block& block) const override {
    each_pair(gradients.size(), [&](size_t i, size_t j, size_t pair) {
      const RowPointer a = block.at(gradients[i]), b = block.at(gradients[j]);
      double sum = 0;
      for (int64_t r = 0; r < block.rows; r++) sum += block.plan.kernels->dot(gradients[i].width, a.data + r * a.stride, b.data + r * b.stride);
      block.losses[output + static_cast<int64_t>(pair)] += sum;
    });
  }
};

// Of one gradient, in the phase of its op, it is the sum of squares.
struct GradientGram final : StepOp {
  struct Range {
    int64_t from, count;
  };

  GradientGram(const mg_gradient_gram& op, mg_phase of)
      : StepOp(of), gradients_(op.gradients.items, op.gradients.items + op.gradients.count), output_(op.output) {
    for (uint32_t p = 0; p < op.parameters.count; p++) {
      const mg_view& view = op.parameters.items[p];
      for (int64_t at = 0; at < view.width; at += kUnit) ranges_.push_back({view.offset + at, std::min(kUnit, view.width - at)});
    }
    sums_.resize(ranges_.size() * pairs());
  }

  void run(Plan& plan, const mg_run& run, Team& team) override {
    team.parallel(static_cast<int64_t>(ranges_.size()), [&](int64_t unit, int) {
      const Range& range = ranges_[static_cast<size_t>(unit)];
      double* const sums = sums_.data() + static_cast<size_t>(unit) * pairs();
      each_pair(gradients_.size(), [&](size_t i, size_t j, size_t pair) {
        sums[pair] = plan.kernels->dot(range.count, bound(run, gradients_[i]) + range.from, bound(run, gradients_[j]) + range.from);
      });
    });
    for (size_t unit = 0; unit < ranges_.size(); unit++)
      for (size_t pair = 0; pair < pairs(); pair++) run.scalars_out[output_ + static_cast<int64_t>(pair)] += sums_[unit * pairs() + pair];
  }

 private:
  size_t pairs() const { return gradients_.size() * (gradients_.size() + 1) / 2; }

  std::vector<mg_view> gradients_;
  int64_t output_;
  std::vector<Range> ranges_;
  std::vector<double> sums_;  // [ranges, pairs]
};

// A weighted sum's lists and weights: as many as the op has, and filled by each run.
struct WeightedSum : StepOp {
  WeightedSum(size_t lists, int64_t first) : StepOp(MG_PHASE_UPDATE), first_weight(first), weights(lists), from(lists) {}

  int64_t first_weight;
  std::vector<float> weights;
  std::vector<RowPointer> from;

  void take_weights(const mg_run& run) {
    for (size_t k = 0; k < weights.size(); k++) weights[k] = static_cast<float>(run.scalars_in[first_weight + static_cast<int64_t>(k)]);
  }
  // Of `count` elements from `at` on of row `row`.
  void sum(const Plan& plan, int64_t row, int64_t at, int64_t count, float* y) const {
    const float* lists[kMostLists];
    for (size_t k = 0; k < from.size(); k++) lists[k] = from[k].data + row * from[k].stride + at;
    plan.kernels->weighted_sum(count, static_cast<int64_t>(from.size()), lists, weights.data(), y);
  }

  static constexpr size_t kMostLists = 64;  // the engine allows no more
};

struct CombineGradients final : WeightedSum {
  explicit CombineGradients(const mg_combine_gradients& op)
      : WeightedSum(op.gradients.count, op.weights), gradients(op.gradients.items, op.gradients.items + op.gradients.count), y(op.y) {}

  std::vector<mg_view> gradients;
  mg_view y;

  void run(Plan& plan, const mg_run& run, Team& team) override {
    take_weights(run);
    for (size_t k = 0; k < gradients.size(); k++) from[k] = {bound(run, gradients[k]), 0};
    const int64_t units = (y.width + kUnit - 1) / kUnit;
    team.parallel(units, [&](int64_t unit, int) {
      const int64_t at = unit * kUnit;
      sum(plan, 0, at, std::min(kUnit, y.width - at), bound(run, y) + at);
    });
  }
};

struct CombineRows final : WeightedSum {
  explicit CombineRows(const mg_combine_rows& op)
      : WeightedSum(op.inputs.count, op.weights), inputs(op.inputs.items, op.inputs.items + op.inputs.count), y(op.y) {}

  std::vector<mg_view> inputs;
  mg_view y;

  void run(Plan& plan, const mg_run& run, Team& team) override {
    take_weights(run);
    for (size_t k = 0; k < inputs.size(); k++) from[k] = stored_at(plan, inputs[k].buffer, 0), from[k].data += inputs[k].offset;
    const RowPointer to = stored_at(plan, y.buffer, 0);
    team.parallel((run.rows + kRowUnit - 1) / kRowUnit, [&](int64_t unit, int) {
      for (int64_t row = unit * kRowUnit, end = std::min(row + kRowUnit, run.rows); row < end; row++)
        sum(plan, row, 0, y.width, to.data + row * to.stride + y.offset);
    });
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_row_gram& op) {
  auto compiled = std::make_unique<RowGram>();
  for (uint32_t i = 0; i < op.gradients.count; i++) compiled->gradients.push_back(builder.rows(op.gradients.items[i]));
  compiled->output = op.output;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_gradient_gram& op) { builder.add(std::make_unique<GradientGram>(op, MG_PHASE_GRADIENTS)); }

void compile_op(PlanBuilder& builder, const mg_gradient_squares& op) {
  const mg_gradient_gram alone{{&op.gradients, 1}, op.parameters, op.output};
  builder.add(std::make_unique<GradientGram>(alone, MG_PHASE_UPDATE));
}

void compile_op(PlanBuilder& builder, const mg_combine_gradients& op) { builder.add(std::make_unique<CombineGradients>(op)); }

void compile_op(PlanBuilder& builder, const mg_combine_rows& op) {
  builder.rows(op.y);  // it has a place even if no rows op names it
  builder.add(std::make_unique<CombineRows>(op));
}

}  // namespace mg
