// Losses with gradient, and predictions from logits: views to pointers, then the kernels.
#include <new>

#include "cpu/plan.h"

namespace mg {
namespace {

// What all losses share.
struct LossOp : RowsOp {
  Rows label, weight, z, dz;
  int64_t denominator, loss, task_weight;  // scalars; task_weight -1: there is no gradient
  void (*Kernels::*kernel)(const Loss*) = nullptr;

  // Runs `kernel` on its arguments for the block and adds its loss.
  template <class Kernel>
  void with_arguments(const Block& block, Kernel run_kernel) const {
    const double rows = block.run.scalars_in[denominator];
    const double scale = rows != 0 ? 1.0 / rows : 0.0;
    const double of_task = task_weight < 0 ? 0.0 : block.run.scalars_in[task_weight];
    double sum = 0;
    const Loss arguments{block.rows, z.width, block.at(label), block.at(weight), block.at(z), block.at(dz), static_cast<float>(of_task * scale),
                         &sum};
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
void add_loss(PlanBuilder& builder, const Op& op, const mg_view& z, const mg_view& dz, void (*Kernels::*kernel)(const Loss*)) {
  auto compiled = std::make_unique<LossOp>();
  compiled->take(builder, op);
  compiled->z = builder.rows(z);
  compiled->dz = builder.rows(dz);
  compiled->kernel = kernel;
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

  void run(const Block& block) const override {
    with_arguments(block, [&](const Loss& shared) {
      const ProductLoss arguments{shared, logits.count(), logits.at(block), dlogits.at(block), accumulate.data()};
      block.plan.kernels->product_loss(&arguments);
    });
  }
};

// y from logits, by any kernel.
template <class Call>
struct PredictOp final : RowsOp {
  Rows logits, y;
  Call call;

  PredictOp(PlanBuilder& builder, const mg_view& from, const mg_view& to, Call run_kernel)
      : logits(builder.rows(from)), y(builder.rows(to)), call(run_kernel) {}
  void run(const Block& block) const override { call(*block.plan.kernels, block.rows, logits.width, block.at(logits), block.at(y)); }
};

struct ProductPredictOp final : RowsOp {
  RowPointers logits;
  Rows y;

  void run(const Block& block) const override { block.plan.kernels->product_predict(block.rows, logits.count(), logits.at(block), block.at(y)); }
};

template <class Call>
void add_predict(PlanBuilder& builder, const mg_view& logits, const mg_view& y, Call call) {
  builder.add(std::make_unique<PredictOp<Call>>(builder, logits, y, call));
}

}  // namespace

void compile_op(PlanBuilder& builder, const mg_binary_loss& op) { add_loss(builder, op, op.logit, op.dlogit, &Kernels::binary_loss); }

void compile_op(PlanBuilder& builder, const mg_squared_loss& op) { add_loss(builder, op, op.prediction, op.dprediction, &Kernels::squared_loss); }

void compile_op(PlanBuilder& builder, const mg_multiclass_loss& op) { add_loss(builder, op, op.logits, op.dlogits, &Kernels::multiclass_loss); }

void compile_op(PlanBuilder& builder, const mg_product_loss& op) {
  auto compiled = std::make_unique<ProductLossOp>();
  compiled->take(builder, op);
  compiled->logits.take(builder, op.logits);
  compiled->dlogits.take(builder, op.dlogits);
  compiled->accumulate.assign(op.accumulate.items, op.accumulate.items + op.accumulate.count);
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_binary_predict& op) {
  add_predict(builder, op.logit, op.y,
              [](const Kernels& kernels, int64_t rows, int64_t, RowPointer logit, RowPointer y) { kernels.binary_predict(rows, logit, y); });
}

void compile_op(PlanBuilder& builder, const mg_multiclass_predict& op) {
  add_predict(builder, op.logits, op.y, [](const Kernels& kernels, int64_t rows, int64_t classes, RowPointer logits, RowPointer y) {
    kernels.multiclass_predict(rows, classes, logits, y);
  });
}

void compile_op(PlanBuilder& builder, const mg_product_predict& op) {
  auto compiled = std::make_unique<ProductPredictOp>();
  compiled->logits.take(builder, op.logits);
  compiled->y = builder.rows(op.y);
  builder.add(std::move(compiled));
}

}  // namespace mg
