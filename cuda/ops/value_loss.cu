// Losses and predictions of values: numbers with a link, zero-inflated lognormals, ordered buckets, and the order of two probabilities.
//
//   ziln         the binary loss of y > 0, and there that of a lognormal
//   ordinal      the mean of the binary losses of label > i
//   order        l = factor max(0, sigmoid(z_0) - sigmoid(z_1))
// One thread per row, in double: such heads are few beside the products that lead to them. The formulas are in abi/ops.h; slope, the sum of
// l: see loss_rows.h. Bytes per row: those of the logits in, and of the gradient or the prediction out.
#include <cmath>
#include <memory>

#include "cuda/ops/lanes.h"
#include "cuda/ops/row_list.h"
#include "cuda/ops/simple_loss.h"

namespace mg_cuda {
namespace {

__device__ __forceinline__ double deviation(float raw) { return softplus_of(static_cast<double>(raw)) + 1.0 / 1024; }

// z, dz [n, 3].
__global__ void ziln_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  constexpr double kHalfLogOfTwoPi = 0.91893853320467274178;
  const SimpleRows& own = losses.items[blockIdx.y];
  double loss = 0;
  for (int64_t r = grid_thread(); r < own.shared.rows; r += grid_threads()) {
    const LossRow row = loss_row(own.shared, r);
    const float* z = own.z.data + r * own.z.stride;
    double slopes[3] = {0, 0, 0};
    if (row.weight != 0) {
      const double y = static_cast<double>(row.label), a = static_cast<double>(z[0]);
      const bool buys = y > 0;
      slopes[0] = buys ? -sigmoid_of(-a) : sigmoid_of(a);
      double l = softplus_of(buys ? -a : a);
      if (buys) {
        const double sigma = deviation(z[2]), far = (log(y) - static_cast<double>(z[1])) / sigma;
        l += log(y) + log(sigma) + kHalfLogOfTwoPi + far * far / 2;
        slopes[1] = -far / sigma;
        slopes[2] = (1 - far * far) / sigma * sigmoid_of(static_cast<double>(z[2]));
      }
      loss += static_cast<double>(row.weight) * l;
    }
    if (own.dz.data == nullptr) continue;
    float* dz = own.dz.data + r * own.dz.stride;
    for (int c = 0; c < 3; c++) dz[c] = row.weight != 0 ? static_cast<float>(static_cast<double>(row.slope) * slopes[c]) : 0.0f;
  }
  put_partial(own.shared, loss);
}

// z, dz [n, kind]: the number of logits is the kind.
__global__ void ordinal_loss_kernel(Some<SimpleRows> losses) {
  begin_kernel();
  const SimpleRows& own = losses.items[blockIdx.y];
  const double each = 1 / static_cast<double>(own.kind);
  double loss = 0;
  for (int64_t r = grid_thread(); r < own.shared.rows; r += grid_threads()) {
    const LossRow row = loss_row(own.shared, r);
    double l = 0;
    for (int64_t i = 0; i < own.kind; i++) {
      const bool counts = row.weight != 0;
      const double sign = row.label > static_cast<float>(i) ? -1 : 1;
      const double z = counts ? sign * static_cast<double>(own.z.data[r * own.z.stride + i]) : 0;
      if (counts) l += softplus_of(z);
      if (own.dz.data != nullptr)
        own.dz.data[r * own.dz.stride + i] = counts ? static_cast<float>(static_cast<double>(row.slope) * each * sign * sigmoid_of(z)) : 0.0f;
    }
    loss += static_cast<double>(row.weight) * l * each;
  }
  put_partial(own.shared, loss);
}

__global__ void order_loss_kernel(LossRows shared, RowList logits, RowList dlogits, double factor) {
  begin_kernel();
  double loss = 0;
  for (int64_t r = grid_thread(); r < shared.rows; r += grid_threads()) {
    const LossRow row = loss_row(shared, r);
    const double z0 = static_cast<double>(*logits[0].at(r)), z1 = static_cast<double>(*logits[1].at(r));
    const bool counts = row.weight != 0 && z0 > z1;
    // The difference of the smaller ends: nothing cancels where both are near 1.
    const double excess = z1 > 0 ? sigmoid_of(-z1) - sigmoid_of(-z0) : sigmoid_of(z0) - sigmoid_of(z1);
    if (counts) loss += static_cast<double>(row.weight) * factor * excess;
    if (dlogits.count == 0) continue;
    const double slope = static_cast<double>(row.slope) * factor;
    const auto put = [&](const ListedRows& to, double value) {
      float* dz = to.at(r);
      const float own = counts ? static_cast<float>(value) : 0.0f;
      *dz = to.accumulate ? *dz + own : own;
    };
    put(dlogits[0], slope * sigmoid_of(z0) * sigmoid_of(-z0));
    put(dlogits[1], -slope * sigmoid_of(z1) * sigmoid_of(-z1));
  }
  put_partial(shared, loss);
}

__global__ void regression_predict_kernel(int64_t rows, RowPointer z, RowPointer y, int64_t link, double scale, double offset) {
  begin_kernel();
  for (int64_t r = grid_thread(); r < rows; r += grid_threads()) {
    const double t = offset + scale * static_cast<double>(z.data[r * z.stride]), bounded = fmin(t, 88.0);
    y.data[r * y.stride] = static_cast<float>(link == MG_LINK_EXP ? exp(bounded) : link == MG_LINK_EXPM1 ? expm1(bounded) : t);
  }
}

__global__ void ziln_predict_kernel(int64_t rows, RowPointer logits, RowPointer y) {
  begin_kernel();
  for (int64_t r = grid_thread(); r < rows; r += grid_threads()) {
    const float* z = logits.data + r * logits.stride;
    const double sigma = deviation(z[2]);
    y.data[r * y.stride] = static_cast<float>(sigmoid_of(static_cast<double>(z[0])) * exp(fmin(static_cast<double>(z[1]) + sigma * sigma / 2, 88.0)));
  }
}

// The most that a program may have (validate.cc): 2 KiB of launch arguments.
struct Widths {
  double items[255];
};

__global__ void ordinal_predict_kernel(int64_t rows, int64_t count, RowPointer z, RowPointer y, double offset, Widths widths) {
  begin_kernel();
  for (int64_t r = grid_thread(); r < rows; r += grid_threads()) {
    double sum = offset;
    for (int64_t i = 0; i < count; i++) sum += widths.items[i] * sigmoid_of(static_cast<double>(z.data[r * z.stride + i]));
    y.data[r * y.stride] = static_cast<float>(sum);
  }
}

struct OrderLoss final : LossOp {
  RowViews logits, dlogits;
  double factor;

