// Dense layers and column copies: views to pointers, then the kernels.
#include "cpu/plan.h"

namespace mg {
namespace {

PlanWeights& dense_weights(PlanBuilder& builder, const mg_view& x, const mg_view& kernel, const mg_view& bias, int64_t out) {
  return builder.weights(x.width, out, {{0, out, kernel.offset, out, bias.buffer < 0 ? -1 : bias.offset}}, out);
}

struct CopyColumns final : RowsOp {
  Rows x, y;

  void run(const Block& block) const override {
    const RowPointer from = block.at(x), to = block.at(y);
    block.plan.kernels->copy_columns(block.rows, x.width, from.data, from.stride, to.data, to.stride);
  }
};

struct DenseForwardOp final : RowsOp {
  Rows x, y, z, narrowed_x;
  const PlanWeights* weights;
  int64_t activation;

  void run(const Block& block) const override {
    const RowPointer px = block.at(x), py = block.at(y), pz = block.at(z);
    const DenseForward arguments{block.rows,        px.data,   px.stride, {block.at(narrowed_x).data, nullptr},
                                 &weights->weights, y.width,   py.data,   py.stride,
                                 pz.data,           pz.stride, activation};
    block.plan.kernels->dense_forward(&arguments);
  }
};

struct DenseBackwardOp final : RowsOp {
  Rows x, y, z, dy, dx, dz, narrowed_x, narrowed_dz;
  const PlanWeights* weights;
  GradientPlace gradient;
  int64_t activation;
  bool accumulate;

  void run(const Block& block) const override {
    const RowPointer px = block.at(x), py = block.at(y), pz = block.at(z), pdy = block.at(dy), pdx = block.at(dx);
    DenseBackward arguments{};
    arguments.rows = block.rows;
    arguments.x = px.data, arguments.x_row = px.stride;
    arguments.narrowed = {block.at(narrowed_x).data, block.at(narrowed_dz).data};
    arguments.weights = &weights->weights;
    arguments.gradient = block.gradient(gradient);
    arguments.out = dy.width;
    arguments.y = py.data, arguments.y_row = py.stride;
    arguments.z = pz.data, arguments.z_row = pz.stride;
    arguments.dy = pdy.data, arguments.dy_row = pdy.stride;
    const RowPointer pdz = block.at(dz);
    arguments.dz = pdz.data, arguments.dz_row = pdz.stride;
    arguments.dx = pdx.data, arguments.dx_row = pdx.stride, arguments.dx_columns = dx.width;
    arguments.accumulate = accumulate;
    arguments.activation = activation;
    block.plan.kernels->dense_backward(&arguments);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_copy_columns& op) {
  auto compiled = std::make_unique<CopyColumns>();
  compiled->x = builder.rows(op.x);
  compiled->y = builder.rows(op.y);
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_dense_forward& op) {
  auto compiled = std::make_unique<DenseForwardOp>();
  PlanWeights& weights = dense_weights(builder, op.x, op.kernel, op.bias, op.y.width);
  weights.forward = true;
  if (weights.weights.rounded > 0) compiled->narrowed_x = builder.scratch(op.x.width);
  compiled->x = builder.rows(op.x);
  compiled->y = builder.rows(op.y);
  compiled->z = builder.rows(op.z);
  compiled->weights = &weights;
  compiled->activation = op.activation;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_dense_backward& op) {
  auto compiled = std::make_unique<DenseBackwardOp>();
  PlanWeights& weights = dense_weights(builder, op.x, op.kernel, op.bias, op.dy.width);
  compiled->gradient = builder.need_gradient(weights, op.gradients);
  if (op.dx.buffer >= 0) weights.backward = true;
  compiled->x = builder.rows(op.x);
  compiled->y = builder.rows(op.y);
  compiled->z = builder.rows(op.z);
  compiled->dy = builder.rows(op.dy);
  compiled->dx = builder.rows(op.dx);
  const int64_t columns = weights.weights.columns, rounded = weights.weights.rounded, depth = padded(op.x.width);
  compiled->dz = builder.scratch(columns);
  if (rounded > 0) {
    compiled->narrowed_x = builder.scratch(depth, columns);
    compiled->narrowed_dz = builder.scratch(2 * rounded, columns + depth);
  }
  compiled->weights = &weights;
  compiled->activation = op.activation;
  compiled->accumulate = op.accumulate != 0;
  builder.add(std::move(compiled));
}

}  // namespace mg
