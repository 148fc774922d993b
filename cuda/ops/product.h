// Products on the matrix instructions, as parts that kernels are put together from: tiles of float32 in shared memory, fragments that
// are made from them in registers, and the steps over the depth.
//
//   c[m, n] += sum over k of a[m, k] b[k, n]
// Precision says what becomes of an operand on its way from shared memory to a fragment; memory holds float32 always:
//   kFloat32   split into hi + lo, both tf32: hi hi + hi lo + lo hi, so that 22 bits of each operand count; sums are float32
//   kTf32      rounded to tf32 (10 bits)
//   kBfloat16  rounded to bfloat16 (7 bits); half as many steps
// A tile lies in shared memory with its depth side by side (kDepth: [m][k] of a, [n][k] of b) or across (kAcross: [k][m], [k][n]), its
// lines stride_of(width) floats apart, so that the lanes of a warp read from 32 different banks.
#pragma once
#include "cuda/device/async_copy.h"
#include "cuda/device/matrix.h"
#include "cuda/plan.h"

namespace mg_cuda {

enum class Lines { kDepth, kAcross };

// Depth of one step; tiles are padded to whole ones with zeros.
template <Precision kPrecision>
inline constexpr int kStep = kPrecision == Precision::kBfloat16 ? 16 : 8;

// kDepth: a lane reads line g, word t: 4 g + t in all banks. With pairs it reads two floats: 8 g + 2 t within half a warp. kAcross: 8 t + g; pairs
// lie in two lines: 2 (4 t) + g. 4 and 8 are also whole 16 bytes.
template <Precision kPrecision, Lines kLines>
__host__ __device__ constexpr int stride_of(int width) {
  const int residue = (kPrecision == Precision::kBfloat16) == (kLines == Lines::kDepth) ? 8 : 4;
  return (width - residue + 31) / 32 * 32 + residue;
}

// Two and four floats that move at once.
struct alignas(8) Pair {
  float first, second;
};
struct alignas(16) Quad {
  float column[4];
};

// Word t' of the depth (see device/matrix.h) at place `outer` across it.
template <Precision kPrecision, Lines kLines>
__device__ __forceinline__ void load_word(const float* tile, int stride, int outer, int word, uint32_t& high, uint32_t& low) {
  if constexpr (kPrecision == Precision::kBfloat16) {
    if constexpr (kLines == Lines::kDepth) {
      const auto pair = *reinterpret_cast<const Pair*>(tile + outer * stride + 2 * word);
      high = to_bf16_pair(pair.first, pair.second);
    } else {
      const float* at = tile + 2 * word * stride + outer;
      high = to_bf16_pair(at[0], at[stride]);
    }
  } else {
    const float value = tile[kLines == Lines::kDepth ? outer * stride + word : word * stride + outer];
    high = to_tf32(value);
    if constexpr (kPrecision == Precision::kFloat32) low = to_tf32(value - float_of_bits(high));
  }
}

// 16 x kStep of a, or kStep x 8 of b.
template <Precision kPrecision, int kWords>
struct Fragment {
  uint32_t high[kWords];
  uint32_t low[kPrecision == Precision::kFloat32 ? kWords : 1];

  // `word`: the first of the step. `outer`: the first row of a, or column of b.
  template <Lines kLines>
  __device__ __forceinline__ void load(const float* tile, int stride, int outer, int word) {
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int i = 0; i < kWords; i++) {
      const int across = kWords == 4 ? outer + g + 8 * (i % 2) : outer + g;
      const int along = word + t + 4 * (kWords == 4 ? i / 2 : i);
      load_word<kPrecision, kLines>(tile, stride, across, along, high[i], low[kPrecision == Precision::kFloat32 ? i : 0]);
    }
  }
};
template <Precision kPrecision>
using FragmentA = Fragment<kPrecision, 4>;
template <Precision kPrecision>
using FragmentB = Fragment<kPrecision, 2>;

template <Precision kPrecision>
__device__ __forceinline__ void multiply(float (&c)[4], const FragmentA<kPrecision>& a, const FragmentB<kPrecision>& b) {
  if constexpr (kPrecision == Precision::kBfloat16) {
    matrix_step_bf16(c, a.high, b.high);
  } else if constexpr (kPrecision == Precision::kTf32) {
    matrix_step_tf32(c, a.high, b.high);
  } else {
    matrix_step_tf32(c, a.low, b.high);  // small ones first
    matrix_step_tf32(c, a.high, b.low);
    matrix_step_tf32(c, a.high, b.high);
  }
}

