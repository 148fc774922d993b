// C[m,n] (=|+=) A[m,k] B[k,n], the one matrix product under every dense layer, expert and gate.
//
//   forward   y = x W        A = x, B = W packed in panels
//   backward  dx = dz W^T    A = dz, B = W^T packed in panels
//   backward  dW += x^T dz   A = x read across (row stride 1), B = dz as it lies in the arena
//
// A tile of kTileRows x kPanel sums stays in registers over the whole depth; per step it takes kPanelVectors loads of B and
// one broadcast of A per row. Panels of B (k x kPanel floats) are walked outermost, so that one stays in L1 while the rows
// of A pass by. 2 m n k FLOPs; bytes from L2: A once per panel, B once, C once (twice with +=).
// Order of reduction: over k upwards, one chain per element; a tile's height does not change it.
#pragma once
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

struct Gemm {
  int64_t rows, columns, depth;
  const float* a;  // A(i, p) = a[i * a_row + p * a_depth]
  int64_t a_row, a_depth;
  const float* b;  // B(p, j) = b[j / kPanel * b_panel + p * b_depth + j % kPanel]; readable up to a whole vector
  int64_t b_panel, b_depth;
  float* c;  // C(i, j) = c[i * c_row + j]; only columns < `columns` are written
  int64_t c_row;
  const float* bias;  // [columns rounded up to kLanes] to start from; null: 0
  bool accumulate;    // start from C instead
  float floor;        // max with it at the end: 0 is ReLU, -inf changes nothing; NaN stays NaN
};

// kPaired: A and B hold pairs of bfloat16 instead of floats.
template <bool kPaired>
inline vec multiply_add(vec a, vec b, vec c) {
#if defined(MG_BFLOAT16_PAIRS) && !defined(MG_TILES)
  if constexpr (kPaired) return dot_pairs(a, b, c);
#endif
  return fma(a, b, c);
}

// Loops over a tile's sums are unrolled whole: only then are the sums in registers from the first load to the last store.
#define MG_UNROLLED _Pragma("GCC unroll 16")

// One tile, its last vector whole or not. Three rows of A share a base pointer: x86 can address base, base + stride and
// base + 2 stride.
template <bool kPaired, int kRows, int kVectors, bool kWhole>
void tile_of(const Gemm& g, const float* a, const float* b, float* c, const float* bias, int64_t last) {
  constexpr int kBases = (kRows + 2) / 3;
  const int64_t c_row = g.c_row;
  vec sum[kRows][kVectors];
  if (g.accumulate) {
    MG_UNROLLED for (int i = 0; i < kRows; i++) {
      MG_UNROLLED for (int v = 0; v < kVectors; v++) {
        const float* from = c + i * c_row + v * kLanes;
        sum[i][v] = kWhole || v < kVectors - 1 ? load(from) : load_n(from, last);
      }
    }
  } else {
    MG_UNROLLED for (int v = 0; v < kVectors; v++) {
      const vec start = bias ? load(bias + v * kLanes) : zero();
      MG_UNROLLED for (int i = 0; i < kRows; i++) sum[i][v] = start;
    }
  }
  const float* base[kBases];
  MG_UNROLLED for (int i = 0; i < kBases; i++) base[i] = a + 3 * i * g.a_row;
  const int64_t a_row = g.a_row, a_depth = g.a_depth, b_depth = g.b_depth;
  for (int64_t p = g.depth; p > 0; p--) {
    vec column[kVectors];
    MG_UNROLLED for (int v = 0; v < kVectors; v++) column[v] = load(b + v * kLanes);
    MG_UNROLLED for (int i = 0; i < kRows; i++) {
      const vec value = set1(base[i / 3][i % 3 * a_row]);
      MG_UNROLLED for (int v = 0; v < kVectors; v++) sum[i][v] = multiply_add<kPaired>(value, column[v], sum[i][v]);
    }
    MG_UNROLLED for (int i = 0; i < kBases; i++) base[i] += a_depth;
    b += b_depth;
  }
  const vec floor = set1(g.floor);
  MG_UNROLLED for (int i = 0; i < kRows; i++) {
    MG_UNROLLED for (int v = 0; v < kVectors; v++) {
      float* to = c + i * c_row + v * kLanes;
      if (kWhole || v < kVectors - 1)
        store(to, max(floor, sum[i][v]));
      else
        store_n(to, max(floor, sum[i][v]), last);
    }
  }
}

template <bool kPaired, int kRows, int kVectors>
inline void tile(const Gemm& g, const float* a, const float* b, float* c, const float* bias, int64_t last) {
  if (last == kLanes) return tile_of<kPaired, kRows, kVectors, true>(g, a, b, c, bias, last);
  tile_of<kPaired, kRows, kVectors, false>(g, a, b, c, bias, last);
}

template <bool kPaired, int kRows, int kVectors>
void tile_of_height(int64_t rows, const Gemm& g, const float* a, const float* b, float* c, const float* bias, int64_t last) {
  if constexpr (kRows > 1)
    if (rows < kRows) return tile_of_height<kPaired, kRows - 1, kVectors>(rows, g, a, b, c, bias, last);
  tile<kPaired, kRows, kVectors>(g, a, b, c, bias, last);
}

template <bool kPaired, int kVectors>
void tile_of_width(int64_t vectors, int64_t rows, const Gemm& g, const float* a, const float* b, float* c, const float* bias,
                   int64_t last) {
  if constexpr (kVectors > 1)
    if (vectors < kVectors) return tile_of_width<kPaired, kVectors - 1>(vectors, rows, g, a, b, c, bias, last);
  tile_of_height<kPaired, kTileRows, kVectors>(rows, g, a, b, c, bias, last);
}

// Rows are cut into tiles of nearly equal height: 128 rows in 10 tiles of 12 or 13 keep more sums in flight than 9 of 14 and
// one of 2.
template <bool kPaired = false>
inline void gemm(const Gemm& g) {
  const int64_t tiles = (g.rows + kTileRows - 1) / kTileRows;
  for (int64_t column = 0; column < g.columns; column += kPanel) {
    const int64_t columns = least(kPanel, g.columns - column), vectors = (columns + kLanes - 1) / kLanes;
    const int64_t last = columns - (vectors - 1) * kLanes;
    const float* b = g.b + column / kPanel * g.b_panel;
    const float* bias = g.bias ? g.bias + column : nullptr;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t row = t * g.rows / tiles, rows = (t + 1) * g.rows / tiles - row;
      tile_of_width<kPaired, kPanelVectors>(vectors, rows, g, g.a + row * g.a_row, b, g.c + row * g.c_row + column, bias, last);
    }
  }
}

#undef MG_UNROLLED

}  // namespace
}  // namespace mg
