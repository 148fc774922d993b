// Ops that move or mask the elements of a row: copy_columns, dropout.
#include <algorithm>

#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;

Grid grid_of(int64_t elements) { return {static_cast<unsigned>(std::clamp<int64_t>(blocks_of(elements, kThreads), 1, 65536))}; }

// y[n, width] = x[n, width]
__global__ void copy_columns_kernel(int64_t rows, int64_t width, RowPointer x, RowPointer y) {
  for (int64_t i = grid_thread(); i < rows * width; i += grid_threads()) {
    const int64_t row = i / width, c = i % width;
    y.data[row * y.stride + c] = x.data[row * x.stride + c];
  }
}

struct CopyColumns final : Op {
  mg_view x, y;

  void launch(const Context& context) const override {
    context.stream.launch(copy_columns_kernel, grid_of(context.rows * x.width), kThreads, 0, context.rows, x.width, context.at(x), context.at(y));
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_copy_columns& op) {
  auto compiled = std::make_unique<CopyColumns>();
  compiled->x = op.x, compiled->y = op.y;
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
