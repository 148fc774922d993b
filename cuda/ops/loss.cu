// Losses with their gradients, and predictions from logits. All stay accurate for |z| of thousands.
//
//   binary       l = max(z, 0) - z y + log1p(e^-|z|), dz = slope (sigmoid(z) - y)
//   squared      l = (z - y)^2, dz = slope 2 (z - y); the other kinds (abi/ops.h) in double
//   focal        l = -y (1-p)^gamma log p - (1-y) p^gamma log(1-p), in double
//   multiclass   l = logsumexp(z) - z_y, dz = slope (softmax(z) - onehot(y))
// (the product of sigmoids: product_loss.cu). slope = task_weight w m / D; see loss_rows.h for w, m, D and the order of the sum.
// z, dz [n, 1], or [n, classes]; dz may be null, and is =. binary, squared: one thread per row, 12 to 16 bytes per row. multiclass: a group of
// lanes per row, which passes over the row twice (a third time for dz): 4 classes bytes read and 4 classes written.
#include <cmath>
#include <memory>

#include "cuda/ops/lanes.h"
#include "cuda/ops/simple_loss.h"

namespace mg_cuda {
namespace {

// One grid row per loss.
__global__ void binary_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  const auto& [shared, logit, dlogit, parameter, kind] = losses.items[blockIdx.y];
  double loss = 0;
  for (int64_t r = grid_thread(); r < shared.rows; r += grid_threads()) {
    const LossRow row = loss_row(shared, r);
    float slope = 0;
    if (row.weight != 0) {
      const float z = logit.data[r * logit.stride], u = expf(-fabsf(z)), rest = u / (1 + u);
      loss += static_cast<double>(row.weight * (fmaxf(z, 0) - z * row.label + log1pf(u)));
      // sigmoid(z) - y, from the side where sigmoid(z) is small: no cancellation if the model is sure and right
      slope = row.slope * (z < 0 ? rest - row.label : 1 - row.label - rest);
    }
    if (dlogit.data != nullptr) dlogit.data[r * dlogit.stride] = slope;
  }
  put_partial(shared, loss);
}

// One grid row per loss. The loss of label 0 is that of label 1 at -z.
__global__ void focal_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  const SimpleRows& own = losses.items[blockIdx.y];
  const double gamma = own.parameter;
  each_simple_row(own, [gamma](double z, double y) {
    const auto of_one = [gamma](double at) {
      const double rest = sigmoid_of(-at), factor = pow(rest, gamma), plus = softplus_of(-at);
      return LossAndSlope{factor * plus, -factor * (gamma * sigmoid_of(at) * plus + rest)};
    };
    const LossAndSlope one = of_one(z), zero = of_one(-z);
    return LossAndSlope{y * one.loss + (1 - y) * zero.loss, y * one.slope - (1 - y) * zero.slope};
  });
}

// e^t up to 80, then its tangent.
__device__ __forceinline__ LossAndSlope exponential(double t) {
  const double e = exp(fmin(t, 80.0));
  return {t < 80 ? e : e * (1 + t - 80), e};
}

__device__ __forceinline__ LossAndSlope regression(int64_t kind, double a, double z, double y) {
  const double d = z - y, size = fabs(d), sign = d > 0 ? 1 : d < 0 ? -1 : 0;
  switch (kind) {
    case MG_ABSOLUTE: return {size, sign};
    case MG_HUBER: return size <= a ? LossAndSlope{d * d / 2, d} : LossAndSlope{a * (size - a / 2), a * sign};
    case MG_LOG_COSH: return {size + log1p(expm1(-2 * size) / 2), tanh(d)};
    case MG_QUANTILE: return d > 0 ? LossAndSlope{(1 - a) * d, 1 - a} : LossAndSlope{-a * d, d < 0 ? -a : 0};
    case MG_POISSON: {
      const LossAndSlope mean = exponential(z);
      return {mean.loss - y * z, mean.slope - y};
    }
    default: {  // tweedie
      const LossAndSlope up = exponential((2 - a) * z), down = exponential((1 - a) * z);
      return {up.loss / (2 - a) + y * down.loss / (a - 1), up.slope - y * down.slope};
    }
  }
}

