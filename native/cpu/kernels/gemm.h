// C[m,n] (=|+=) A[m,k] B[k,n], the matrix product of every dense layer, expert and gate.
//
//   forward   y = x W        A = x, B = W packed in panels
//   backward  dx = dz W^T    A = dz, B = W^T packed in panels
//   backward  dW += x^T dz   A = x read across (row stride 1), B = dz as it lies in the arena
//
// A tile of kTileRows x kPanel sums stays in registers over the whole depth. Each step takes kPanelVectors loads of B and one
// broadcast of A per row. The outermost loop is over panels of B (k x kPanel floats), so a panel stays in L1 while the rows
// of A pass. A tile of one to three rows spans several panels: the sums of one panel would wait for each other.
// 2 m n k FLOPs; bytes from L2: A once per panel, B once, C once (twice with +=).
// Order of reduction: over k upwards, one chain per element; a tile's height and width do not change it.
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

// Unroll loops over a tile's sums fully: only then do the sums stay in registers from the first load to the last store.
#define MG_UNROLLED _Pragma("GCC unroll 16")

// 8 multiply-adds of latency 4 keep two units busy; 12 leave room for late loads.
constexpr int kSumsInFlight = 12;

// The most panels that a tile of this many rows spans.
constexpr int panels_of(int64_t rows) {
  const auto panels = static_cast<int>(kSumsInFlight / (rows * kPanelVectors));
  return panels > 1 ? panels : 1;
}

