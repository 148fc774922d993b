// See narrow.h. W [depth + 1, 4] packed; its last row is the bias.
// A launch does several layers, one grid row each.
// Forward: one warp per row, lanes along the depth. Reads 4 D bytes a row and writes 4 to 32; 8 D operations. A lane adds every 32nd product,
// then lanes are added.
// dz = dy f' [n, 1 to 4] is computed where it is read, and never written.
// Input gradient: one thread per row and 8 of the depth, then the epilogue. Reads 4 to 32 bytes a row and writes 4 D; 8 D operations.
// Weight gradient: one block per unit of a split and 32 of the depth, one lane per number of x. Each of 8 warps adds every 8th row of the
// unit, then the warps' sums are added in order. Reads 4 D + 16 D / 32 bytes a row, 8 D operations; a split's [depth + 1, 4] once
// (=, +=).
#include "cuda/ops/narrow.h"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "cuda/ops/activation.h"
#include "cuda/ops/joined.h"
#include "cuda/ops/lanes.h"
#include "cuda/ops/pointwise.h"
#include "cuda/ops/product.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kColumns = 4;
constexpr int kDepthOfAThread = 8;  // of an input gradient

__device__ __forceinline__ float to_bf16(float value) { return float_of_bits(to_bf16_pair(0, value) & 0xFFFF0000u); }

// sums[c] += a * b.column[c], operands of the first `rounded` columns rounded to bfloat16.
__device__ __forceinline__ void add_products(Quad& sums, float a, const Quad& b, int rounded) {
#pragma unroll
  for (int c = 0; c < kColumns; c++) {
    const bool rounds = c < rounded;
    sums.column[c] = fused(rounds ? to_bf16(a) : a, rounds ? to_bf16(b.column[c]) : b.column[c], sums.column[c]);
  }
}

// dz of the first `columns` columns; the others are 0.
struct NarrowDz {
  RowPointer dy, source;
  int32_t columns, activation;

  __device__ __forceinline__ Quad at(int64_t row) const {
    Quad quad = load_quad(dy.data + row * dy.stride, columns, moves_quads(dy.data, dy.stride));
    if (activation == MG_LINEAR) return quad;
    const float* const from = source.data + row * source.stride;
#pragma unroll
    for (int c = 0; c < kColumns; c++)
      if (c < columns) quad.column[c] *= slope(activation, from[c]);
    return quad;
  }
};

struct NarrowRows {
  const Quad* w;
  RowPointer x, z, y;
  int32_t depth, rounded, columns, activation;
};

__global__ void __launch_bounds__(kThreads) narrow_forward_kernel(int64_t rows, Some<NarrowRows> layers) {
  begin_kernel();
  const NarrowRows& own = layers.items[blockIdx.y];
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + warp();
  if (row >= rows) return;  // true for the whole warp
  const float* from = own.x.data + row * own.x.stride;
  Quad sums{};
  for (int k = lane(); k < own.depth; k += kWarp) add_products(sums, from[k], own.w[k], own.rounded);
  float mine = 0;
#pragma unroll
  for (int c = 0; c < kColumns; c++) {
    if (c >= own.columns) break;
    const float sum = warp_sum(sums.column[c]) + own.w[own.depth].column[c];
    if (lane() == c) mine = sum;
  }
  if (lane() >= own.columns) return;
  if (own.z.data != nullptr) own.z.data[row * own.z.stride + lane()] = mine;
  own.y.data[row * own.y.stride + lane()] = activate(own.activation, mine);
}

struct NarrowInput {
  const Quad* w;
  NarrowDz dz;
  RowPointer dx;
  int32_t width, rounded;
  bool accumulate;
  PointwiseRows epilogue;
};

__global__ void __launch_bounds__(RowLanes::kThreads) narrow_input_gradient_kernel(RowLanes lanes, Some<NarrowInput> layers) {
  begin_kernel();
  const NarrowInput& own = layers.items[blockIdx.y];
  const Counters counters = own.epilogue.counters();
  const bool has_epilogue = own.epilogue.y.data != nullptr, aligned = moves_quads(own.dx.data, own.dx.stride);
  lanes.of_width((own.width + kDepthOfAThread - 1) / kDepthOfAThread).each([&](int64_t row, int64_t group) {
    Quad dz = own.dz.at(row);
#pragma unroll
    for (int c = 0; c < kColumns; c++)
      if (c < own.rounded) dz.column[c] = to_bf16(dz.column[c]);
    const int64_t first = kDepthOfAThread * group;
    const Halves halves = own.epilogue.halves(counters, row, first);
#pragma unroll
    for (int quad = 0; quad < kDepthOfAThread; quad += 4) {
      const int64_t k = first + quad;
      const int left = least(own.width - k, 4);
      if (left <= 0) break;
      float* const to = own.dx.data + row * own.dx.stride + k;
      Quad sums = own.accumulate ? load_quad(to, left, aligned) : Quad{};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (i >= left) break;
        const Quad weights = own.w[k + i];
#pragma unroll
        for (int c = 0; c < kColumns; c++)
          sums.column[i] = fused(dz.column[c], c < own.rounded ? to_bf16(weights.column[c]) : weights.column[c], sums.column[i]);
      }
      if (!has_epilogue || own.epilogue.keeps_x) store_quad(to, sums, left, aligned);
      if (has_epilogue) own.epilogue.store(halves, row, k, sums, left);
    }
  });
}

