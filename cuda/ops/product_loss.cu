// The binary loss of a probability that is a product of sigmoids (ESMM), and the product itself.
//
//   p = the product of sigmoid(z_i), t = -log p = sum of softplus(-z_i)
//   l = y t - (1 - y) log(1 - p), dz_i = slope sigmoid(-z_i) (-y + (1 - y) p / (1 - p))
// If every z_i is above kSure, t is e^-m sum e^(m - z_i) with m the smallest z_i. Then log(1 - p) = log t and p / (1 - p) = 1 / t are computed
// without the factor e^-m, which may underflow. slope, the sum of l: see loss_rows.h.
// logits [n, 1] each, any number; dlogits [n, 1] each or none, = or, if the list says so, +=. One thread per row, in double: a model
// has one such loss, and it must not cancel. 4 k bytes in and out per row, the logits three times from the cache.
#include <cmath>
#include <memory>

#include "cuda/ops/lanes.h"
#include "cuda/ops/loss_rows.h"
#include "cuda/ops/row_list.h"

namespace mg_cuda {
namespace {

constexpr double kSure = 40;  // e^-40 is below the rounding error of a double: above it softplus(-z) is e^-z

__global__ void product_loss_kernel(LossRows shared, RowList logits, RowList dlogits) {
  begin_kernel();
  double loss = 0;
  for (int64_t r = grid_thread(); r < shared.rows; r += grid_threads()) {
    const LossRow row = loss_row(shared, r);
    const bool counts = row.weight != 0;
    const double y = static_cast<double>(row.label), slope = static_cast<double>(row.slope);
    const auto logit = [&](int i) { return static_cast<double>(*logits[i].at(r)); };
    double t = 0, lowest = HUGE_VAL, shifted = 0;
    for (int i = 0; counts && i < logits.count; i++) {
      const double z = logit(i);
      t += (z < 0 ? -z : 0) + log1p(exp(-fabs(z)));
      lowest = z < lowest ? z : lowest;
    }
    const bool sure = counts && lowest > kSure;
    for (int i = 0; sure && i < logits.count; i++) shifted += exp(lowest - logit(i));
    if (counts) {
      const double log_rest = sure ? log(shifted) - lowest : t > 0.7 ? log1p(-exp(-t)) : log(-expm1(-t));
      loss += static_cast<double>(row.weight) * (y * t - (y == 1 ? 0 : (1 - y) * log_rest));
    }
    const double odds = 1 / expm1(t);
    for (int i = 0; i < dlogits.count; i++) {
      float value = 0;
      if (counts) {
        const double z = logit(i), below = 1 / (1 + exp(z)), rest = sure ? exp(lowest - z) / shifted : below * odds;
        value = static_cast<float>(slope * (-y * below + (1 - y) * rest));
      }
      float* dz = dlogits[i].at(r);
      *dz = dlogits[i].accumulate ? *dz + value : value;
    }
  }
  put_partial(shared, loss);
}

// y[n, 1] = the product of sigmoid(logits_i), first to last.
__global__ void product_predict_kernel(int64_t rows, RowList logits, RowPointer y) {
  begin_kernel();
  for (int64_t r = grid_thread(); r < rows; r += grid_threads()) {
    float product = 1;
    for (int i = 0; i < logits.count; i++) product *= 1 / (1 + expf(-*logits[i].at(r)));
    y.data[r * y.stride] = product;
  }
}

struct ProductLoss final : LossOp {
  RowViews logits, dlogits;

  explicit ProductLoss(const mg_product_loss& op) : LossOp({op, 1}), logits(op.logits, {}), dlogits(op.dlogits, op.accumulate) {}
  void launch(const Context& context) const override { launch_loss(context, product_loss_kernel, logits.at(context), dlogits.at(context)); }
};

struct ProductPredict final : Op {
  RowViews logits;
  mg_view y;

  explicit ProductPredict(const mg_product_predict& op) : logits(op.logits, {}), y(op.y) {}
  void launch(const Context& context) const override {
    context.stream.launch(product_predict_kernel, RowLanes(context.rows, 1).grid(), RowLanes::kThreads, 0, context.rows, logits.at(context),
                          context.at(y));
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_product_loss& op) { builder.add(std::make_unique<ProductLoss>(op)); }
void compile_op(PlanBuilder& builder, const mg_product_predict& op) { builder.add(std::make_unique<ProductPredict>(op)); }

}  // namespace mg_cuda
