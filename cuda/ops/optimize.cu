// Step ops over the flat store: penalties and the update. Both pass over memory once.
#include <algorithm>

#include "cuda/ops/penalty.h"
#include "cuda/ops/update_rule.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kRange = 4096;       // elements per block; views can be as small as a bias, so one launch takes a list of ranges
constexpr int64_t kMostBlocks = 4096;  // beyond it a thread takes several pieces

struct Range {
  int64_t offset, count;  // in the store
  float* gradient;        // of its first element; null: no gradient
  int64_t partial;        // its place among the partial sums
  PenaltyRates rates;
};

// One block per range. store: the whole buffer; gradients are +=. partials (=): the loss of each range.
// 4 bytes in per element; with a gradient 4 more in and out.
__global__ void penalty_kernel(const Range* ranges, const float* store, double* partials) {
  begin_kernel();
  const Range range = ranges[blockIdx.x];
  double loss = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < range.count; i += blockDim.x) {
    Piece<1> slope{};
    if (range.gradient != nullptr) slope = load_piece<1>(range.gradient + i);
    add_penalty(range.rates, load_piece<1>(store + range.offset + i), slope, loss);
    if (range.gradient != nullptr) store_piece(range.gradient + i, slope);
  }
  loss = block_sum(loss, shared_memory<double>());
  if (threadIdx.x == 0) partials[range.partial] = loss;
}

// One block with one working thread: some hundred instructions in double that every thread of the update would repeat. All threads add up
// the squares if the gradient's length is limited.
__global__ void step_kernel(StepSource source, const double* scalars, RunningSums sums, UpdateStep* step) {
  begin_kernel();
  const float scale = source.clip_norm > 0 ? length_scale(source, sums, shared_memory<double>()) : 1;
  if (threadIdx.x != 0) return;
  *step = step_of(source, scalars);
  step->scale = scale;
}

// Updates to.w and its moments (=, in place) from gradient, `count` elements each. A thread takes pieces at a fixed stride; the last
// elements may be no whole piece. Bytes per element: gradient 4 in, weight and each moment 4 in and out.
template <int kRule, int kFloats>
__global__ void optimize_kernel(UpdateRule rule, const UpdateStep* steps, int64_t count, Updated to, const float* gradient) {
  begin_kernel();
  const UpdateStep step = *steps;
  const int64_t whole = count / kFloats * kFloats;
  for (int64_t at = grid_thread() * kFloats; at < whole; at += grid_threads() * kFloats)
    update_piece<kRule, kFloats>(rule, step, to, at, load_piece<kFloats>(to.w + at), load_piece<kFloats>(gradient + at));
  const int64_t last = whole + grid_thread();
  if (last < count) update_piece<kRule, 1>(rule, step, to, last, load_piece<1>(to.w + last), load_piece<1>(gradient + last));
}

// All consecutive penalties.
class Penalties final : public Op {
 public:
  explicit Penalties(const mg_penalty& op) { penalties_.push_back({kept(op.parameters), op.gradients, {op.l1, op.l2}, op.loss, 0}); }

  bool join(Op& next) override {
    auto* const same = dynamic_cast<Penalties*>(&next);
    if (same == nullptr) return false;
    for (const Penalty& mine : penalties_)
      for (const Penalty& other : same->penalties_)
        if (meet(mine.views, other.views)) return false;
    std::move(same->penalties_.begin(), same->penalties_.end(), std::back_inserter(penalties_));
    return true;
  }

  void add_sums(Plan& plan, int64_t) override {
    for (Penalty& penalty : penalties_) {
      int64_t count = 0;
      for (const mg_view& view : penalty.views) count += blocks_of(view.width, kRange);
      penalty.first = plan.add_sum(penalty.loss, -1, count);
    }
  }

  void bind(const Context& context) override {
    std::vector<Range> ranges;
    for (const Penalty& penalty : penalties_) {
      int64_t place = penalty.first;
      float* const gradient = context.elements(penalty.gradients);
      for (const mg_view& view : penalty.views)
        for (int64_t from = 0; from < view.width; from += kRange)
          ranges.push_back({view.offset + from, std::min(kRange, view.width - from), gradient == nullptr ? nullptr : gradient + view.offset + from,
                            place++, penalty.rates});
    }
    ranges_.assign(ranges), count_ = ranges.size();
  }

  void launch(const Context& context) const override {
    if (count_ == 0) return;
    context.stream.launch(penalty_kernel, {static_cast<unsigned>(count_)}, kThreads, kThreads / kWarp * sizeof(double), ranges_.data(),
                          context.elements({context.plan.parameter_buffer, 0, 0}), context.partials());
  }

 private:
  struct Penalty {
    std::vector<mg_view> views;
    mg_view gradients;
    PenaltyRates rates;
    int64_t loss, first;  // first: place of its first partial sum
  };

  std::vector<Penalty> penalties_;
  Table<Range> ranges_;
  size_t count_ = 0;
};

struct Optimize final : Op {
  mg_optimize op;

  size_t scratch_bytes(const Plan&, int64_t) const override { return sizeof(UpdateStep); }

  void launch(const Context& context) const override {
    auto* const step = context.scratch<UpdateStep>();
    context.stream.launch(step_kernel, {}, kThreads, kThreads / kWarp * sizeof(double), step_source_of(op), context.scalars(), running_sums(context),
                          step);
    const int64_t count = op.parameters.width;
    with_rule(op.rule, is_aligned(op.parameters, op) && op.gradients.offset % 4 == 0, [&](auto rule, auto floats) {
      const auto blocks = std::clamp<int64_t>(blocks_of(count, kThreads * floats()), 1, kMostBlocks);
      context.stream.launch(optimize_kernel<rule(), floats()>, {static_cast<unsigned>(blocks)}, kThreads, 0, rule_of(op), step, count,
                            updated_by(context, op.parameters, op), context.elements(op.gradients));
    });
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_penalty& op) { builder.add(std::make_unique<Penalties>(op)); }

void compile_op(PlanBuilder& builder, const mg_optimize& op) {
  auto compiled = std::make_unique<Optimize>();
  compiled->op = op;
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
