// The binary head: loss with gradient, and the prediction.
#include "cpu/plan.h"

namespace mg {
namespace {

struct BinaryLossOp final : RowsOp {
  Rows logit, label, weight, dlogit;
  int64_t denominator, loss;
  double task_weight;

  void run(const Block& block) const override {
    const double rows = block.run.scalars_in[denominator];
    const double scale = rows != 0 ? 1.0 / rows : 0.0;
    const RowPointer z = block.at(logit), y = block.at(label), w = block.at(weight), dz = block.at(dlogit);
    double sum = 0;
    const BinaryLoss arguments{block.rows, z.data,  y.data,    w.data, z.stride, y.stride, w.stride,
                               dz.data,    dz.stride, static_cast<float>(task_weight * scale), &sum};
    block.plan.kernels->binary_loss(&arguments);
    block.losses[loss] += sum * scale;
  }
};

struct BinaryPredictOp final : RowsOp {
  Rows logit, y;

  void run(const Block& block) const override {
    const RowPointer from = block.at(logit), to = block.at(y);
    block.plan.kernels->binary_predict(block.rows, from.data, from.stride, to.data, to.stride);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_binary_loss& op) {
  auto compiled = std::make_unique<BinaryLossOp>();
  compiled->logit = builder.rows(op.logit);
  compiled->label = builder.rows(op.label);
  compiled->weight = builder.rows(op.weight);
  compiled->dlogit = builder.rows(op.dlogit);
  compiled->denominator = op.denominator;
  compiled->loss = op.loss;
  compiled->task_weight = op.task_weight;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_binary_predict& op) {
  auto compiled = std::make_unique<BinaryPredictOp>();
  compiled->logit = builder.rows(op.logit);
  compiled->y = builder.rows(op.y);
  builder.add(std::move(compiled));
}

}  // namespace mg