// Every kind but squared. One grid row per loss, in double.
__global__ void regression_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  const SimpleRows& own = losses.items[blockIdx.y];
  each_simple_row(own, [&own](double z, double y) { return regression(own.kind, own.parameter, z, y); });
}

// One grid row per loss.
__global__ void squared_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  const auto& [shared, prediction, dprediction, parameter, kind] = losses.items[blockIdx.y];
  double loss = 0;
  for (int64_t r = grid_thread(); r < shared.rows; r += grid_threads()) {
    const LossRow row = loss_row(shared, r);
    const float difference = row.weight != 0 ? prediction.data[r * prediction.stride] - row.label : 0.0f;
    loss += static_cast<double>(row.weight) * static_cast<double>(difference) * static_cast<double>(difference);
    if (dprediction.data != nullptr) dprediction.data[r * dprediction.stride] = row.slope * 2 * difference;
  }
  put_partial(shared, loss);
}

// The number of lanes per row: a power of two, at most a warp, the same for all rows of a launch.
struct Group {
  int lanes;

  __host__ __device__ explicit Group(int64_t classes) : lanes(1) {
    while (lanes < kWarp && lanes < classes) lanes *= 2;
  }

  __device__ __forceinline__ int lane_in() const { return lane() % lanes; }
  __device__ __forceinline__ float sum(float value) const {
    for (int mask = lanes / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
  }
  __device__ __forceinline__ float largest(float value) const {
    for (int mask = lanes / 2; mask > 0; mask /= 2) value = fmaxf(value, shuffle_xor(value, mask));
    return value;
  }

  // Calls work(row, exists) for each row of this thread. Lanes without a row in the last warp repeat the last row.
  template <class Work>
  __device__ __forceinline__ void each(int64_t rows, const Work& work) const {
    const int64_t own = lane() / lanes, of_a_warp = kWarp / lanes;
    for (int64_t first = grid_thread() / kWarp * of_a_warp; first < rows; first += grid_threads() / kWarp * of_a_warp) {
      const bool exists = first + own < rows;
      work(exists ? first + own : rows - 1, exists);
    }
  }
};

// The largest of a row of z, and the sum of e^(z - top) over all classes but `hit` (-1: none), in every lane of the group.
struct RowSums {
  float top, others;
};

__device__ __forceinline__ RowSums row_sums(const Group& group, const float* z, int64_t classes, int64_t hit) {
  float top = -INFINITY, others = 0;
  for (int64_t c = group.lane_in(); c < classes; c += group.lanes) top = fmaxf(top, z[c]);
  top = group.largest(top);
  for (int64_t c = group.lane_in(); c < classes; c += group.lanes)
    if (c != hit) others += expf(z[c] - top);
  return {top, group.sum(others)};
}

// With s the sum over the other classes and e = e^(z_y - top): l = log((s + e) / e) and dz_y = -slope s / (s + e), so nothing cancels
// if the model is sure and right. Otherwise e may underflow, so l is computed from logarithms.
__global__ void multiclass_loss_kernel(LossRows shared, int64_t classes, RowPointer logits, RowPointer dlogits) {
  begin_kernel();
  const Group group(classes);
  double loss = 0;
  group.each(shared.rows, [&](int64_t r, bool exists) {
    const LossRow row = loss_row(shared, r);
    const float* z = logits.data + r * logits.stride;
    const bool known = row.label >= 0 && row.label < static_cast<float>(classes) && row.label == truncf(row.label);
    const int64_t hit = known ? static_cast<int64_t>(row.label) : -1;
    const RowSums sums = row_sums(group, z, classes, hit);
    const float at_hit = known ? z[hit] : 0, e = known ? expf(at_hit - sums.top) : 0, all = sums.others + e;
    if (group.lane_in() == 0 && exists && row.weight != 0) {
      const double l = e > 0.5f ? static_cast<double>(log1pf(sums.others / e))
                                : static_cast<double>(sums.top) - static_cast<double>(at_hit) + static_cast<double>(logf(all));
      loss += static_cast<double>(row.weight) * l;
    }
    if (dlogits.data == nullptr || !exists) return;
    float* dz = dlogits.data + r * dlogits.stride;
    for (int64_t c = group.lane_in(); c < classes; c += group.lanes) {
      const float p = c == hit ? -sums.others / all : expf(z[c] - sums.top) / all;
      dz[c] = row.weight != 0 ? row.slope * p : 0.0f;
    }
  });
  put_partial(shared, loss);
}

// y[n, 1] = sigmoid(logit + offset). One thread per row, 8 bytes.
__global__ void binary_predict_kernel(int64_t rows, RowPointer logit, RowPointer y, float offset) {
  begin_kernel();
  for (int64_t r = grid_thread(); r < rows; r += grid_threads()) y.data[r * y.stride] = 1 / (1 + expf(-(logit.data[r * logit.stride] + offset)));
}

// y[n, classes] = softmax(logits). One group of lanes per row; 4 classes bytes in and out.
__global__ void multiclass_predict_kernel(int64_t rows, int64_t classes, RowPointer logits, RowPointer y) {
  begin_kernel();
  const Group group(classes);
  group.each(rows, [&](int64_t r, bool exists) {
    const float* z = logits.data + r * logits.stride;
    const RowSums sums = row_sums(group, z, classes, -1);
    for (int64_t c = group.lane_in(); exists && c < classes; c += group.lanes) y.data[r * y.stride + c] = expf(z[c] - sums.top) / sums.others;
  });
}

struct MulticlassLoss final : LossOp {
  mg_view logits, dlogits;