// One tile; its last vector may be partial. Three rows of A, or panels of B, share a base pointer: x86 can address base, base +
// stride and base + 2 stride.
template <bool kPaired, int kRows, int kVectors, bool kWhole>
void tile_of(const Gemm& g, const float* a, const float* b, float* c, const float* bias, int64_t last) {
  constexpr int kPanels = (kVectors + kPanelVectors - 1) / kPanelVectors;
  constexpr int kABases = (kRows + 2) / 3, kBBases = (kPanels + 2) / 3;
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
  const float *a_base[kABases], *b_base[kBBases];
  MG_UNROLLED for (int i = 0; i < kABases; i++) a_base[i] = a + 3 * i * g.a_row;
  MG_UNROLLED for (int i = 0; i < kBBases; i++) b_base[i] = b + 3 * i * g.b_panel;
  const int64_t a_row = g.a_row, a_depth = g.a_depth, b_panel = g.b_panel, b_depth = g.b_depth;
  const auto column = [&](int v) __attribute__((always_inline)) {
    const int panel = v / kPanelVectors;
    return load(b_base[panel / 3] + panel % 3 * b_panel + v % kPanelVectors * kLanes);
  };
  for (int64_t p = g.depth; p > 0; p--) {
    if constexpr (kPanels == 1) {
      vec columns[kVectors];
      MG_UNROLLED for (int v = 0; v < kVectors; v++) columns[v] = column(v);
      MG_UNROLLED for (int i = 0; i < kRows; i++) {
        const vec value = set1(a_base[i / 3][i % 3 * a_row]);
        MG_UNROLLED for (int v = 0; v < kVectors; v++) sum[i][v] = multiply_add<kPaired>(value, columns[v], sum[i][v]);
      }
    } else {  // few rows, many columns
      vec values[kRows];
      MG_UNROLLED for (int i = 0; i < kRows; i++) values[i] = set1(a_base[i / 3][i % 3 * a_row]);
      MG_UNROLLED for (int v = 0; v < kVectors; v++) {
        const vec of_row = column(v);
        MG_UNROLLED for (int i = 0; i < kRows; i++) sum[i][v] = multiply_add<kPaired>(values[i], of_row, sum[i][v]);
      }
    }
    MG_UNROLLED for (int i = 0; i < kABases; i++) a_base[i] += a_depth;
    MG_UNROLLED for (int i = 0; i < kBBases; i++) b_base[i] += b_depth;
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
void tile_of_width(int64_t vectors, const Gemm& g, const float* a, const float* b, float* c, const float* bias, int64_t last) {
  if constexpr (kVectors > 1)
    if (vectors < kVectors) return tile_of_width<kPaired, kRows, kVectors - 1>(vectors, g, a, b, c, bias, last);
  if (last == kLanes) return tile_of<kPaired, kRows, kVectors, true>(g, a, b, c, bias, last);
  tile_of<kPaired, kRows, kVectors, false>(g, a, b, c, bias, last);
}

template <bool kPaired, int kRows = kTileRows>
void tile(int64_t rows, int64_t vectors, const Gemm& g, const float* a, const float* b, float* c, const float* bias, int64_t last) {
  if constexpr (kRows > 1)
    if (rows < kRows) return tile<kPaired, kRows - 1>(rows, vectors, g, a, b, c, bias, last);
  tile_of_width<kPaired, kRows, panels_of(kRows) * kPanelVectors>(vectors, g, a, b, c, bias, last);
}

constexpr int64_t kFloatsInL2 = 64 << 10;

// Cuts rows into tiles of nearly equal height: 128 rows in 10 tiles of 12 or 13 keep more sums in flight than 9 of 14 and
// one of 2. Also cuts the panels that tiles of few rows span.
template <bool kPaired = false>
inline void gemm(const Gemm& g) {
  if (g.rows <= 0) return;
  const int64_t tiles = (g.rows + kTileRows - 1) / kTileRows, height = g.rows / tiles, higher = g.rows % tiles;
  const bool fetch = g.accumulate && g.rows * g.c_row > kFloatsInL2;  // prefetch the sums of the next tile
  const int64_t at_once = panels_of(g.rows);
  const int64_t panels = (g.columns + kPanel - 1) / kPanel, groups = (panels + at_once - 1) / at_once;
  for (int64_t group = 0; group < groups; group++) {
    const int64_t panel = group * panels / groups, column = panel * kPanel;
    const int64_t columns = least(((group + 1) * panels / groups - panel) * kPanel, g.columns - column);
    const int64_t vectors = (columns + kLanes - 1) / kLanes, last = columns - (vectors - 1) * kLanes;
    const float* b = g.b + panel * g.b_panel;
    const float* bias = g.bias ? g.bias + column : nullptr;
    for (int64_t t = 0, row = 0; t < tiles; t++) {
      const int64_t rows = height + (t < higher);
      if (fetch && t + 1 < tiles)
        for (int64_t i = 0; i < height; i++)
          for (int64_t c = column; c < column + columns; c += 16) __builtin_prefetch(g.c + (row + rows + i) * g.c_row + c);
      tile<kPaired>(rows, vectors, g, g.a + row * g.a_row, b, g.c + row * g.c_row + column, bias, last);
      row += rows;
    }
  }
}

// The same, for a tall A and a B stored in rows. Makes each panel contiguous first: else its rows would share few sets of L1,
// each on its own page.
template <bool kPaired = false>
inline void gemm_of_rows(const Gemm& g) {
  constexpr int64_t kLeastRows = 96, kMostDepth = 256;
  if (g.rows < kLeastRows || g.depth > kMostDepth) return gemm<kPaired>(g);
  alignas(64) float panel[kMostDepth * kPanel];
  Gemm part = g;
  part.b = panel, part.b_depth = kPanel;
  for (int64_t column = 0; column < g.columns; column += kPanel) {
    part.columns = least(kPanel, g.columns - column), part.c = g.c + column;
    const float* from = g.b + column;
    for (int64_t p = 0; p < g.depth; p++, from += g.b_depth)
      for (int64_t c = 0; c < part.columns; c += kLanes) store(panel + p * kPanel + c, load(from + c));
    gemm<kPaired>(part);
  }
}

#undef MG_UNROLLED

}  // namespace
}  // namespace mg
