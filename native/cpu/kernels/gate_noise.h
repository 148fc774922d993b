// Noise on the logits of gates; ops.h has the definition.
//
// One call of Philox4x32-10 for two columns of a row. kDraws calls run side by side and continue from row to row, so a narrow gate wastes
// none. The loops over them are plain: compilers make vectors of them. Without fused multiply-adds, every instruction set has the same bits.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int kDraws = 64;  // a multiple of kLanes
constexpr float kDroppedLogit = -1e30f;

struct Draws {
  uint32_t word[4][kDraws];
  float normal[2][kDraws];
};

inline void draw_words(const GateNoise* g, const uint32_t* row, const uint32_t* pair, Draws* d) {
  for (int i = 0; i < kDraws; i++) {
    uint32_t w0 = row[i], w1 = g->step, w2 = pair[i], w3 = g->high, first = g->key[0], second = g->key[1];
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
      const uint64_t a = uint64_t{0xD2511F53u} * w0, b = uint64_t{0xCD9E8D57u} * w2;
      w0 = static_cast<uint32_t>(b >> 32) ^ w1 ^ first, w1 = static_cast<uint32_t>(b);
      w2 = static_cast<uint32_t>(a >> 32) ^ w3 ^ second, w3 = static_cast<uint32_t>(a);
      first += 0x9E3779B9u, second += 0xBB67AE85u;
    }
    d->word[0][i] = w0, d->word[1][i] = w1, d->word[2][i] = w2, d->word[3][i] = w3;
  }
}

inline float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// -2 ln(odd / 2^24) for an odd number below 2^24: odd = 2^e m with m in [0.71, 1.41), ln m = 2 atanh(s), s = (m - 1) / (m + 1).
inline float twice_minus_log(uint32_t odd) {
  constexpr uint32_t one = 0x3F800000u, lowest = 0x3F3504F3u;  // 1, sqrt(1/2)
  const uint32_t shifted = bits_of(static_cast<float>(static_cast<int32_t>(odd))) + (one - lowest);
  const float e = static_cast<float>(static_cast<int32_t>(shifted >> 23) - 127 - 24);
  const float m = float_of((shifted & 0x007FFFFFu) + lowest), s = (m - 1.0f) / (m + 1.0f), q = s * s;
  const float log_m = 2.0f * s * (1.0f + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9)))));
  return -2.0f * (e * 0.69314718056f + log_m);
}

// A point of the unit circle's first quadrant at (pi/2) t, from the sine and cosine of a = (pi/2) t - pi/4; then its signs; then the radius.
inline void draw_normals(Draws* d) {
  float radius[kDraws];
  for (int i = 0; i < kDraws; i++) radius[i] = twice_minus_log((d->word[0][i] >> 9) * 2 + 1);
  for (int i = 0; i < kDraws; i += kLanes) store(radius + i, sqrt(load(radius + i)));
  for (int i = 0; i < kDraws; i++) {
    const uint32_t word = d->word[1][i], odd = ((word & 0x3FFFFFFFu) >> 7) * 2 + 1;
    const float t = static_cast<float>(static_cast<int32_t>(odd) - (1 << 23)) * 0x1p-24f, a = 1.57079632679f * t, q = a * a;
    const float sine = a * (1.0f + q * (-1.0f / 6 + q * (1.0f / 120 + q * (-1.0f / 5040 + q * (1.0f / 362880)))));
    const float cosine = 1.0f + q * (-1.0f / 2 + q * (1.0f / 24 + q * (-1.0f / 720 + q * (1.0f / 40320))));
    const float length = 0.70710678119f * radius[i];
    d->normal[0][i] = float_of(bits_of(length * (cosine - sine)) ^ (word & 0x80000000u));
    d->normal[1][i] = float_of(bits_of(length * (cosine + sine)) ^ (word << 1 & 0x80000000u));
  }
}

// Rows [from, to).
inline void add_noise(const GateNoise* g, int64_t from, int64_t to, uint32_t limit) {
  const int64_t pairs = (g->width + 1) / 2;
  int64_t row = from, pair = 0;  // of the next call to use
  while (row < to) {
    uint32_t rows[kDraws], columns[kDraws];
    int64_t r = row, p = pair;
    for (int i = 0; i < kDraws; i++) {
      rows[i] = g->first_row + static_cast<uint32_t>(r), columns[i] = static_cast<uint32_t>(p);
      if (++p == pairs) p = 0, r++;
    }
    Draws d;
    draw_words(g, rows, columns, &d);
    draw_normals(&d);
    for (int i = 0; i < kDraws && row < to; i++) {
      const float* x = g->x.data + row * g->x.stride;
      float* y = g->y.data + row * g->y.stride;
      for (int64_t k = 0; k < 2 && 2 * pair + k < g->width; k++)
        y[2 * pair + k] = d.word[2 + k][i] < limit ? kDroppedLogit : x[2 * pair + k] + g->deviation * d.normal[k][i];
      if (++pair == pairs) pair = 0, row++;
    }
  }
}

void gate_noise(const GateNoise* g) {
  add_noise(g, 0, g->rows, g->limit);
  for (int64_t r = 0; g->limit > 0 && r < g->rows; r++) {
    const float* y = g->y.data + r * g->y.stride;
    bool kept = false;
    for (int64_t c = 0; c < g->width; c++) kept |= y[c] != kDroppedLogit;
    if (!kept) add_noise(g, r, r + 1, 0);
  }
}

}  // namespace
}  // namespace mg