  explicit MulticlassLoss(const mg_multiclass_loss& op) : LossOp({op, Group(op.logits.width).lanes}), logits(op.logits), dlogits(op.dlogits) {}
  void launch(const Context& context) const override {
    launch_loss(context, multiclass_loss_kernel, logits.width, context.at(logits), context.at(dlogits));
  }
};

struct Predict : Op {
  mg_view logits, y;

  Predict(const mg_view& from, const mg_view& to) : logits(from), y(to) {}
};

struct BinaryPredict final : Predict {
  float offset;

  explicit BinaryPredict(const mg_binary_predict& op) : Predict(op.logit, op.y), offset(static_cast<float>(op.offset)) {}
  void launch(const Context& context) const override {
    context.stream.launch(binary_predict_kernel, RowLanes(context.rows, 1).grid(), RowLanes::kThreads, 0, context.rows, context.at(logits),
                          context.at(y), offset);
  }
};

struct MulticlassPredict final : Predict {
  using Predict::Predict;

  void launch(const Context& context) const override {
    context.stream.launch(multiclass_predict_kernel, RowLanes(context.rows, logits.width).grid(), RowLanes::kThreads, 0, context.rows, logits.width,
                          context.at(logits), context.at(y));
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_binary_loss& op) {
  add_simple_loss(builder, op, op.gamma > 0 ? focal_loss_kernel : binary_loss_kernel, op.logit, op.dlogit, op.gamma);
}
void compile_op(PlanBuilder& builder, const mg_regression_loss& op) {
  add_simple_loss(builder, op, op.kind == MG_SQUARED ? squared_loss_kernel : regression_loss_kernel, op.prediction, op.dprediction, op.parameter,
                  op.kind);
}
void compile_op(PlanBuilder& builder, const mg_multiclass_loss& op) { builder.add(std::make_unique<MulticlassLoss>(op)); }
void compile_op(PlanBuilder& builder, const mg_binary_predict& op) { builder.add(std::make_unique<BinaryPredict>(op)); }
void compile_op(PlanBuilder& builder, const mg_multiclass_predict& op) { builder.add(std::make_unique<MulticlassPredict>(op.logits, op.y)); }

}  // namespace mg_cuda
