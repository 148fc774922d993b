// Fusion of several signals, element by element: sum or product, and its gradient.
//
//   forward   y = x_0 + x_1 + ..   or   x_0 x_1 ..
//   backward  dx_i = dy   or   dx_i = (x_0 .. x_{i-1}) (x_{i+1} .. x_{k-1} dy), the first from the left and the second from the
//             right, so an input of zero is no special case
// inputs, y, dy [n, width]; dinputs [n, width] or narrower each, or absent, = or, if the list says so, +=. One thread per element. It keeps the
// prefix products of kChunk inputs in registers; longer lists recompute them once per chunk. It writes no product to
// memory. Bytes per element: 4 (k + 1) forward; 8 k + 4 backward, where k is at most kChunk.
#include <memory>

#include "cuda/ops/lanes.h"
#include "cuda/ops/row_list.h"

namespace mg_cuda {
namespace {

constexpr int kChunk = 8;

template <bool kProduct>
__global__ void fusion_forward_kernel(RowLanes lanes, RowList inputs, RowPointer y) {
  begin_kernel();
  lanes.each([&](int64_t row, int64_t column) {
    float value = *inputs[0].at(row, column);
    for (int i = 1; i < inputs.count; i++) {
      const float x = *inputs[i].at(row, column);
      value = kProduct ? value * x : value + x;
    }
    y.data[row * y.stride + column] = value;
  });
}

__device__ __forceinline__ void put(const ListedRows& rows, int64_t row, int64_t column, float value) {
  if (column >= rows.width) return;
  float* to = rows.at(row, column);
  *to = rows.accumulate ? *to + value : value;
}

__global__ void sum_backward_kernel(RowLanes lanes, RowPointer dy, RowList dinputs) {
  begin_kernel();
  lanes.each([&](int64_t row, int64_t column) {
    const float value = dy.data[row * dy.stride + column];
    for (int i = 0; i < dinputs.count; i++) put(dinputs[i], row, column, value);
  });
}

__global__ void product_backward_kernel(RowLanes lanes, RowList inputs, RowPointer dy, RowList dinputs) {
  begin_kernel();
  lanes.each([&](int64_t row, int64_t column) {
    float right = dy.data[row * dy.stride + column];
    for (int start = (inputs.count - 1) / kChunk * kChunk; start >= 0; start -= kChunk) {
      float left = 1;
      for (int i = 0; i < start; i++) left *= *inputs[i].at(row, column);
      float x[kChunk], prefix[kChunk];
#pragma unroll
      for (int k = 0; k < kChunk; k++) {
        x[k] = start + k < inputs.count ? *inputs[start + k].at(row, column) : 1.0f;
        prefix[k] = left;
        left *= x[k];
      }
#pragma unroll
      for (int k = kChunk - 1; k >= 0; k--) {
        if (start + k >= inputs.count) continue;
        put(dinputs[start + k], row, column, prefix[k] * right);
        right *= x[k];
      }
    }
  });
}

struct FusionForward final : Op {
  RowViews inputs;
  mg_view y;
  bool product;

  explicit FusionForward(const mg_fusion_forward& op) : inputs(op.inputs, {}), y(op.y), product(op.kind == 1) {}

  void launch(const Context& context) const override {
    const RowLanes lanes(context.rows, y.width);
    context.stream.launch(product ? fusion_forward_kernel<true> : fusion_forward_kernel<false>, lanes.grid(), RowLanes::kThreads, 0, lanes,
                          inputs.at(context), context.at(y));
  }
};

struct FusionBackward final : Op {
  RowViews inputs, dinputs;
  mg_view dy;
  bool product;

  explicit FusionBackward(const mg_fusion_backward& op)
      : inputs(op.inputs, {}), dinputs(op.dinputs, op.accumulate), dy(op.dy), product(op.kind == 1) {}

  void launch(const Context& context) const override {
    const RowLanes lanes(context.rows, dy.width);
    if (product)
      context.stream.launch(product_backward_kernel, lanes.grid(), RowLanes::kThreads, 0, lanes, inputs.at(context), context.at(dy),
                            dinputs.at(context));
    else
      context.stream.launch(sum_backward_kernel, lanes.grid(), RowLanes::kThreads, 0, lanes, context.at(dy), dinputs.at(context));
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_fusion_forward& op) { builder.add(std::make_unique<FusionForward>(op)); }
void compile_op(PlanBuilder& builder, const mg_fusion_backward& op) { builder.add(std::make_unique<FusionBackward>(op)); }

}  // namespace mg_cuda
