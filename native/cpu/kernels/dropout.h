// Dropout by counted random numbers: Philox4x32-10 (Salmon et al., SC 2011), one call for four columns of a row.
//
// Drawn once a step: the op that comes first keeps a bit per element, the op with the same numbers (its backward) reads it.
// Sixteen calls go side by side, kLanes at a time; they run on from row to row, so that a narrow row wastes none. Per 16
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

// bits[4 i + w]: word w of call i, whose counter is (row[i], step, group[i], high).
inline void philox(const Dropout* d, const PhiloxKeys& keys, const uint32_t* row, const uint32_t* group, uint32_t* bits) {
  const words first_factor = set_words(0xD2511F53u), second_factor = set_words(0xCD9E8D57u);
  for (int i = 0; i < kPhilox; i += kLanes) {
    words w0 = load_words(row + i), w1 = set_words(d->step), w2 = load_words(group + i), w3 = set_words(d->high);
#pragma GCC unroll 10
    for (int round = 0; round < kRounds; round++) {
      words high0, low0, high2, low2;
      multiply_wide(w0, first_factor, &high0, &low0);
      multiply_wide(w2, second_factor, &high2, &low2);
      w0 = exclusive_or(high2, w1, keys.first[round]), w2 = exclusive_or(high0, w3, keys.second[round]);
      w1 = low2, w3 = low0;
    }
    store_interleaved(bits + 4 * i, w0, w1, w2, w3);
  }
}

// The bits of all rows: bit c % 32 of kept[row][c / 32] is set where column c is kept.
inline void draw(const Dropout* d) {
  const int64_t groups = (d->width + 3) / 4;  // calls of a row
  PhiloxKeys keys;
  round_keys(d, &keys);
  uint32_t rows[kPhilox], columns[kPhilox], bits[4 * kPhilox];
  int64_t next_row = 0, next_group = 0;  // of the next call
  int64_t row = 0, group = 0;            // of the next one that is used
  while (row < d->rows) {
    for (int i = 0; i < kPhilox; i++) {
      rows[i] = d->first_row + static_cast<uint32_t>(next_row), columns[i] = static_cast<uint32_t>(next_group);
      if (++next_group == groups) next_group = 0, next_row++;
    }
    philox(d, keys, rows, columns, bits);
    for (int64_t used = 0; used < kPhilox && row < d->rows;) {
      // As many calls as the row still needs, within one word.
      const int64_t calls = least(least(kPhilox - used, groups - group), 8 - group % 8);
      const uint32_t* own = bits + 4 * used;
      uint32_t word = 0;
      int64_t c = 0;
      for (; c + kLanes <= 4 * calls; c += kLanes) word |= bits_from(own + c, d->limit) << c;
      for (; c < 4 * calls; c++) word |= static_cast<uint32_t>(own[c] >= d->limit) << c;
      uint32_t* const to = d->kept + row * d->kept_row + group / 8;
      *to = group % 8 == 0 ? word : *to | word << group % 8 * 4;
      used += calls, group += calls;
      if (group == groups) group = 0, row++;
    }
  }
}

void dropout(const Dropout* d) {
  if (!d->drawn) draw(d);
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