struct NarrowWeights {
  Splits splits;
  RowPointer x;
  NarrowDz dz;
  int32_t depth, rounded;
};

// blockIdx.x: layers, and 32 of the depth of each; blockIdx.y: units. Shared memory: [kWarps, kWarp + 1] Quads; a warp's last one is its bias sum.
__global__ void __launch_bounds__(kThreads) narrow_weight_gradient_kernel(unsigned layer_blocks, Some<NarrowWeights> layers) {
  begin_kernel();
  const NarrowWeights& own = layers.items[blockIdx.x / layer_blocks];
  const unsigned block = blockIdx.x % layer_blocks;
  const int64_t k = static_cast<int64_t>(block) * kWarp + lane(), depth = own.depth;
  if (static_cast<int>(blockIdx.y) >= own.splits.blocks() || (block > 0 && k - lane() >= depth)) return;
  Quad* shared = shared_memory<Quad>();
  const int first = own.splits.row(blockIdx.y), end = first + own.splits.size(blockIdx.y);
  Quad sums{}, bias{};
#pragma unroll 4
  for (int64_t row = first + warp(); row < end; row += kWarps) {
    const Quad from = own.dz.at(row);
    add_products(sums, k < depth ? own.x.data[row * own.x.stride + k] : 0, from, own.rounded);
#pragma unroll
    for (int c = 0; c < kColumns; c++) bias.column[c] += from.column[c];
  }
  shared[warp() * (kWarp + 1) + lane()] = sums;
  if (lane() == 0) shared[warp() * (kWarp + 1) + kWarp] = bias;
  block_barrier();
  // Thread i: the sum of place i, from 0 to kWarp.
  const int place = static_cast<int>(threadIdx.x);
  const int64_t to = place < kWarp ? k : depth;
  if (place > kWarp || (place < kWarp && k >= depth) || (place == kWarp && block > 0)) return;
  Quad* const at = reinterpret_cast<Quad*>(own.splits.matrix(blockIdx.y)) + to;
  Quad sum{};
  for (int i = 0; i < kWarps; i++) {
    const Quad part = shared[i * (kWarp + 1) + place];
#pragma unroll
    for (int c = 0; c < kColumns; c++) sum.column[c] += part.column[c];
  }
  if (own.splits.is_added(blockIdx.y))
#pragma unroll
    for (int c = 0; c < kColumns; c++) sum.column[c] += at->column[c];
  *at = sum;
}

const Quad* packed(const Context& context, const Weights& w) { return reinterpret_cast<const Quad*>(context.packed(w)); }
int32_t rounded_columns(const Context& context, const Weights& w) {
  return context.plan.precision == Precision::kBfloat16 ? static_cast<int32_t>(w.rounded) : 0;
}

void launch_inputs(const Context& context, int64_t rows, const std::vector<NarrowInput>& inputs) {
  int64_t widest = 1;
  for (const NarrowInput& input : inputs) widest = std::max(widest, blocks_of(input.width, kDepthOfAThread));
  const RowLanes lanes(rows, widest);
  for_some(
      inputs, [](const NarrowInput& input) { return input; },
      [&](const Some<NarrowInput>& some, unsigned count) {
        context.stream.launch(narrow_input_gradient_kernel, {lanes.grid().x, count}, RowLanes::kThreads, 0, lanes, some);
      });
}

void launch_weights(const Context& context, const std::vector<NarrowWeights>& layers) {
  int64_t blocks = 1;
  int units = 1;
  for (const NarrowWeights& layer : layers) blocks = std::max(blocks, blocks_of(layer.depth, kWarp)), units = std::max(units, layer.splits.blocks());
  for_some(
      layers, [](const NarrowWeights& layer) { return layer; },
      [&](const Some<NarrowWeights>& some, unsigned count) {
        context.stream.launch(narrow_weight_gradient_kernel, {static_cast<unsigned>(blocks) * count, static_cast<unsigned>(units)}, kThreads,
                              sizeof(Quad) * kWarps * (kWarp + 1), static_cast<unsigned>(blocks), some);
      });
}

NarrowWeights weights_of(const Context& context, const Weights& w, const Splits& splits, RowPointer x, const NarrowDz& dz) {
  return {splits, x, dz, static_cast<int32_t>(w.depth), rounded_columns(context, w)};
}

