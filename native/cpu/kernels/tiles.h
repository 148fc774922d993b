// The product of pairs on tile registers (AMX): eight tiles of 16 rows of 64 bytes each. Two by two of them sum 32 x 32
// results over the whole depth; an epilogue adds the bias or C and writes what is wanted. Per step of 16 pairs: four loads,
// four products of 16 x 16 x 32. Order of reduction: as the instruction's, steps upwards.
//
// MG_ISAS_EMULATED (tests only): the same product on tiles in memory, so that all but the instructions themselves runs on
// processors without them.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/gemm.h"

namespace mg {
namespace {

constexpr int64_t kTileDepth = 16;  // pairs

#if defined(MG_TILES)

constexpr bool kTiles = true;
constexpr int64_t kTileSide = 16;  // rows of a tile, and floats or pairs of a row

#if defined(MG_ISAS_EMULATED)

struct TileMemory {
  float rows[8][16][16];
};
thread_local TileMemory tile_memory;

inline void tiles_begin() {}
inline void tiles_end() {}
#define MG_TILE_ZERO(t) memset(tile_memory.rows[t], 0, sizeof tile_memory.rows[t])
inline void tile_load_(int t, const float* from, int64_t row) {
  for (int i = 0; i < 16; i++) memcpy(tile_memory.rows[t][i], from + i * row, 64);
}
inline void tile_store_(int t, float* to, int64_t row) {
  for (int i = 0; i < 16; i++) memcpy(to + i * row, tile_memory.rows[t][i], 64);
}
inline float bfloat16_at(const float* pair, int half) {
  uint32_t bits;
  memcpy(&bits, pair, sizeof bits);
  bits = half ? bits & 0xFFFF0000u : bits << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
// The products of low and of high elements are summed apart, each upwards from 0.
inline void tile_multiply_(int c, int a, int b) {
  for (int i = 0; i < 16; i++) {
    float sums[2][16] = {};
    for (int k = 0; k < 16; k++)
      for (int half = 0; half < 2; half++) {
        const float value = bfloat16_at(&tile_memory.rows[a][i][k], half);
        for (int j = 0; j < 16; j++) sums[half][j] += value * bfloat16_at(&tile_memory.rows[b][k][j], half);
      }
    for (int j = 0; j < 16; j++) tile_memory.rows[c][i][j] += sums[0][j] + sums[1][j];
  }
}
#define MG_TILE_LOAD(t, from, row) tile_load_(t, from, row)
#define MG_TILE_STORE(t, to, row) tile_store_(t, to, row)
#define MG_TILE_MULTIPLY(c, a, b) tile_multiply_(c, a, b)

#else

struct TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

inline void tiles_begin() {
  alignas(64) const TileConfiguration all;
  _tile_loadconfig(&all);
}
inline void tiles_end() { _tile_release(); }
#define MG_TILE_ZERO(t) _tile_zero(t)
#define MG_TILE_LOAD(t, from, row) _tile_loadd(t, from, static_cast<size_t>(row) * sizeof(float))
#define MG_TILE_STORE(t, to, row) _tile_stored(t, to, static_cast<size_t>(row) * sizeof(float))
#define MG_TILE_MULTIPLY(c, a, b) _tile_dpbf16ps(c, a, b)

#endif

// Writes 32 x 32 sums to C, as far as C goes.
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

// A product of pairs: A's rows are contiguous and readable to whole tiles, B's panels too, the depth is in whole steps.
inline void tile_gemm(const Gemm& g) {
  alignas(64) float sums[2 * kTileSide * 2 * kTileSide];
  tiles_begin();
  for (int64_t column = 0; column < g.columns; column += kPanel) {
    const float* b = g.b + column / kPanel * g.b_panel;
    for (int64_t row = 0; row < g.rows; row += 2 * kTileSide) {
      const float* a = g.a + row * g.a_row;
      const bool second = row + kTileSide < g.rows;
      MG_TILE_ZERO(0);
      MG_TILE_ZERO(1);
      MG_TILE_ZERO(2);
      MG_TILE_ZERO(3);
      for (int64_t p = 0; p < g.depth; p += kTileDepth) {
        MG_TILE_LOAD(4, a + p, g.a_row);
        MG_TILE_LOAD(6, b + p * g.b_depth, g.b_depth);
        MG_TILE_LOAD(7, b + p * g.b_depth + kTileSide, g.b_depth);
        MG_TILE_MULTIPLY(0, 4, 6);
        MG_TILE_MULTIPLY(1, 4, 7);
        if (second) {
          MG_TILE_LOAD(5, a + kTileSide * g.a_row + p, g.a_row);
          MG_TILE_MULTIPLY(2, 5, 6);
          MG_TILE_MULTIPLY(3, 5, 7);
        }
      }
      MG_TILE_STORE(0, sums, 2 * kTileSide);
      MG_TILE_STORE(1, sums + kTileSide, 2 * kTileSide);
      if (second) {
        MG_TILE_STORE(2, sums + kTileSide * 2 * kTileSide, 2 * kTileSide);
        MG_TILE_STORE(3, sums + kTileSide * 2 * kTileSide + kTileSide, 2 * kTileSide);
      }
      write_sums(g, sums, row, column);
    }
  }
  tiles_end();
}

// y[c][p] = (x[2p][c], x[2p + 1][c]), zeros up to `pairs`: pairs of rows as a tile's contiguous row.
inline void pair_rows_transposed(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t pairs) {
  const __m512i columns = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                             _mm512_set1_epi32(static_cast<int>(pairs)));
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
