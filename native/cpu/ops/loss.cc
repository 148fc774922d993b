// Losses with gradient, and predictions from logits: views to pointers, then the kernels.
#include <new>

#include "cpu/plan.h"

namespace mg {
namespace {

// What all losses share.
struct LossOp : RowsOp {
  Rows label, weight, z, dz;
  int64_t denominator, loss, task_weight;  // scalars; task_weight -1: there is no gradient
  int64_t kind = 0;
  double parameter = 0;
  void (*Kernels::*kernel)(const Loss*) = nullptr;

  // Runs `kernel` on its arguments for the block and adds its loss.
  template <class Kernel>
  void with_arguments(const Block& block, Kernel run_kernel) const {
    const double rows = block.run.scalars_in[denominator];
    const double scale = rows != 0 ? 1.0 / rows : 0.0;
    const double of_task = task_weight < 0 ? 0.0 : block.run.scalars_in[task_weight];
    double sum = 0;
    const Loss arguments{block.rows, z.width, block.at(label), block.at(weight), block.at(z), block.at(dz), static_cast<float>(of_task * scale),
                         &sum,       kind,    parameter};
    run_kernel(arguments);
    block.losses[loss] += sum * scale;
  }

  void run(const Block& block) const override {
    with_arguments(block, [&](const Loss& arguments) { (block.plan.kernels->*kernel)(&arguments); });
  }

  template <class Op>
  void take(PlanBuilder& builder, const Op& op) {
    label = builder.rows(op.label);
    weight = builder.rows(op.weight);
    denominator = op.denominator;
    loss = op.loss;
    task_weight = op.task_weight;
  }
};

template <class Op>
void add_loss(PlanBuilder& builder, const Op& op, const mg_view& z, const mg_view& dz, void (*Kernels::*kernel)(const Loss*), double parameter = 0,
              int64_t kind = 0) {
  auto compiled = std::make_unique<LossOp>();
  compiled->take(builder, op);
  compiled->z = builder.rows(z);
  compiled->dz = builder.rows(dz);
  compiled->kernel = kernel;
  compiled->parameter = parameter;
  compiled->kind = kind;
  builder.add(std::move(compiled));
}

// A list's views as pointers, in the thread's fixed scratch so that a step allocates nothing.
struct RowPointers {
  std::vector<Rows> views;
  int64_t scratch = 0;

  void take(PlanBuilder& builder, const mg_views& list) {
    for (uint32_t i = 0; i < list.count; i++) views.push_back(builder.rows(list.items[i]));
    scratch = builder.fixed(static_cast<int64_t>(list.count * sizeof(RowPointer) / sizeof(float)));
  }
  int64_t count() const { return static_cast<int64_t>(views.size()); }
  const RowPointer* at(const Block& block) const {
    if (views.empty()) return nullptr;
    auto* pointers = new (block.fixed(scratch)) RowPointer[views.size()];
    for (size_t i = 0; i < views.size(); i++) pointers[i] = block.at(views[i]);
    return pointers;
  }
};

struct ProductLossOp final : LossOp {
  RowPointers logits, dlogits;
  std::vector<int64_t> accumulate;
  void (*Kernels::*of_several)(const ProductLoss*) = nullptr;

  void run(const Block& block) const override {
    with_arguments(block, [&](const Loss& shared) {
      const ProductLoss arguments{shared, logits.count(), logits.at(block), dlogits.at(block), accumulate.data()};
      (block.plan.kernels->*of_several)(&arguments);
    });
  }
};

template <class Op>
void add_loss_of_several(PlanBuilder& builder, const Op& op, void (*Kernels::*kernel)(const ProductLoss*), double parameter = 0) {
  auto compiled = std::make_unique<ProductLossOp>();
  compiled->take(builder, op);
  compiled->logits.take(builder, op.logits);
  compiled->dlogits.take(builder, op.dlogits);
  compiled->accumulate.assign(op.accumulate.items, op.accumulate.items + op.accumulate.count);
  compiled->of_several = kernel;
  compiled->parameter = parameter;
  builder.add(std::move(compiled));
}

// y from logits, by any kernel.
struct PredictOp final : RowsOp {
  Rows logits, y;
  void (*Kernels::*kernel)(const Predict*) = nullptr;
  int64_t link = 0;
  double scale = 1, offset = 0;
  std::vector<double> widths;

