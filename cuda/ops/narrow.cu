// See narrow.h. W [depth + 1, 4] packed; its last row is the bias.
// Forward and input gradient: one warp per row, lanes along the depth. Forward reads 4 D bytes a row and writes 4 to 32; the input gradient
// reads 16 and writes 4 D; 8 D operations each. In forward a lane adds every 32nd product, then lanes are added.
// Weight gradient: one block per split and 32 of the depth, one lane per number of x. Each of 8 warps adds every 8th row of the
// split, then the warps' sums are added in order. Reads 4 D + 16 D / 32 bytes a row, 8 D operations; a split's [depth + 1, 4] once
// (=, +=).
#include "cuda/ops/narrow.h"

#include "cuda/ops/activation.h"
#include "cuda/ops/gradients.h"
#include "cuda/ops/product.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kColumns = 4;

__device__ __forceinline__ float to_bf16(float value) { return float_of_bits(to_bf16_pair(0, value) & 0xFFFF0000u); }

// sums[c] += a * b.column[c], operands of the first `rounded` columns rounded to bfloat16.
__device__ __forceinline__ void add_products(Quad& sums, float a, const Quad& b, int rounded) {
#pragma unroll
  for (int c = 0; c < kColumns; c++) {
    const bool rounds = c < rounded;
    sums.column[c] = fused(rounds ? to_bf16(a) : a, rounds ? to_bf16(b.column[c]) : b.column[c], sums.column[c]);
  }
}

__device__ __forceinline__ int64_t row_of_warp() { return static_cast<int64_t>(blockIdx.x) * kWarps + warp(); }

__global__ void __launch_bounds__(kThreads) narrow_forward_kernel(int64_t rows, int64_t depth, const Quad* w, int rounded, RowPointer x, RowPointer z,
                                                                  RowPointer y, int columns, int activation) {
  const int64_t row = row_of_warp();
  if (row >= rows) return;  // true for the whole warp
  const float* from = x.data + row * x.stride;
  Quad sums{};
  for (int64_t k = lane(); k < depth; k += kWarp) add_products(sums, from[k], w[k], rounded);
  float mine = 0;
#pragma unroll
  for (int c = 0; c < kColumns; c++) {
    const float sum = warp_sum(sums.column[c]) + w[depth].column[c];
    if (lane() == c) mine = sum;
  }
  if (lane() >= columns) return;
  if (z.data != nullptr) z.data[row * z.stride + lane()] = mine;
  y.data[row * y.stride + lane()] = activate(activation, mine);
}

__device__ __forceinline__ Quad load_quad(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }  // aligned to 4 bytes only

__global__ void __launch_bounds__(kThreads)
    narrow_input_gradient_kernel(int64_t rows, const Quad* w, int rounded, RowPointer dz, RowPointer dx, int64_t dx_columns, bool accumulate) {
  const int64_t row = row_of_warp();
  if (row >= rows) return;
  const Quad from = load_quad(dz.data + row * dz.stride);
  float* to = dx.data + row * dx.stride;
  for (int64_t k = lane(); k < dx_columns; k += kWarp) {
    float sum = accumulate ? to[k] : 0;
    const Quad weights = w[k];
#pragma unroll
    for (int c = 0; c < kColumns; c++) {
      const bool rounds = c < rounded;
      sum = fused(rounds ? to_bf16(from.column[c]) : from.column[c], rounds ? to_bf16(weights.column[c]) : weights.column[c], sum);
    }
    to[k] = sum;
  }
}

// Shared memory: [kWarps, kWarp + 1] Quads; a warp's last one is its bias sum.
__global__ void __launch_bounds__(kThreads) narrow_weight_gradient_kernel(Splits splits, RowPointer x, RowPointer dz, int64_t depth, int rounded) {
  Quad* shared = shared_memory<Quad>();
  const int64_t k = static_cast<int64_t>(blockIdx.x) * kWarp + lane();
  splits.for_each_unit(blockIdx.y, [&](int64_t first, int64_t rows, bool adds) {
    Quad sums{}, bias{};
#pragma unroll 4
    for (int64_t row = first + warp(); row < first + rows; row += kWarps) {
      const Quad from = load_quad(dz.data + row * dz.stride);
      add_products(sums, k < depth ? x.data[row * x.stride + k] : 0, from, rounded);
#pragma unroll
      for (int c = 0; c < kColumns; c++) bias.column[c] += from.column[c];
    }
    block_barrier();  // the unit before has no more use for the shared memory
    shared[warp() * (kWarp + 1) + lane()] = sums;
    if (lane() == 0) shared[warp() * (kWarp + 1) + kWarp] = bias;
    block_barrier();
    // Thread i: the sum of place i, from 0 to kWarp.
    const int place = static_cast<int>(threadIdx.x);
    const int64_t to = place < kWarp ? k : depth;
    if (place > kWarp || (place < kWarp && k >= depth) || (place == kWarp && blockIdx.x > 0)) return;
    Quad* const at = reinterpret_cast<Quad*>(splits.matrix(blockIdx.y)) + to;
    Quad sum{};
    for (int i = 0; i < kWarps; i++) {
      const Quad part = shared[i * (kWarp + 1) + place];
#pragma unroll
      for (int c = 0; c < kColumns; c++) sum.column[c] += part.column[c];
    }
    if (adds)
#pragma unroll
      for (int c = 0; c < kColumns; c++) sum.column[c] += at->column[c];
    *at = sum;
  });
}

const Quad* packed(const Context& context, const Weights& w) { return reinterpret_cast<const Quad*>(context.packed(w)); }
int rounded_columns(const Context& context, const Weights& w) {
  return context.plan.precision == Precision::kBfloat16 ? static_cast<int>(w.rounded) : 0;
}
Grid rows_grid(int64_t rows) { return {static_cast<unsigned>(blocks_of(rows, kWarps))}; }

}  // namespace

void launch_narrow_forward(const Context& context, const Weights& w, RowPointer x, RowPointer z, RowPointer y, int64_t columns, int64_t activation) {
  context.stream.launch(narrow_forward_kernel, rows_grid(context.rows), kThreads, 0, context.rows, w.depth, packed(context, w),
                        rounded_columns(context, w), x, z, y, static_cast<int>(columns), static_cast<int>(activation));
}

void launch_narrow_input_gradient(const Context& context, const Weights& w, int64_t rows, RowPointer dz, RowPointer dx, int64_t dx_columns,
                                  bool accumulate) {
  context.stream.launch(narrow_input_gradient_kernel, rows_grid(rows), kThreads, 0, rows, packed(context, w), rounded_columns(context, w), dz, dx,
                        dx_columns, accumulate);
}

int64_t narrow_gradient_threads(const Weights& w) { return blocks_of(w.depth, kWarp) * kThreads; }

void launch_narrow_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row,
                                   int64_t rows, RowPointer x, RowPointer dz) {
  const Splits splits = splits_of(context, w, gradient, unit, first_row, rows);
  context.stream.launch(narrow_weight_gradient_kernel, {static_cast<unsigned>(blocks_of(w.depth, kWarp)), static_cast<unsigned>(splits.count)},
                        kThreads, sizeof(Quad) * kWarps * (kWarp + 1), splits, x, dz, w.depth, rounded_columns(context, w));
}

}  // namespace mg_cuda
