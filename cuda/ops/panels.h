// Weights in the order that the lanes of a warp need, and the rows to multiply them with in registers.
//
// A panel is 8 columns over the whole depth. A block of it is one load of 16 bytes per lane: two steps of the matrix instruction, which
// are 16 of the depth, or 32 as pairs of bfloat16. Lane 4 g + t has numbers 4 t to 4 t + 3 of each 16 of column g. The assignment of depth
// to lanes is free as long as rows use the same one; here the four numbers are also one load of 16 bytes from a row. Blocks are consecutive
// along the depth, with zeros beyond its end; then come the biases of the 8 columns, always float32. Weights are rounded when they are
// packed; rows when they are copied to shared memory (tf32) or loaded (bfloat16). float32 is split when it is multiplied (product.h).
#pragma once
#include "cuda/ops/product.h"

namespace mg_cuda {

inline constexpr int kPanel = 8;          // columns
inline constexpr int kBlockFloats = 128;  // 16 bytes per lane

__host__ __device__ constexpr int block_depth(Precision precision) { return precision == Precision::kBfloat16 ? 32 : 16; }
__host__ __device__ constexpr int64_t panel_floats(Precision precision, int64_t depth) {
  return (depth + block_depth(precision) - 1) / block_depth(precision) * kBlockFloats + kPanel;
}

// Numbers (float or bfloat16) of a panel before that of row k.
__host__ __device__ constexpr int64_t place_in_panel(Precision precision, int64_t k, int column) {
  const int depth = block_depth(precision), in_block = static_cast<int>(k % depth);
  return (k / depth * kWarp + 4 * column + in_block % 16 / 4) * (depth / 4) + in_block / 16 * 4 + in_block % 4;
}

// Panels for warpgroup instructions (device/warpgroup.h), bfloat16: 8 columns over the whole depth, a multiple of 32, as consecutive cores with zeros
// beyond the end of the depth, then the biases in float32. Of each 16 of the depth, numbers 4 t and 4 t + 1 are at a lane's first word, 4 t + 2 and
// 4 t + 3 at its second: so rows load as above. For logits each operand is a sum of three bfloat16, 24 bits, in separate panels.
inline constexpr int kLogitParts = 3;
__host__ __device__ constexpr int64_t cores_of(int64_t depth) { return (depth + 31) / 32 * 4; }
__host__ __device__ constexpr int64_t core_panel_floats(int64_t depth) { return cores_of(depth) * 32 + kPanel; }
// bfloat16 numbers of a panel before that of row k.
__host__ __device__ constexpr int64_t place_in_cores(int64_t k, int column) {
  const int in_step = static_cast<int>(k % 16), second = in_step % 4 / 2;
  return (k / 16 * 2 + second) * 64 + column * 8 + in_step / 4 * 2 + in_step % 2;
}

// A lane's part of a block, and of 16 rows with a block's depth: the words of two steps.
struct alignas(16) PanelBlock {
  uint32_t step[2][2];
};
struct RowBlock {
  uint32_t step[2][4];
};

// Loads from 16 rows of float32, already rounded for tf32. `stride`: between rows, a multiple of 4. x: the block's place in the first row.
template <Precision kPrecision>
__device__ __forceinline__ void load_rows(RowBlock& to, const float* x, int stride) {
  const float* const at = x + lane() / 4 * stride + lane() % 4 * 4;
#pragma unroll
  for (int half = 0; half < 2; half++) {  // rows g and g + 8
#pragma unroll
    for (int part = 0; part < block_depth(kPrecision) / 16; part++) {
      const auto x4 = *reinterpret_cast<const Quad*>(at + 8 * half * stride + 16 * part);
      if constexpr (kPrecision == Precision::kBfloat16) {
        to.step[part][half] = to_bf16_pair(x4.column[0], x4.column[1]);
        to.step[part][half + 2] = to_bf16_pair(x4.column[2], x4.column[3]);
      } else {
#pragma unroll
        for (int i = 0; i < 4; i++) to.step[i / 2][half + i % 2 * 2] = bits_of_float(x4.column[i]);
      }
    }
  }
}

// Words of rows or of a panel as a fragment. Splits float32 as if all numbers were finite: the softmax of infinite logits is NaN in any case.
template <Precision kPrecision, int kWords>
__device__ __forceinline__ Fragment<kPrecision, kWords> fragment_of(const uint32_t (&words)[kWords]) {
  Fragment<kPrecision, kWords> f{};
#pragma unroll
  for (int i = 0; i < kWords; i++) {
    if constexpr (kPrecision == Precision::kFloat32) {
      split_finite_tf32(float_of_bits(words[i]), f.high[i], f.low[i]);
    } else {
      f.high[i] = words[i];
    }
  }
  return f;
}

}  // namespace mg_cuda
