// Weights in the order in which the lanes of a warp need them, and the rows that they are multiplied with in registers.
//
// A panel is 8 columns over the whole depth. A block of it is what one load of 16 bytes per lane brings: two steps of the matrix
// instruction, 16 of the depth, or 32 as pairs of bfloat16. Lane 4 g + t has, of column g, numbers 4 t to 4 t + 3 of each 16. Which lane
// has which number of the depth is free as long as rows are read alike: those four are also one load of 16 bytes from a row. Blocks follow
// each other along the depth, zeros beyond its end, then come the biases of the 8 columns, float32 always. Weights are rounded when they
// are packed, rows when they come to shared memory (tf32) or are loaded (bfloat16); float32 is split where it is multiplied (product.h).
#pragma once
#include "cuda/ops/product.h"

namespace mg_cuda {

inline constexpr int kPanel = 8;          // columns
inline constexpr int kBlockFloats = 128;  // 16 bytes of each lane

__host__ __device__ constexpr int block_depth(Precision precision) { return precision == Precision::kBfloat16 ? 32 : 16; }
__host__ __device__ constexpr int64_t panel_floats(Precision precision, int64_t depth) {
  return (depth + block_depth(precision) - 1) / block_depth(precision) * kBlockFloats + kPanel;
}

// Numbers (float, or bfloat16) of a panel in front of that of row k.
__host__ __device__ constexpr int64_t place_in_panel(Precision precision, int64_t k, int column) {
  const int depth = block_depth(precision), in_block = static_cast<int>(k % depth);
  return (k / depth * kWarp + 4 * column + in_block % 16 / 4) * (depth / 4) + in_block / 16 * 4 + in_block % 4;
}

// Panels for the instructions of a warpgroup (device/warpgroup.h), bfloat16: 8 columns over the whole depth, a multiple of 32, as cores that follow
// each other, zeros beyond its end, then the biases in float32. Of each 16 of the depth numbers 4 t and 4 t + 1 stand where a lane's first word is, 4
// t + 2 and 4 t + 3 where its second one is: rows are loaded as above. Logits have each operand as a sum of three bfloat16, 24 bits, in panels of
// their own.
inline constexpr int kLogitParts = 3;
__host__ __device__ constexpr int64_t cores_of(int64_t depth) { return (depth + 31) / 32 * 4; }
__host__ __device__ constexpr int64_t core_panel_floats(int64_t depth) { return cores_of(depth) * 32 + kPanel; }
// bfloat16 numbers of a panel in front of that of row k.
__host__ __device__ constexpr int64_t place_in_cores(int64_t k, int column) {
  const int in_step = static_cast<int>(k % 16), second = in_step % 4 / 2;
  return (k / 16 * 2 + second) * 64 + column * 8 + in_step / 4 * 2 + in_step % 2;
}

// A lane's part of a block, and of 16 rows as deep as a block: words of two steps.
struct alignas(16) PanelBlock {
  uint32_t step[2][2];
};
struct RowBlock {
  uint32_t step[2][4];
};

// From 16 rows of float32, rounded already for tf32, `stride` apart, a multiple of 4; x: the block's place in the first one.
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

// Words of rows or of a panel as a fragment; those of float32 are split here.
template <Precision kPrecision, int kWords>
__device__ __forceinline__ Fragment<kPrecision, kWords> fragment_of(const uint32_t (&words)[kWords]) {
  Fragment<kPrecision, kWords> f{};
#pragma unroll
  for (int i = 0; i < kWords; i++) {
    if constexpr (kPrecision == Precision::kFloat32) {
      split_tf32(float_of_bits(words[i]), f.high[i], f.low[i]);
    } else {
      f.high[i] = words[i];
    }
  }
  return f;
}

}  // namespace mg_cuda
