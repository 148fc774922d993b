// Dense layers: z = x W + bias, y = activation(z), and back.
// Forward: x [n, depth], y = [n, out], z = [n, out] or null; all may have any start and stride. A block computes a tile [64 rows, 32, 64 or 128
// columns] of y over the whole depth and applies bias and activation to the sums. It stores z only if wanted. Per row it reads
// 4 depth bytes, again for each 128 columns (mostly from the L2 cache), and writes 4 out (8 with z), for 2 depth out operations.
// Backward: computes dz = dy f' once, [n, columns] in scratch (12 out bytes a row, 8 without y for linear layers, which use dy itself if
// it has no padding). Then come the products of gradients.h, which gives their order of sums.
#include <algorithm>

#include "cuda/ops/activation.h"
#include "cuda/ops/block_product.h"
#include "cuda/ops/gradients.h"
#include "cuda/ops/narrow.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;

// The first `left` numbers of a quad. aligned: 16 bytes may move at a time.
__device__ __forceinline__ void store_quad(float* to, const Quad& quad, int left, bool aligned) {
  if (aligned && left >= 4) {
    *reinterpret_cast<Quad*>(to) = quad;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < left) to[i] = quad.column[i];
}

// w: packed. Tiles advance along y's columns first, so that concurrent blocks share x.
template <Precision kPrecision, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    dense_forward_kernel(int64_t rows, int depth, RowPointer x, const float* w, int w_columns, RowPointer z, RowPointer y, int out, int activation) {
  constexpr int kQuads = Tile::kColumns / 4;
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
  // Through shared memory, so that the activation code is emitted once.
  block_barrier();
  auto* const quads = reinterpret_cast<Quad*>(shared);
  const auto thread = static_cast<int>(threadIdx.x);
  if (Tile::part(thread) == 0) sums.each(thread, [&](int r, int c, const Quad& quad) { quads[r * kQuads + c / 4] = quad; });
  block_barrier();
  const int first = thread / kQuads, c = thread % kQuads * 4;
  if (c >= tile_columns) return;
  const Quad bias = *reinterpret_cast<const Quad*>(w + static_cast<int64_t>(depth) * w_columns + column + c);
  float *const to_y = y.data + row * y.stride + column + c, *const to_z = z.data == nullptr ? nullptr : z.data + row * z.stride + column + c;
  const bool aligned_y = moves_quads(to_y, y.stride), aligned_z = moves_quads(to_z, z.stride);
#pragma unroll 1
  for (int r = first; r < tile_rows; r += Tile::kThreads / kQuads) {
    Quad value = quads[r * kQuads + c / 4];
    add_quad(value, bias);
    if (to_z != nullptr) store_quad(to_z + r * z.stride, value, tile_columns - c, aligned_z);
#pragma unroll
    for (int k = 0; k < 4; k++) value.column[k] = activate(activation, value.column[k]);
    store_quad(to_y + r * y.stride, value, tile_columns - c, aligned_y);
  }
}

// dz[n, columns] = dy[n, out] f', zeros in the other columns; four columns per thread. source: y, or z if the slope needs it; unused
// for linear layers.
__global__ void __launch_bounds__(kThreads)
    dense_slope_kernel(int64_t rows, int64_t out, int64_t quads, RowPointer dy, RowPointer source, Quad* dz, int activation) {
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
  // Padding counts as rounded, so that all columns have one precision.
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
      const auto launch = [&](auto type) {
        using Of = typename decltype(type)::Is;
        const int64_t blocks = blocks_of(context.rows, Of::kRows) * blocks_of(y.width, Of::kColumns);
        context.stream.launch(dense_forward_kernel<decltype(precision)::value, Of>, {static_cast<unsigned>(blocks)}, Of::kThreads,
                              tile_shared_bytes<Of, Lines::kDepth, Lines::kAcross>(), context.rows, static_cast<int>(w.depth), context.at(x),
                              context.packed(w), static_cast<int>(w.columns), context.at(z), context.at(y), static_cast<int>(y.width),
                              static_cast<int>(activation));
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

struct DenseBackward final : Op {
  const Weights* weights;
  GradientPlace gradient;
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
      context.stream.launch(dense_slope_kernel, {static_cast<unsigned>(blocks)}, kThreads, 0, context.rows, dy.width, quads, dz, context.at(source),
                            context.scratch<Quad>(), static_cast<int>(activation));
      dz = {context.scratch<float>(), w.columns};
    }
    launch_weight_gradient(context, w, gradient, 0, 0, context.rows, context.at(x), {dz});
    if (dx.buffer >= 0) launch_input_gradient(context, w, context.rows, {dz}, context.at(dx), dx.width, accumulate);
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
  compiled->gradient = builder.need_gradient(weights, op.gradients);
  compiled->weights = &weights;
  compiled->x = op.x, compiled->source = slope_needs_z(op.activation) ? op.z : op.y, compiled->dy = op.dy, compiled->dx = op.dx;
  compiled->activation = op.activation, compiled->accumulate = op.accumulate != 0;
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
