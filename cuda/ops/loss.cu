// Losses with their gradients, and predictions from logits. All stay accurate for |z| of thousands.
//
//   binary       l = max(z, 0) - z y + log1p(e^-|z|), dz = slope (sigmoid(z) - y)
//   squared      l = (z - y)^2, dz = slope 2 (z - y)
//   multiclass   l = logsumexp(z) - z_y, dz = slope (softmax(z) - onehot(y))
// (the product of sigmoids: product_loss.cu). slope = task_weight w m / D; see loss_rows.h for w, m, D and the order of the sum.
// z, dz [n, 1], or [n, classes]; dz may be null, and is =. binary, squared: one thread per row, 12 to 16 bytes per row. multiclass: a group of
// lanes per row, which passes over the row twice (a third time for dz): 4 classes bytes read and 4 classes written.
#include <array>
#include <cmath>
#include <memory>

#include "cuda/ops/joined.h"
#include "cuda/ops/lanes.h"
#include "cuda/ops/loss_rows.h"

namespace mg_cuda {
namespace {

// A loss with one logit per row.
struct SimpleRows {
  LossRows shared;
  RowPointer z, dz;
};

// One grid row per loss.
__global__ void binary_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  const auto& [shared, logit, dlogit] = losses.items[blockIdx.y];
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

// One grid row per loss.
__global__ void squared_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  const auto& [shared, prediction, dprediction] = losses.items[blockIdx.y];
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

// y[n, 1] = sigmoid(logit). One thread per row, 8 bytes.
__global__ void binary_predict_kernel(int64_t rows, RowPointer logit, RowPointer y) {
  begin_kernel();
  for (int64_t r = grid_thread(); r < rows; r += grid_threads()) y.data[r * y.stride] = 1 / (1 + expf(-logit.data[r * logit.stride]));
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

struct SimpleLoss : LossFields {
  void (*kernel)(Some<SimpleRows>);
  mg_view z, dz;

  template <class Fields>
  SimpleLoss(const Fields& op, void (*run)(Some<SimpleRows>), const mg_view& from, const mg_view& to)
      : LossFields(op, 1), kernel(run), z(from), dz(to) {}

  std::array<mg_view, 1> reads() const { return {z}; }
  std::array<mg_view, 1> writes() const { return {dz}; }
  bool joins(const SimpleLoss& other) const { return kernel == other.kernel; }

  static void launch(const Context& context, const std::vector<SimpleLoss>& losses) {
    const auto blocks = static_cast<unsigned>(losses[0].blocks(context.rows));
    for_some(
        losses,
        [&](const SimpleLoss& loss) {
          return SimpleRows{loss.rows(context), context.at(loss.z), context.at(loss.dz)};
        },
        [&](const Some<SimpleRows>& some, unsigned count) {
          context.stream.launch(losses[0].kernel, {blocks, count}, LossRows::kThreads, kSharedBytes, some);
        });
  }
};

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
  using Predict::Predict;

  void launch(const Context& context) const override {
    context.stream.launch(binary_predict_kernel, RowLanes(context.rows, 1).grid(), RowLanes::kThreads, 0, context.rows, context.at(logits),
                          context.at(y));
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
  builder.add(std::make_unique<Joined<SimpleLoss>>(SimpleLoss(op, binary_loss_kernel, op.logit, op.dlogit)));
}
void compile_op(PlanBuilder& builder, const mg_squared_loss& op) {
  builder.add(std::make_unique<Joined<SimpleLoss>>(SimpleLoss(op, squared_loss_kernel, op.prediction, op.dprediction)));
}
void compile_op(PlanBuilder& builder, const mg_multiclass_loss& op) { builder.add(std::make_unique<MulticlassLoss>(op)); }
void compile_op(PlanBuilder& builder, const mg_binary_predict& op) { builder.add(std::make_unique<BinaryPredict>(op.logit, op.y)); }
void compile_op(PlanBuilder& builder, const mg_multiclass_predict& op) { builder.add(std::make_unique<MulticlassPredict>(op.logits, op.y)); }

}  // namespace mg_cuda
