// Dense layers: z = x W + bias, y = activation(z), and back.
// Forward: x [n, depth], y = [n, out], z = [n, out] or null; all may have any start and stride. A block computes a tile [64 rows, 32, 64 or 128
// columns] of y over the whole depth and applies bias and activation to the sums. It stores z only if wanted. Per row it reads
// 4 depth bytes, again for each 128 columns (mostly from the L2 cache), and writes 4 out (8 with z), for 2 depth out operations.
// The dropout of y may follow in the same launch (pointwise.h).
// Backward: dz = dy f', in the place of dy if nothing reads that later, otherwise in scratch; 12 out bytes a row, none for linear layers. Then come
// the products of gradients.h, which gives their order of sums.
// Layers with at most 4 columns: narrow.h.
#include <array>

#include "cuda/ops/block_product.h"
#include "cuda/ops/gradients.h"
#include "cuda/ops/narrow.h"
#include "cuda/ops/pointwise.h"

namespace mg_cuda {
namespace {

// w: packed. Tiles advance along y's columns first, so that concurrent blocks share x.
template <Precision kPrecision, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    dense_forward_kernel(int64_t rows, int depth, RowPointer x, const float* w, int w_columns, RowPointer z, RowPointer y, int out, int activation,
                         PointwiseRows dropped) {
  begin_kernel();
  const unsigned tiles = static_cast<unsigned>(out + Tile::kColumns - 1) / Tile::kColumns;
  const int64_t row = static_cast<int64_t>(blockIdx.x / tiles) * Tile::kRows;
  const int column = static_cast<int>(blockIdx.x % tiles) * Tile::kColumns;
  const int tile_rows = least(rows - row, Tile::kRows), tile_columns = least(out - column, Tile::kColumns);
  float* shared = shared_memory<float>();
  TileSums<Tile> sums;
  add_tile_product<Tile, kPrecision, Lines::kDepth, Lines::kAcross>(
      sums, GlobalTile<>{x.data + row * x.stride, x.stride, tile_rows, depth},
      GlobalTile<>{w + column, w_columns, depth, least(w_columns - column, Tile::kColumns)}, depth, depth, shared);
  sums.join(shared);
  const Counters counters = dropped.counters();
  sums.spread(shared, tile_rows, tile_columns, [&](int c, int left, const auto& each_row) {
    const Quad bias = *reinterpret_cast<const Quad*>(w + static_cast<int64_t>(depth) * w_columns + column + c);
    float *const to_y = y.data + row * y.stride + column + c, *const to_z = z.data == nullptr ? nullptr : z.data + row * z.stride + column + c;
    const bool aligned_y = moves_quads(to_y, y.stride), aligned_z = moves_quads(to_z, z.stride);
    each_row([&](int r, Quad value) {
      add_quad(value, bias);
      if (to_z != nullptr) store_quad(to_z + r * z.stride, value, left, aligned_z);
#pragma unroll
      for (int k = 0; k < 4; k++) value.column[k] = activate(activation, value.column[k]);
      if (dropped.y.data == nullptr || dropped.keeps_x) store_quad(to_y + r * y.stride, value, left, aligned_y);
      if (dropped.y.data != nullptr) dropped.store(dropped.halves(counters, row + r, column + c), row + r, column + c, value, left);
    });
  });
}

Weights& dense_weights(PlanBuilder& builder, const mg_view& x, const mg_view& kernel, const mg_view& bias, int64_t out) {
  // Padding counts as rounded, so that all columns have one precision.
  return builder.weights(x.width, out, {{0, out, kernel.offset, out, bias.buffer < 0 ? -1 : bias.offset}}, padded(out));
}

struct DenseForward final : Op {
  const Weights* weights;
  mg_view x, z, y;
  int64_t activation;
  Epilogue epilogue;

  bool fuse(const Pointwise& next) override { return epilogue.fuse(y, next, std::array{x, z}); }

