// What all losses share: which rows count, their weights, and the sum of their losses.
//
//   scalar output `loss` += sum of w m l / D, in double: each block adds its rows in a fixed order and writes one partial sum; see
//   scalar_sums.h. The number of blocks depends only on n.
// m: the label is not NaN; w: weight or 1; D: scalar input, 0 if no row counts. A row that does not count adds nothing and has a
// gradient of 0, even where its logit is not finite.
#pragma once
#include <algorithm>
#include <cstdint>

#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

struct LossRows {
  static constexpr int kThreads = 256;
  static constexpr int64_t kMostBlocks = 1024;

  int64_t rows;
  RowPointer label, weight;   // [n, 1]; weight may be null
  const double* denominator;  // on the device
  const double* task_weight;  // on the device; null: no gradient
  double* partial;            // [blocks] (=)
};

struct LossRow {
  float label;   // 0 if the row does not count
  float weight;  // 0 if the row does not count
  float slope;   // task_weight w / D: the gradient's factor
};

__device__ __forceinline__ LossRow loss_row(const LossRows& shared, int64_t row) {
  const float label = shared.label.data[row * shared.label.stride],
              weight = shared.weight.data ? shared.weight.data[row * shared.weight.stride] : 1.0f;
  const double denominator = *shared.denominator;
  if (label != label || weight == 0 || denominator == 0) return {0, 0, 0};
  return {label, weight, weight * static_cast<float>(shared.task_weight == nullptr ? 0.0 : *shared.task_weight / denominator)};
}

// All threads of a block call it once, at the kernel's end. Shared memory: one double per warp.
__device__ __forceinline__ void put_partial(const LossRows& shared, double loss) {
  const double sum = block_sum(loss, shared_memory<double>());
  if (threadIdx.x == 0) shared.partial[blockIdx.x] = sum;
}

// The host's part that losses share.
struct LossFields {
  static constexpr size_t kSharedBytes = LossRows::kThreads / kWarp * sizeof(double);

  mg_view label, weight;
  int64_t denominator, loss, task_weight, lanes;  // lanes: threads per row
  int64_t first = 0;                              // place of its first partial sum

  template <class Fields>
  LossFields(const Fields& op, int64_t threads_of_a_row)
      : label(op.label), weight(op.weight), denominator(op.denominator), loss(op.loss), task_weight(op.task_weight), lanes(threads_of_a_row) {}

  int64_t blocks(int64_t rows) const { return std::min(blocks_of(rows * lanes, LossRows::kThreads), LossRows::kMostBlocks); }
  void add_sums(Plan& plan, int64_t rows) { first = plan.add_sum(loss, denominator, blocks(rows)); }
  LossRows rows(const Context& context) const {
    return {context.rows,
            context.at(label),
            context.at(weight),
            context.scalars() + denominator,
            task_weight < 0 ? nullptr : context.scalars() + task_weight,
            context.partials() + first};
  }
};

// A loss that is a separate op.
struct LossOp : Op {
  LossFields fields;

  explicit LossOp(LossFields loss) : fields(loss) {}
  void add_sums(Plan& plan, int64_t rows) override { fields.add_sums(plan, rows); }

  // Queues `kernel`, which takes LossRows and then `arguments`.
  template <class Kernel, class... P>
  void launch_loss(const Context& context, Kernel kernel, const P&... arguments) const {
    context.stream.launch(kernel, {static_cast<unsigned>(fields.blocks(context.rows))}, LossRows::kThreads, LossFields::kSharedBytes,
                          fields.rows(context), arguments...);
  }
};

}  // namespace mg_cuda
