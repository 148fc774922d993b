// Ops over several gradients, one per task: their dot products and their weighted sums. See loss_rows.h for the order of sums.
//
//   row_gram           8 bytes per multiply-add; one grid row per pair, a group of lanes per row
//   gradient_gram      8 bytes per multiply-add; one block per range and pair
//   combine_gradients  4 bytes in per gradient, 4 out; combine_rows the same
#include <algorithm>

#include "cuda/device/kernel.h"
#include "cuda/ops/lanes.h"
#include "cuda/ops/row_list.h"
#include "cuda/plan.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1024;
constexpr int64_t kRange = 8192;
constexpr size_t kSharedBytes = kThreads / kWarp * sizeof(double);

// The k-th pair i <= j of `count` lists: (0,0), (0,1) .. (0,count-1), (1,1) ..
struct Pair {
  int first, second;

  __device__ __forceinline__ Pair(int k, int count) : first(0) {
    while (k >= count - first) k -= count - first, first++;
    second = first + k;
  }
};

int64_t pairs_of(size_t count) { return static_cast<int64_t>(count * (count + 1) / 2); }

// partials[pair, block] (=), `stride` apart: the block's share of the sum over rows and columns of gradients_i gradients_j. A row's products are
// added in float32 by lanes, and rows in double.
__global__ void row_gram_kernel(RowLanes lanes, RowList gradients, double* partials, int64_t stride) {
  begin_kernel();
  const Pair pair(static_cast<int>(blockIdx.y), gradients.count);
  const ListedRows a = gradients[pair.first], b = gradients[pair.second];
  double sum = 0;
  const int64_t first = grid_thread() & ((1 << lanes.shift) - 1);
  for (int64_t row = grid_thread() >> lanes.shift; row < lanes.rows; row += grid_threads() >> lanes.shift) {
    float products = 0;
    for (int64_t column = first; column < lanes.width; column += 1 << lanes.shift) products += *a.at(row, column) * *b.at(row, column);
    sum += static_cast<double>(products);
  }
  sum = block_sum(sum, shared_memory<double>());
  if (threadIdx.x == 0) partials[blockIdx.y * stride + blockIdx.x] = sum;
}

struct GramRange {
  int64_t from, count;
};