  void launch(const Context& context) const override {
    const Weights& w = *weights;
    with_precision(context.plan.precision, [&](auto precision) {
      const auto launch = [&](auto type) {
        using Of = typename decltype(type)::Is;
        const int64_t blocks = blocks_of(context.rows, Of::kRows) * blocks_of(y.width, Of::kColumns);
        context.stream.launch(dense_forward_kernel<decltype(precision)::value, Of>, {static_cast<unsigned>(blocks)}, Of::kThreads,
                              tile_shared_bytes<Of, Lines::kDepth, Lines::kAcross>(), context.rows, static_cast<int>(w.depth), context.at(x),
                              context.packed(w), static_cast<int>(w.columns), context.at(z), context.at(y), static_cast<int>(y.width),
                              static_cast<int>(activation), epilogue.rows(context));
      };
      if (y.width <= 32)
        launch(Type<Tile<2, 2, 1, 2>>{});
      else if (y.width <= 64)
        launch(Type<Tile<2, 2, 2>>{});
      else
        launch(Type<Tile<2, 2, 4>>{});
    });
  }
};

// dy is dz already if the layer is linear, or if nothing else reads dy, so that the slope was multiplied in its place.
struct DenseBackward final : Op {
  const Weights* weights;
  GradientPlace gradient;
  mg_view x, dy, dx;
  Pointwise slope;  // from dy to scratch; linear: not needed
  bool accumulate;
  Epilogue epilogue;

  bool fuse(const Pointwise& next) override { return dx.buffer >= 0 && epilogue.fuse(dx, next, std::array{x, dy, slope.source}); }

  bool uses_dy() const { return slope.activation == MG_LINEAR; }
  int64_t stride() const { return padded(dy.width); }

  size_t scratch_bytes(const Plan&, int64_t rows) const override { return uses_dy() ? 0 : static_cast<size_t>(rows * stride()) * sizeof(float); }

  void launch(const Context& context) const override {
    RowPointer dz = context.at(dy);
    if (!uses_dy()) {
      PointwiseRows to_scratch = slope.rows(context);
      to_scratch.y = {context.scratch<float>(), stride()};
      launch_pointwise(context, {{dz, dy.width, to_scratch}});
      dz = to_scratch.y;
    }
    if (gradient.first >= 0) launch_weight_gradient(context, *weights, gradient, 0, 0, context.rows, context.at(x), {dz, static_cast<int>(dy.width)});
    if (dx.buffer >= 0)
      launch_input_gradient(context, *weights, context.rows, {dz, static_cast<int>(dy.width)}, context.at(dx), dx.width, accumulate,
                            epilogue.rows(context));
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_dense_forward& op) {
  const Weights& weights = dense_weights(builder, op.x, op.kernel, op.bias, op.y.width);
  if (is_narrow(weights)) return add_narrow(builder, weights, op);
  auto compiled = std::make_unique<DenseForward>();
  compiled->weights = &weights;
  compiled->x = op.x, compiled->z = op.z, compiled->y = op.y;
  compiled->activation = op.activation;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_dense_backward& op) {
  Weights& weights = dense_weights(builder, op.x, op.kernel, op.bias, op.dy.width);
  const GradientPlace gradient = builder.need_gradient(weights, op.gradients);
  if (is_narrow(weights)) return add_narrow(builder, weights, gradient, op);
  Pointwise slope;
  slope.x = slope.y = op.dy, slope.keeps_x = false;
  slope.activation = op.activation;
  if (op.activation != MG_LINEAR) slope.source = slope_needs_z(op.activation) ? op.z : op.y;
  if (op.activation != MG_LINEAR && builder.is_last_use(op.dy) && !meet(std::array{op.dy}, std::array{op.x, slope.source})) {
    add_pointwise(builder, slope);
    slope = {};
  }
  auto compiled = std::make_unique<DenseBackward>();
  compiled->weights = &weights, compiled->gradient = gradient;
  compiled->x = op.x, compiled->dy = op.dy, compiled->dx = op.dx;
  compiled->slope = slope, compiled->accumulate = op.accumulate != 0;
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