// A warp's tile of sums: rows 16 i + g and + 8, columns 8 j + 2 t and + 1 (g = lane / 4, t = lane % 4).
template <int kRowTiles, int kColumnTiles>
struct Sums {
  float c[kRowTiles][kColumnTiles][4] = {};

  // += a b over `depth`, a multiple of kStep. a, b: tiles whose first row and column are this warp's.
  template <Precision kPrecision, Lines kA, Lines kB>
  __device__ __forceinline__ void add_product(const float* a, int a_stride, const float* b, int b_stride, int depth) {
    constexpr int kWordsOfAStep = 8;
    const int words = depth / kStep<kPrecision> * kWordsOfAStep;
    for (int word = 0; word < words; word += kWordsOfAStep) {
      FragmentB<kPrecision> fb[kColumnTiles];
#pragma unroll
      for (int j = 0; j < kColumnTiles; j++) fb[j].template load<kB>(b, b_stride, 8 * j, word);
#pragma unroll
      for (int i = 0; i < kRowTiles; i++) {
        FragmentA<kPrecision> fa;
        fa.template load<kA>(a, a_stride, 16 * i, word);
#pragma unroll
        for (int j = 0; j < kColumnTiles; j++) multiply<kPrecision>(c[i][j], fa, fb[j]);
      }
    }
  }

  __device__ __forceinline__ void add(const Sums& other) {
#pragma unroll
    for (int i = 0; i < kRowTiles; i++)
#pragma unroll
      for (int j = 0; j < kColumnTiles; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) c[i][j][k] += other.c[i][j][k];
  }

  // Calls at(row, column, value&) for each sum of this lane; rows and columns count from the tile's first.
  template <class At>
  __device__ __forceinline__ void each(const At& at) {
#pragma unroll
    for (int i = 0; i < kRowTiles; i++)
#pragma unroll
      for (int j = 0; j < kColumnTiles; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) at(16 * i + lane() / 4 + 8 * (k / 2), 8 * j + 2 * (lane() % 4) + k % 2, c[i][j][k]);
  }
};

// A part of a matrix in global memory, [lines, width], lines `stride` floats apart.
struct GlobalTile {
  const float* data;
  int64_t stride;
  int lines, width;  // of it that exist: the rest of the shared tile becomes 0
};

// Whether copy_tile may move 16 bytes at a time. The same for all threads.
__device__ __forceinline__ bool is_aligned(const GlobalTile& from) {
  return reinterpret_cast<uintptr_t>(from.data) % 16 == 0 && from.stride % 4 == 0;
}

// Asks for [lines, width] floats of shared memory (width a multiple of 4, lines `stride` apart, a multiple of 4) from `from`; see
// device/async_copy.h for when they are there. All `threads` of the block take part, `thread` among them.
__device__ __forceinline__ void copy_tile(float* shared, int stride, int lines, int width, const GlobalTile& from, int thread, int threads) {
  const bool aligned = is_aligned(from);
  const int quads = width / 4;
  if (aligned && from.lines >= lines && from.width >= width && threads % quads == 0) {  // whole: a thread's copies lie below each other
    const int step = threads / quads;
    const int64_t column = thread % quads * 4;
    int line = thread / quads;
    const float* at = from.data + line * from.stride + column;
    float* to = shared + line * stride + column;
    for (; line < lines; line += step, at += step * from.stride, to += step * stride) async_copy<16>(to, at);
    return;
  }
#pragma unroll 1
  for (int i = thread; i < lines * quads; i += threads) {
    const int line = i / quads, column = i % quads * 4;
    float* to = shared + line * stride + column;
    const int64_t at = line * from.stride + column;
    const int left = line < from.lines ? from.width - column : 0;
    if (aligned && left >= 4) {
      async_copy<16>(to, from.data + at);
      continue;
    }
    for (int k = 0; k < 4; k++) {
      if (k < left)
        async_copy<4>(to + k, from.data + at + k);
      else
        to[k] = 0;
    }
  }
}

}  // namespace mg_cuda
