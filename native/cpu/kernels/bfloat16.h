// Products with bfloat16 operands and float32 sums.
//
// If the ISA multiplies pairs of bfloat16 (kPairs), operands are narrowed: two neighbours along the depth of the product share
// the 32 bits of a float, the first one low. A product over depth d becomes one over d / 2 such pairs, with the usual
// strides. On other ISAs operands are rounded but stay float32: the same result, no faster. A product of two bfloat16 is
// exact in float32 either way.
//
// Narrowed operands of a block are in two areas of the arena:
//   x     forward: rows of pairs [rows, step(depth)]; backward: pairs of rows [step(rows), padded(depth)], or for tiles
//         transposed, [padded(depth), step(rows)]
//   dz    rows of pairs [rows, rounded / 2], then pairs of rows, in panels [step(rows), kPanel]
// Rows are apart(count) floats apart.
// step(n): number of pairs for n, in whole steps of the product's depth; 0 beyond n. Rounded operands: x as it is, dz in place.
// Bytes: operands once in, half of them out.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/tiles.h"

namespace mg {
namespace {

// y may be x.
inline void round_rows(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t y_row) {
  for (int64_t r = 0; r < rows; r++)
    each_vector(width, [&](int64_t c, int64_t n) { store_n(y + r * y_row + c, to_bfloat16(load_n(x + r * x_row + c, n)), n); });
}

#if defined(MG_BFLOAT16_PAIRS)

constexpr bool kPairs = true;

inline int64_t step(int64_t count) {
  const int64_t whole = kTiles ? kTileDepth : 1;
  return ((count + 1) / 2 + whole - 1) / whole * whole;
}

inline void pair_gemm(const Gemm& g) {
#if defined(MG_TILES)
  tile_gemm(g);
#else
  gemm<true>(g);
#endif
}

// Rows a multiple of 1 KiB apart would share few sets of L1.
inline int64_t apart(int64_t count) { return count % 256 == 0 ? count + kPad : count; }

// Rows of pairs from rows: y[r][p] = (x[r][2p], x[r][2p + 1]); zeros up to `pairs`.
inline void narrow_rows(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t pairs) {
  const auto from = [&](const float* row, int64_t c) {
    const int64_t left = width - c;
    return left >= kLanes ? load(row + c) : left > 0 ? load_n(row + c, left) : zero();
  };
  for (int64_t r = 0; r < rows; r++)
    each_vector(pairs, [&](int64_t p, int64_t n) {
      const float* row = x + r * x_row;
      store_n(y + r * apart(pairs) + p, pairs_of_neighbours(from(row, 2 * p), from(row, 2 * p + kLanes)), n);
    });
}

// Pairs of rows: y(p, c) = (x[2p][c], x[2p + 1][c]); zeros up to `pairs` rows. y(p, c) = y[p * y_row + c], or with panels as in a
// Gemm's B. y may be x if its rows are equally far apart.
inline void pair_rows(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t y_row, int64_t pairs, int64_t y_panel = kPanel) {
  for (int64_t p = 0; p < pairs; p++)
    each_vector(width, [&](int64_t c, int64_t n) {
      const vec low = 2 * p < rows ? load_n(x + 2 * p * x_row + c, n) : zero();
      const vec high = 2 * p + 1 < rows ? load_n(x + (2 * p + 1) * x_row + c, n) : zero();
      store_n(y + p * y_row + c / kPanel * y_panel + c % kPanel, pairs_of(low, high), n);
    });
}

inline void narrow_forward_panel(const Weights* w, float* panel, int64_t index) {
  if (index * kPanel < w->rounded) pair_rows(w->depth, kPanel, panel, kPanel, panel, kPanel, step(w->depth));
}

inline void narrow_backward_panel(const Weights* w, float* panel) { pair_rows(w->rounded, kPanel, panel, kPanel, panel, kPanel, w->rounded / 2); }

// Changes g, a product of x [rows, depth] and the first columns of w, to narrowed operands.
inline void rounded_forward(Gemm& g, const Weights* w, float* area) {
  const int64_t pairs = step(w->depth);
  narrow_rows(g.rows, w->depth, g.a, g.a_row, area, pairs);
  g.a = area, g.a_row = apart(pairs), g.depth = pairs;
  pair_gemm(g);
}

// Narrows dz for both products of a backward pass.
inline void narrow_dz(int64_t rows, const Weights* w, float* dz, int64_t dz_row, const Narrowed& area) {
  narrow_rows(rows, w->rounded, dz, dz_row, area.dz, w->rounded / 2);
}

// gradient[d][c] += x^T dz for the rounded columns. Call it after narrow_dz.
inline void rounded_weight_gradient(int64_t rows, const float* x, int64_t x_row, const Weights* w, float* dz, int64_t dz_row, WeightGradient gradient,
                                    const Narrowed& area) {
  const int64_t pairs = step(rows), width = apart(padded(w->depth));
  float* dz_pairs = area.dz + rows * apart(w->rounded / 2);
  pair_rows(rows, w->rounded, dz, dz_row, dz_pairs, kPanel, pairs, pairs * kPanel);
  Gemm g{};
  g.rows = w->depth, g.columns = w->rounded, g.depth = pairs;
  if (kTiles) {
    pair_rows_transposed(rows, w->depth, x, x_row, area.x, pairs);
    g.a = area.x, g.a_row = pairs, g.a_depth = 1;
  } else {
    pair_rows(rows, w->depth, x, x_row, area.x, width, pairs);
    g.a = area.x, g.a_row = 1, g.a_depth = width;
  }
  g.b = dz_pairs, g.b_panel = pairs * kPanel, g.b_depth = kPanel;
  g.c = gradient.data, g.c_row = w->columns;
  g.accumulate = !gradient.first;
  g.floor = -INFINITY;
  pair_gemm(g);
}

// Computes the part of g, dx (=|+=) dz W^T, over the rounded columns and leaves the other columns in g.
inline void rounded_input_gradient(Gemm& g, const Weights* w, const Narrowed& area) {
  Gemm pairs = g;
  pairs.a = area.dz, pairs.a_row = apart(w->rounded / 2), pairs.depth = w->rounded / 2;
  pair_gemm(pairs);
  g.a += w->rounded, g.b += w->rounded * kPanel, g.depth -= w->rounded;
  g.accumulate = true;
}

#else

constexpr bool kPairs = false;

inline void narrow_forward_panel(const Weights* w, float* panel, int64_t index) {
  if (index * kPanel < w->rounded) round_rows(w->depth, kPanel, panel, kPanel, panel, kPanel);
}

inline void narrow_backward_panel(const Weights* w, float* panel) { round_rows(w->rounded, kPanel, panel, kPanel, panel, kPanel); }

inline void rounded_forward(Gemm& g, const Weights* w, float* area) {
  round_rows(g.rows, w->depth, g.a, g.a_row, area, padded(w->depth));
  g.a = area, g.a_row = padded(w->depth);
  gemm(g);
}

inline void narrow_dz(int64_t rows, const Weights* w, float* dz, int64_t dz_row, const Narrowed&) {
  round_rows(rows, w->rounded, dz, dz_row, dz, dz_row);
}

inline void rounded_weight_gradient(int64_t rows, const float* x, int64_t x_row, const Weights* w, float* dz, int64_t dz_row, WeightGradient gradient,
                                    const Narrowed& area) {
  round_rows(rows, w->depth, x, x_row, area.x, padded(w->depth));
  Gemm g{};
  g.rows = w->depth, g.columns = w->rounded, g.depth = rows;
  g.a = area.x, g.a_row = 1, g.a_depth = padded(w->depth);
  g.b = dz, g.b_panel = kPanel, g.b_depth = dz_row;
  g.c = gradient.data, g.c_row = w->columns;
  g.accumulate = !gradient.first;
  g.floor = -INFINITY;
  gemm_of_rows(g);
}

// dz and the backward panels are already rounded in place: one product covers all columns.
inline void rounded_input_gradient(Gemm&, const Weights*, const Narrowed&) {}

#endif

}  // namespace
}  // namespace mg