NarrowDz linear(const Dz& dz) { return {dz.exact, {}, dz.columns, MG_LINEAR}; }

struct NarrowForward : SimpleItem {
  const Weights* weights;
  mg_view x, z, y;
  int64_t activation;

  std::array<mg_view, 1> reads() const { return {x}; }
  std::array<mg_view, 2> writes() const { return {z, y}; }

  static void launch(const Context& context, const std::vector<NarrowForward>& layers) {
    for_some(
        layers,
        [&](const NarrowForward& layer) {
          const Weights& w = *layer.weights;
          return NarrowRows{packed(context, w),
                            context.at(layer.x),
                            context.at(layer.z),
                            context.at(layer.y),
                            static_cast<int32_t>(w.depth),
                            rounded_columns(context, w),
                            static_cast<int32_t>(layer.y.width),
                            static_cast<int32_t>(layer.activation)};
        },
        [&](const Some<NarrowRows>& some, unsigned count) {
          context.stream.launch(narrow_forward_kernel, {static_cast<unsigned>(blocks_of(context.rows, kWarps)), count}, kThreads, 0, context.rows,
                                some);
        });
  }
};

struct NarrowBackward : SimpleItem {
  const Weights* weights;
  GradientPlace gradient;
  mg_view x, dy, dx, source{-1, 0, 0};
  int64_t activation;
  bool accumulate;
  Epilogue epilogue;

  std::array<mg_view, 4> reads() const { return {x, dy, source, epilogue.reads()}; }
  std::array<mg_view, 2> writes() const { return {dx, epilogue.writes()}; }
  // Those that add to the same splits take turns.
  bool joins(const NarrowBackward& other) const { return gradient.first < 0 || gradient.first != other.gradient.first; }
  bool fuse(const Pointwise& next) { return epilogue.fuse(dx, next, std::array{x, dy, source}); }

  NarrowDz dz(const Context& context) const {
    return {context.at(dy), context.at(source), static_cast<int32_t>(dy.width), static_cast<int32_t>(activation)};
  }

  static void launch(const Context& context, const std::vector<NarrowBackward>& layers) {
    std::vector<NarrowWeights> gradients;
    std::vector<NarrowInput> inputs;
    for (const NarrowBackward& layer : layers) {
      const Weights& w = *layer.weights;
      if (layer.gradient.first >= 0) {
        const Splits splits = splits_of(context, w, layer.gradient, 0, 0, context.rows);
        gradients.push_back(weights_of(context, w, splits, context.at(layer.x), layer.dz(context)));
      }
      if (layer.dx.buffer >= 0)
        inputs.push_back({packed(context, w), layer.dz(context), context.at(layer.dx), static_cast<int32_t>(layer.dx.width),
                          rounded_columns(context, w), layer.accumulate, layer.epilogue.rows(context)});
    }
    if (!gradients.empty()) launch_weights(context, gradients);
    if (!inputs.empty()) launch_inputs(context, context.rows, inputs);
  }
};

}  // namespace

void add_narrow(PlanBuilder& builder, const Weights& w, const mg_dense_forward& op) {
  NarrowForward layer;
  layer.weights = &w;
  layer.x = op.x, layer.z = op.z, layer.y = op.y, layer.activation = op.activation;
  builder.add(std::make_unique<Joined<NarrowForward>>(layer));
}

void add_narrow(PlanBuilder& builder, const Weights& w, const GradientPlace& gradient, const mg_dense_backward& op) {
  NarrowBackward layer;
  layer.weights = &w, layer.gradient = gradient;
  layer.x = op.x, layer.dy = op.dy, layer.dx = op.dx, layer.activation = op.activation, layer.accumulate = op.accumulate != 0;
  if (op.activation != MG_LINEAR) layer.source = slope_needs_z(op.activation) ? op.z : op.y;
  builder.add(std::make_unique<Fusing<NarrowBackward>>(layer));
}

void launch_narrow_input_gradient(const Context& context, const Weights& w, int64_t rows, const Dz& dz, RowPointer dx, int64_t dx_columns,
                                  bool accumulate, const PointwiseRows& epilogue) {
  launch_inputs(context, rows,
                {{packed(context, w), linear(dz), dx, static_cast<int32_t>(dx_columns), rounded_columns(context, w), accumulate, epilogue}});
}

int64_t narrow_gradient_threads(const Weights& w) { return blocks_of(w.depth, kWarp) * kThreads; }

void launch_narrow_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row,
                                   int64_t rows, RowPointer x, const Dz& dz) {
  splits_of(context, w, gradient, unit, first_row, rows).each_launch([&](const Splits& launch) {
    launch_weights(context, {weights_of(context, w, launch, x, linear(dz))});
  });
}

}  // namespace mg_cuda
