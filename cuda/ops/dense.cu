// Dense layers: z = x W + bias, y = activation(z), and back.
// Forward: x [n, depth], y = [n, out], z = [n, out] or null; all may start and be strided anyhow. A block makes a tile [64 rows, 32 or 64
// columns] of y over the whole depth; bias and activation are applied to the sums, z is not in memory unless asked for. Per row it
// reads 4 depth bytes, again for each 64 columns (from the L2 cache mostly), and writes 4 out (8 with z), for 2 depth out operations.
// Backward: dz = dy f' is made once, [n, columns] in scratch (12 out bytes a row, 8 without y for linear layers, which use dy itself where
// it has no padding), then the products of gradients.h, which say how they sum.
#include <algorithm>

#include "cuda/ops/activation.h"
#include "cuda/ops/block_product.h"
#include "cuda/ops/gradients.h"
#include "cuda/ops/narrow.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;

// w: packed. Tiles follow each other along y's columns first: blocks that run together share x.
template <Precision kPrecision, int kColumns>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    dense_forward_kernel(int64_t rows, int64_t depth, RowPointer x, const float* w, int64_t w_columns, RowPointer z, RowPointer y, int64_t out,
                         int activation) {
  float* shared = shared_memory<float>();
  const int64_t tiles = (out + kColumns - 1) / kColumns;
  const int64_t row = blockIdx.x / tiles * kTileRows, column = blockIdx.x % tiles * kColumns;
  const int tile_rows = least(rows - row, kTileRows), tile_columns = least(out - column, kColumns);
  const auto inputs = static_cast<int>(depth);
  TileSums<kColumns> sums;
  add_tile_product<kPrecision, Lines::kDepth, Lines::kAcross, kColumns>(sums, {x.data + row * x.stride, x.stride, tile_rows, inputs},
                                                                        {w + column, w_columns, inputs, least(w_columns - column, kColumns)},
                                                                        inputs, shared);
  const float* bias = w + depth * w_columns + column;
  float *to_y = y.data + row * y.stride + column, *to_z = z.data == nullptr ? nullptr : z.data + row * z.stride + column;
  each_sum<kColumns>(sums, shared, tile_rows, tile_columns, [&](int r, int c, float sum) {
    const float value = sum + bias[c];
    if (to_z != nullptr) to_z[r * z.stride + c] = value;
    to_y[r * y.stride + c] = activate(activation, value);
  });
}

// dz[n, columns] = dy[n, out] f', zeros in the other columns; four columns per thread. source: y, or z where the slope needs it; unused
// for linear layers.
__global__ void __launch_bounds__(kThreads) dense_slope_kernel(int64_t rows, int64_t out, int64_t quads, RowPointer dy, RowPointer source, Quad* dz,
                                                               int activation) {
  for (int64_t i = grid_thread(); i < rows * quads; i += grid_threads()) {
    const int64_t row = i / quads, column = i % quads * 4;
    const float *from = dy.data + row * dy.stride + column, *from_source = source.data + row * source.stride + column;
    const int left = least(out - column, 4);
    Quad quad{};
#pragma unroll
    for (int c = 0; c < 4; c++)
      if (c < left) quad.column[c] = activation == MG_LINEAR ? from[c] : from[c] * slope(activation, from_source[c]);
    dz[i] = quad;
  }
}

Weights& dense_weights(PlanBuilder& builder, const mg_view& x, const mg_view& kernel, const mg_view& bias, int64_t out) {
  // Padding counts as rounded: one precision for all columns.
  return builder.weights(x.width, out, {{0, out, kernel.offset, out, bias.buffer < 0 ? -1 : bias.offset}}, padded(out));
}

struct DenseForward final : Op {
  const Weights* weights;
  mg_view x, z, y;
  int64_t activation;

  void launch(const Context& context) const override {
    const Weights& w = *weights;
    if (is_narrow(w)) return launch_narrow_forward(context, w, context.at(x), context.at(z), context.at(y), y.width, activation);
    with_precision(context.plan.precision, [&](auto precision) {
      constexpr Precision kPrecision = decltype(precision)::value;
      const auto launch = [&](auto kernel, int columns, size_t shared_bytes) {
        const int64_t blocks = blocks_of(context.rows, kTileRows) * blocks_of(y.width, columns);
        context.stream.launch(kernel, {static_cast<unsigned>(blocks)}, kTileThreads, shared_bytes, context.rows, w.depth, context.at(x),
                              context.packed(w), w.columns, context.at(z), context.at(y), y.width, static_cast<int>(activation));
      };
      if (y.width <= 32)
        launch(dense_forward_kernel<kPrecision, 32>, 32, tile_shared_bytes<kPrecision, Lines::kDepth, Lines::kAcross, 32>());
      else
        launch(dense_forward_kernel<kPrecision, 64>, 64, tile_shared_bytes<kPrecision, Lines::kDepth, Lines::kAcross, 64>());
    });
  }
};

struct DenseBackward final : Op {
  const Weights* weights;
  mg_view x, source, dy, dx;
  int64_t activation;
  bool accumulate;

  bool uses_dy() const { return activation == MG_LINEAR && dy.width == weights->columns; }

  size_t scratch_bytes(const Plan&, int64_t rows) const override {
    return uses_dy() ? 0 : static_cast<size_t>(rows * weights->columns) * sizeof(float);
  }

  void launch(const Context& context) const override {
    const Weights& w = *weights;
    RowPointer dz = context.at(dy);
    if (!uses_dy()) {
      const int64_t quads = w.columns / 4, blocks = std::min<int64_t>(blocks_of(context.rows * quads, kThreads), 65536);
      context.stream.launch(dense_slope_kernel, {static_cast<unsigned>(blocks)}, kThreads, 0, context.rows, dy.width, quads, dz,
                            context.at(source), context.scratch<Quad>(), static_cast<int>(activation));
      dz = {context.scratch<float>(), w.columns};
    }
    launch_weight_gradient(context, w, 0, context.rows, context.at(x), dz);
    if (dx.buffer >= 0) launch_input_gradient(context, w, context.rows, dz, context.at(dx), dx.width, accumulate);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_dense_forward& op) {
  auto compiled = std::make_unique<DenseForward>();
  compiled->weights = &dense_weights(builder, op.x, op.kernel, op.bias, op.y.width);
  compiled->x = op.x, compiled->z = op.z, compiled->y = op.y;
  compiled->activation = op.activation;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_dense_backward& op) {
  auto compiled = std::make_unique<DenseBackward>();
  Weights& weights = dense_weights(builder, op.x, op.kernel, op.bias, op.dy.width);
  builder.need_gradient(weights);
  compiled->weights = &weights;
  compiled->x = op.x, compiled->source = slope_needs_z(op.activation) ? op.z : op.y, compiled->dy = op.dy, compiled->dx = op.dx;
  compiled->activation = op.activation, compiled->accumulate = op.accumulate != 0;
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