  explicit OrderLoss(const mg_order_loss& op) : LossOp({op, 1}), logits(op.logits, {}), dlogits(op.dlogits, op.accumulate), factor(op.factor) {}
  void launch(const Context& context) const override { launch_loss(context, order_loss_kernel, logits.at(context), dlogits.at(context), factor); }
};

struct RegressionPredict final : Op {
  mg_regression_predict op;

  explicit RegressionPredict(const mg_regression_predict& fields) : op(fields) {}
  void launch(const Context& context) const override {
    context.stream.launch(regression_predict_kernel, RowLanes(context.rows, 1).grid(), RowLanes::kThreads, 0, context.rows, context.at(op.prediction),
                          context.at(op.y), op.link, op.scale, op.offset);
  }
};

struct ZilnPredict final : Op {
  mg_ziln_predict op;

  explicit ZilnPredict(const mg_ziln_predict& fields) : op(fields) {}
  void launch(const Context& context) const override {
    context.stream.launch(ziln_predict_kernel, RowLanes(context.rows, 1).grid(), RowLanes::kThreads, 0, context.rows, context.at(op.logits),
                          context.at(op.y));
  }
};

struct OrdinalPredict final : Op {
  mg_view logits, y;
  double offset;
  Widths widths{};

  explicit OrdinalPredict(const mg_ordinal_predict& op) : logits(op.logits), y(op.y), offset(op.offset) {
    for (uint32_t i = 0; i < op.steps.count; i++) widths.items[i] = op.unit * static_cast<double>(op.steps.items[i]);
  }
  void launch(const Context& context) const override {
    context.stream.launch(ordinal_predict_kernel, RowLanes(context.rows, 1).grid(), RowLanes::kThreads, 0, context.rows, logits.width,
                          context.at(logits), context.at(y), offset, widths);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_ziln_loss& op) { add_simple_loss(builder, op, ziln_loss_kernel, op.logits, op.dlogits); }
void compile_op(PlanBuilder& builder, const mg_ordinal_loss& op) {
  add_simple_loss(builder, op, ordinal_loss_kernel, op.logits, op.dlogits, 0, op.logits.width);
}
void compile_op(PlanBuilder& builder, const mg_order_loss& op) { builder.add(std::make_unique<OrderLoss>(op)); }
void compile_op(PlanBuilder& builder, const mg_regression_predict& op) { builder.add(std::make_unique<RegressionPredict>(op)); }
void compile_op(PlanBuilder& builder, const mg_ziln_predict& op) { builder.add(std::make_unique<ZilnPredict>(op)); }
void compile_op(PlanBuilder& builder, const mg_ordinal_predict& op) { builder.add(std::make_unique<OrdinalPredict>(op)); }

}  // namespace mg_cuda