  void run(const Block& block) const override {
    const Predict arguments{block.rows, logits.width, block.at(logits), block.at(y), link, scale, offset, widths.data()};
    (block.plan.kernels->*kernel)(&arguments);
  }
};

PredictOp& add_predict(PlanBuilder& builder, const mg_view& logits, const mg_view& y, void (*Kernels::*kernel)(const Predict*)) {
  auto compiled = std::make_unique<PredictOp>();
  compiled->logits = builder.rows(logits);
  compiled->y = builder.rows(y);
  compiled->kernel = kernel;
  PredictOp& added = *compiled;
  builder.add(std::move(compiled));
  return added;
}

struct ProductPredictOp final : RowsOp {
  RowPointers logits;
  Rows y;

  void run(const Block& block) const override { block.plan.kernels->product_predict(block.rows, logits.count(), logits.at(block), block.at(y)); }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_binary_loss& op) { add_loss(builder, op, op.logit, op.dlogit, &Kernels::binary_loss, op.gamma); }

void compile_op(PlanBuilder& builder, const mg_regression_loss& op) {
  add_loss(builder, op, op.prediction, op.dprediction, &Kernels::regression_loss, op.parameter, op.kind);
}

void compile_op(PlanBuilder& builder, const mg_ziln_loss& op) { add_loss(builder, op, op.logits, op.dlogits, &Kernels::ziln_loss); }

void compile_op(PlanBuilder& builder, const mg_ordinal_loss& op) { add_loss(builder, op, op.logits, op.dlogits, &Kernels::ordinal_loss); }

void compile_op(PlanBuilder& builder, const mg_multiclass_loss& op) { add_loss(builder, op, op.logits, op.dlogits, &Kernels::multiclass_loss); }

void compile_op(PlanBuilder& builder, const mg_product_loss& op) { add_loss_of_several(builder, op, &Kernels::product_loss); }

void compile_op(PlanBuilder& builder, const mg_order_loss& op) { add_loss_of_several(builder, op, &Kernels::order_loss, op.factor); }

void compile_op(PlanBuilder& builder, const mg_binary_predict& op) {
  add_predict(builder, op.logit, op.y, &Kernels::binary_predict).offset = op.offset;
}

void compile_op(PlanBuilder& builder, const mg_regression_predict& op) {
  PredictOp& added = add_predict(builder, op.prediction, op.y, &Kernels::regression_predict);
  added.link = op.link, added.scale = op.scale, added.offset = op.offset;
}

void compile_op(PlanBuilder& builder, const mg_ziln_predict& op) { add_predict(builder, op.logits, op.y, &Kernels::ziln_predict); }

void compile_op(PlanBuilder& builder, const mg_ordinal_predict& op) {
  PredictOp& added = add_predict(builder, op.logits, op.y, &Kernels::ordinal_predict);
  added.offset = op.offset;
  for (uint32_t i = 0; i < op.steps.count; i++) added.widths.push_back(op.unit * static_cast<double>(op.steps.items[i]));
}

void compile_op(PlanBuilder& builder, const mg_multiclass_predict& op) { add_predict(builder, op.logits, op.y, &Kernels::multiclass_predict); }

void compile_op(PlanBuilder& builder, const mg_product_predict& op) {
  auto compiled = std::make_unique<ProductPredictOp>();
  compiled->logits.take(builder, op.logits);
  compiled->y = builder.rows(op.y);
  builder.add(std::move(compiled));
}

}  // namespace mg