// partials[pair, range] (=)
__global__ void gradient_gram_kernel(const GramRange* ranges, const float* const* gradients, int count, double* partials) {
  begin_kernel();
  const GramRange range = ranges[blockIdx.x];
  const Pair pair(static_cast<int>(blockIdx.y), count);
  const float *const a = gradients[pair.first] + range.from, *const b = gradients[pair.second] + range.from;
  float products = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < range.count; i += blockDim.x) products += a[i] * b[i];
  const double sum = block_sum(static_cast<double>(products), shared_memory<double>());
  if (threadIdx.x == 0) partials[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// y[i] (=) the sum of weights[k] from[k][i]
__global__ void combine_gradients_kernel(const float* const* from, int count, const double* weights, int64_t elements, float* y) {
  begin_kernel();
  for (int64_t i = grid_thread(); i < elements; i += grid_threads()) {
    float sum = 0;
    for (int k = 0; k < count; k++) sum += static_cast<float>(weights[k]) * from[k][i];
    y[i] = sum;
  }
}

__global__ void combine_rows_kernel(RowLanes lanes, RowList inputs, const double* weights, RowPointer y) {
  begin_kernel();
  lanes.each([&](int64_t row, int64_t column) {
    float sum = 0;
    for (int k = 0; k < inputs.count; k++) sum += static_cast<float>(weights[k]) * *inputs[k].at(row, column);
    y.data[row * y.stride + column] = sum;
  });
}

struct RowGram final : Op {
  RowViews gradients;
  int64_t count, width, output, first = 0, most = 0;  // most: blocks of a pair

  explicit RowGram(const mg_row_gram& op)
      : gradients(op.gradients, {}), count(op.gradients.count), width(op.gradients.items[0].width), output(op.output) {}

  int64_t blocks(int64_t rows) const { return std::min<int64_t>(RowLanes(rows, width).grid().x, kMostBlocks); }

  void add_sums(Plan& plan, int64_t rows) override {
    most = blocks(rows);
    const int64_t pairs = pairs_of(static_cast<size_t>(count));
    for (int64_t pair = 0; pair < pairs; pair++) {
      const int64_t place = plan.add_sum(output + pair, -1, most);
      if (pair == 0) first = place;
    }
  }

  void launch(const Context& context) const override {
    const Grid grid{static_cast<unsigned>(blocks(context.rows)), static_cast<unsigned>(pairs_of(static_cast<size_t>(count)))};
    context.stream.launch(row_gram_kernel, grid, RowLanes::kThreads, kSharedBytes, RowLanes(context.rows, width), gradients.at(context),
                          context.partials() + first, most);
  }
};

// Whole GRADIENT buffers, as pointers on the device.
class GradientList {
 public:
  explicit GradientList(const mg_views& list) : views_(kept(list)) {}

  void bind(const Context& context) {
    std::vector<const float*> pointers;
    for (const mg_view& view : views_) pointers.push_back(context.elements(view));
    table_.assign(pointers);
  }
  const float* const* data() const { return table_.data(); }
  int count() const { return static_cast<int>(views_.size()); }

 private:
  std::vector<mg_view> views_;
  Table<const float*> table_;
};

struct GradientGram final : Op {
  GradientList gradients;
  std::vector<GramRange> ranges;
  Table<GramRange> table;
  int64_t output, first = 0;

  explicit GradientGram(const mg_gradient_gram& op) : gradients(op.gradients), output(op.output) {
    for (const mg_view& view : kept(op.parameters))
      for (int64_t at = 0; at < view.width; at += kRange) ranges.push_back({view.offset + at, std::min(kRange, view.width - at)});
  }

  void add_sums(Plan& plan, int64_t) override {
    for (int64_t pair = 0; pair < pairs_of(static_cast<size_t>(gradients.count())); pair++) {
      const int64_t place = plan.add_sum(output + pair, -1, static_cast<int64_t>(ranges.size()));
      if (pair == 0) first = place;
    }
  }

  void bind(const Context& context) override { gradients.bind(context), table.assign(ranges); }

  void launch(const Context& context) const override {
    const Grid grid{static_cast<unsigned>(ranges.size()), static_cast<unsigned>(pairs_of(static_cast<size_t>(gradients.count())))};
    context.stream.launch(gradient_gram_kernel, grid, kThreads, kSharedBytes, table.data(), gradients.data(), gradients.count(),
                          context.partials() + first);
  }
};

struct CombineGradients final : Op {
  GradientList gradients;
  mg_view y;
  int64_t weights;

  explicit CombineGradients(const mg_combine_gradients& op) : gradients(op.gradients), y(op.y), weights(op.weights) {}

  void bind(const Context& context) override { gradients.bind(context); }

  void launch(const Context& context) const override {
    const auto blocks = static_cast<unsigned>(std::clamp<int64_t>(blocks_of(y.width, kThreads), 1, kMostBlocks));
    context.stream.launch(combine_gradients_kernel, {blocks}, kThreads, 0, gradients.data(), gradients.count(), context.scalars() + weights, y.width,
                          context.elements(y));
  }
};

struct CombineRows final : Op {
  RowViews inputs;
  mg_view y;
  int64_t weights;

  explicit CombineRows(const mg_combine_rows& op) : inputs(op.inputs, {}), y(op.y), weights(op.weights) {}

  void launch(const Context& context) const override {
    const RowLanes lanes(context.rows, y.width);
    context.stream.launch(combine_rows_kernel, lanes.grid(), RowLanes::kThreads, 0, lanes, inputs.at(context), context.scalars() + weights,
                          context.at(y));
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_row_gram& op) { builder.add(std::make_unique<RowGram>(op)); }
void compile_op(PlanBuilder& builder, const mg_gradient_gram& op) { builder.add(std::make_unique<GradientGram>(op)); }
void compile_op(PlanBuilder& builder, const mg_gradient_squares& op) {
  compile_op(builder, mg_gradient_gram{{&op.gradients, 1}, op.parameters, op.output});
}
void compile_op(PlanBuilder& builder, const mg_combine_gradients& op) { builder.add(std::make_unique<CombineGradients>(op)); }
void compile_op(PlanBuilder& builder, const mg_combine_rows& op) { builder.add(std::make_unique<CombineRows>(op)); }

}  // namespace mg_cuda
