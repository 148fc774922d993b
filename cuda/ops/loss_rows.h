// What all losses share: which rows count and by how much, and the sum of their losses.
//
//   scalar output `loss` += sum of w m l / D, in double: each block adds up its rows in a fixed order and writes one partial sum
//   (scratch [blocks]), then one block adds the partial sums in a fixed order. How many blocks there are depends on n alone.
// m: the label is not NaN; w: weight or 1; D: scalar input, 0 where no row counts. A row that does not count adds nothing and has a
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
  double task_weight;
  double* partial;            // [blocks]
};

struct LossRow {
  float label;   // 0 where the row does not count
  float weight;  // 0 likewise
  float slope;   // task_weight w / D: the gradient's factor
};

__device__ __forceinline__ LossRow loss_row(const LossRows& shared, int64_t row) {
  const float label = shared.label.data[row * shared.label.stride], weight = shared.weight.data ? shared.weight.data[row * shared.weight.stride] : 1.0f;
  const double denominator = *shared.denominator;
  if (label != label || weight == 0 || denominator == 0) return {0, 0, 0};
  return {label, weight, weight * static_cast<float>(shared.task_weight / denominator)};
}

// Once, at a kernel's end, by all threads of a block; shared memory: one double per warp.
__device__ __forceinline__ void put_partial(const LossRows& shared, double loss) {
  const double sum = block_sum(loss, shared_memory<double>());
  if (threadIdx.x == 0) shared.partial[blockIdx.x] = sum;
}

// What the loss ops share on the host.
struct LossOp : Op {
  mg_view label, weight;
  int64_t denominator, loss, lanes;  // lanes: threads that a row takes
  double task_weight;

  template <class Fields>
  LossOp(const Fields& op, int64_t threads_of_a_row)
      : label(op.label), weight(op.weight), denominator(op.denominator), loss(op.loss), lanes(threads_of_a_row), task_weight(op.task_weight) {}

  int64_t blocks(int64_t rows) const { return std::min(blocks_of(rows * lanes, LossRows::kThreads), LossRows::kMostBlocks); }
  size_t scratch_bytes(const Plan&, int64_t rows) const override { return static_cast<size_t>(blocks(rows)) * sizeof(double); }

  // Queues `kernel`, which takes LossRows and then `arguments`, and the sum of what its blocks found.
  template <class Kernel, class... P>
  void launch_loss(const Context& context, Kernel kernel, const P&... arguments) const {
    const LossRows shared{context.rows, context.at(label), context.at(weight), context.scalars() + denominator, task_weight, context.scratch<double>()};
    context.stream.launch(kernel, {static_cast<unsigned>(blocks(context.rows))}, LossRows::kThreads, kSharedBytes, shared, arguments...);
    launch_total(context);
  }

 private:
  static constexpr size_t kSharedBytes = LossRows::kThreads / kWarp * sizeof(double);

  void launch_total(const Context& context) const;
};

}  // namespace mg_cuda
