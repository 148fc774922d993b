// The product of pairs on tile registers (AMX): eight tiles of 16 rows of 64 bytes each. Two by two of them sum 32 x 32
// results over the whole depth. An epilogue adds the bias or C and writes the columns that exist. Per step of 16 pairs: four loads,
// four products of 16 x 16 x 32. Order of reduction: as in the instruction, steps upwards.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/gemm.h"

namespace mg {
namespace {

constexpr int64_t kTileDepth = 16;  // pairs

#if defined(MG_TILES)

constexpr bool kTiles = true;
constexpr int64_t kTileSide = 16;  // rows of a tile, and floats or pairs of a row

struct TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Earlier stores must reach memory here, because GCC's tile loads do not declare what they read.
inline void tiles_begin() {
  alignas(64) const TileConfiguration all;
  asm volatile("" : : "r"(&all) : "memory");
  _tile_loadconfig(&all);
}
inline void tiles_end() { _tile_release(); }

// Writes 32 x 32 sums to C, clipped to C's size.
inline void write_sums(const Gemm& g, const float* sums, int64_t row, int64_t column) {
  const vec floor = set1(g.floor);
  const int64_t rows = least(2 * kTileSide, g.rows - row), columns = least(2 * kTileSide, g.columns - column);
  for (int64_t i = 0; i < rows; i++)
    each_vector(columns, [&](int64_t j, int64_t n) {
      float* to = g.c + (row + i) * g.c_row + column + j;
      vec sum = load(sums + i * 2 * kTileSide + j);
      if (g.accumulate)
        sum = add(load_n(to, n), sum);
      else if (g.bias)
        sum = add(load(g.bias + column + j), sum);
      store_n(to, max(floor, sum), n);
    });
}

// A product of pairs. A's rows and B's panels are contiguous and readable to whole tiles. The depth is in whole steps.
inline void tile_gemm(const Gemm& g) {
  alignas(64) float sums[2 * kTileSide * 2 * kTileSide];
  constexpr size_t kFloat = sizeof(float), kSums = 2 * kTileSide * kFloat;
  tiles_begin();
  for (int64_t column = 0; column < g.columns; column += kPanel) {
    const float* b = g.b + column / kPanel * g.b_panel;
    for (int64_t row = 0; row < g.rows; row += 2 * kTileSide) {
      const float* a = g.a + row * g.a_row;
      const bool second = row + kTileSide < g.rows;
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (int64_t p = 0; p < g.depth; p += kTileDepth) {
        _tile_loadd(4, a + p, static_cast<size_t>(g.a_row) * kFloat);
        _tile_loadd(6, b + p * g.b_depth, static_cast<size_t>(g.b_depth) * kFloat);
        _tile_loadd(7, b + p * g.b_depth + kTileSide, static_cast<size_t>(g.b_depth) * kFloat);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (second) {
          _tile_loadd(5, a + kTileSide * g.a_row + p, static_cast<size_t>(g.a_row) * kFloat);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
      }
      _tile_stored(0, sums, kSums);
      _tile_stored(1, sums + kTileSide, kSums);
      if (second) {
        _tile_stored(2, sums + kTileSide * 2 * kTileSide, kSums);
        _tile_stored(3, sums + kTileSide * 2 * kTileSide + kTileSide, kSums);
      }
      write_sums(g, sums, row, column);
    }
  }
  tiles_end();
}

// y[c][p] = (x[2p][c], x[2p + 1][c]), zeros up to `pairs`: pairs of rows as a tile's contiguous row.
inline void pair_rows_transposed(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t pairs) {
  const __m512i columns =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(static_cast<int>(pairs)));
  for (int64_t p = 0; p < pairs; p++)
    each_vector(width, [&](int64_t c, int64_t n) {
      const vec low = 2 * p < rows ? load_n(x + 2 * p * x_row + c, n) : zero();
      const vec high = 2 * p + 1 < rows ? load_n(x + (2 * p + 1) * x_row + c, n) : zero();
      _mm512_mask_i32scatter_ps(y + c * pairs + p, first(n), columns, pairs_of(low, high), 4);
    });
}

#else

constexpr bool kTiles = false;
[[maybe_unused]] inline void pair_rows_transposed(int64_t, int64_t, const float*, int64_t, float*, int64_t) {}

#endif

}  // namespace
}  // namespace mg
