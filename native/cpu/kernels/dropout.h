// Dropout by counted random numbers: Philox4x32-10 (Salmon et al., SC 2011), one call for four columns of a row.
//
// Drawn once a step: the op that comes first keeps a bit per element, the op with the same numbers (its backward) reads it.
// kept[row][c / 32], bit c % 32: column c is kept. Sixteen calls go side by side, kLanes at a time; where rows are no multiple
// of that, calls run on from row to row, so that a narrow row wastes none. Per 16
// calls: 320 multiplications and as many exclusive ors; then 64 elements in, 64 out.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int kPhilox = 16, kRounds = 10;

struct PhiloxKeys {
  words first[kRounds], second[kRounds];
};

inline void round_keys(const Dropout* d, PhiloxKeys* keys) {
  uint32_t first = d->key[0], second = d->key[1];
  for (int round = 0; round < kRounds; round++, first += 0x9E3779B9u, second += 0xBB67AE85u)
    keys->first[round] = set_words(first), keys->second[round] = set_words(second);
}

constexpr int kPhiloxVectors = kPhilox / kLanes;

// bits[4 i + w]: word w of call i, whose counter is (row, step, group, high), its row and group in lane i % kLanes of vector
// i / kLanes. All vectors go through a round together: one alone would wait for its multiplications.
inline void philox(const Dropout* d, const PhiloxKeys& keys, const words* row, const words* group, uint32_t* bits) {
  const words first_factor = set_words(0xD2511F53u), second_factor = set_words(0xCD9E8D57u);
  words w0[kPhiloxVectors], w1[kPhiloxVectors], w2[kPhiloxVectors], w3[kPhiloxVectors];
  for (int v = 0; v < kPhiloxVectors; v++) w0[v] = row[v], w1[v] = set_words(d->step), w2[v] = group[v], w3[v] = set_words(d->high);
  for (int round = 0; round < kRounds; round++)
#pragma GCC unroll 16
    for (int v = 0; v < kPhiloxVectors; v++) {
      words high0, low0, high2, low2;
      multiply_wide(w0[v], first_factor, &high0, &low0);
      multiply_wide(w2[v], second_factor, &high2, &low2);
      w0[v] = exclusive_or(high2, w1[v], keys.first[round]), w2[v] = exclusive_or(high0, w3[v], keys.second[round]);
      w1[v] = low2, w3[v] = low0;
    }
  for (int v = 0; v < kPhiloxVectors; v++) store_interleaved(bits + 4 * kLanes * v, w0[v], w1[v], w2[v], w3[v]);
}

// Bit i: bits[i] >= limit; count <= 32.
inline uint32_t kept_word(const uint32_t* bits, int64_t count, uint32_t limit) {
  uint32_t word = 0;
  int64_t c = 0;
  for (; c + kLanes <= count; c += kLanes) word |= bits_from(bits + c, limit) << c;
  for (; c < count; c++) word |= static_cast<uint32_t>(bits[c] >= limit) << c;
  return word;
}

// Rows of whole calls side by side.
inline void draw_wide(const Dropout* d, const PhiloxKeys& keys) {
  uint32_t group[kPhilox], bits[4 * kPhilox];
  words rows[kPhiloxVectors], groups[kPhiloxVectors];
  for (int64_t from = 0; from < d->width; from += 4 * kPhilox) {
    for (int i = 0; i < kPhilox; i++) group[i] = static_cast<uint32_t>(from / 4 + i);
    for (int v = 0; v < kPhiloxVectors; v++) groups[v] = load_words(group + v * kLanes);
    for (int64_t r = 0; r < d->rows; r++) {
      for (int v = 0; v < kPhiloxVectors; v++) rows[v] = set_words(d->first_row + static_cast<uint32_t>(r));
      philox(d, keys, rows, groups, bits);
      for (int64_t c = 0; c < 4 * kPhilox; c += 32) d->kept[r * d->kept_row + (from + c) / 32] = kept_word(bits + c, 32, d->limit);
    }
  }
}

// Rows of any width, one behind the other.
inline void draw_narrow(const Dropout* d, const PhiloxKeys& keys) {
  const int64_t groups = (d->width + 3) / 4;  // calls of a row
  uint32_t rows[kPhilox], columns[kPhilox], bits[4 * kPhilox];
  words row_words[kPhiloxVectors], column_words[kPhiloxVectors];
  int64_t next_row = 0, next_group = 0;  // of the next call
  int64_t row = 0, group = 0;            // of the next one that is used
  while (row < d->rows) {
    for (int i = 0; i < kPhilox; i++) {
      rows[i] = d->first_row + static_cast<uint32_t>(next_row), columns[i] = static_cast<uint32_t>(next_group);
      if (++next_group == groups) next_group = 0, next_row++;
    }
    for (int v = 0; v < kPhiloxVectors; v++) row_words[v] = load_words(rows + v * kLanes), column_words[v] = load_words(columns + v * kLanes);
    philox(d, keys, row_words, column_words, bits);
    for (int64_t used = 0; used < kPhilox && row < d->rows;) {
      // As many calls as the row still needs, within one word.
      const int64_t calls = least(least(kPhilox - used, groups - group), 8 - group % 8);
      const uint32_t word = kept_word(bits + 4 * used, 4 * calls, d->limit);
      uint32_t* const to = d->kept + row * d->kept_row + group / 8;
      *to = group % 8 == 0 ? word : *to | word << group % 8 * 4;
      used += calls, group += calls;
      if (group == groups) group = 0, row++;
    }
  }
}

void dropout(const Dropout* d) {
  if (!d->drawn) {
    PhiloxKeys keys;
    round_keys(d, &keys);
    if (d->width % (4 * kPhilox) == 0)
      draw_wide(d, keys);
    else
      draw_narrow(d, keys);
  }
  const vec scale = set1(d->scale);
  for (int64_t r = 0; r < d->rows; r++) {
    const float* x = d->x.data + r * d->x.stride;
    float* y = d->y.data + r * d->y.stride;
    const uint32_t* kept = d->kept + r * d->kept_row;
    MG_EACH_VECTOR(c, n, d->width) store_n(y + c, keep_bits(mul(load_n(x + c, n), scale), kept[c / 32] >> c % 32), n);
  }
}

}  // namespace
}  // namespace mg
