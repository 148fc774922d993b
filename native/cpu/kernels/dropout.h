// Dropout by counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011), one call for eight columns of a row.
//
// A step draws them once: the first op keeps a bit per element, and the op with the same numbers (its backward) reads it.
// kept[row][c / 8], bit c % 8: column c is kept. kCalls calls run side by side and continue from row to row, so a narrow
// row wastes none. Per call: 20 multiplications and 40 exclusive ors; then an element in and out for each bit.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int kRounds = 10, kCalls = kWordVectors * kLanes;

struct PhiloxKeys {
  words first[kRounds], second[kRounds];
};

inline void round_keys(const Dropout* d, PhiloxKeys* keys) {
  uint32_t first = d->key[0], second = d->key[1];
  for (int round = 0; round < kRounds; round++, first += 0x9E3779B9u, second += 0xBB67AE85u)
    keys->first[round] = set_words(first), keys->second[round] = set_words(second);
}

// A byte per call, for (row[i], step, group[i], high), in the order of bits_from. All vectors go through a round together: a single one
// would wait for its multiplications.
inline void philox(const Dropout* d, const PhiloxKeys& keys, const uint32_t* row, const uint32_t* group, uint8_t* bits) {
  const words first_factor = set_words(0xD2511F53u), second_factor = set_words(0xCD9E8D57u);
  words w0[kWordVectors], w1[kWordVectors], w2[kWordVectors], w3[kWordVectors];
  for (int v = 0; v < kWordVectors; v++) {
    w0[v] = load_words(row + v * kLanes), w1[v] = set_words(d->step);
    w2[v] = load_words(group + v * kLanes), w3[v] = set_words(d->high);
  }
#pragma GCC unroll 10
  for (int round = 0; round < kRounds; round++)
#pragma GCC unroll 16
    for (int v = 0; v < kWordVectors; v++) {
      words high0, low0, high2, low2;
      multiply_wide(w0[v], first_factor, &high0, &low0);
      multiply_wide(w2[v], second_factor, &high2, &low2);
      w0[v] = exclusive_or(high2, w1[v], keys.first[round]), w2[v] = exclusive_or(high0, w3[v], keys.second[round]);
      w1[v] = low2, w3[v] = low0;
    }
  for (int v = 0; v < kWordVectors; v++) bits_from(w0[v], w1[v], w2[v], w3[v], d->limit, bits + v * kLanes);
}

inline void draw(const Dropout* d) {
  PhiloxKeys keys;
  round_keys(d, &keys);
  const auto groups = static_cast<uint32_t>((d->width + 7) / 8);  // calls per row
  uint32_t rows[kCalls], columns[kCalls];                         // of the next calls, by lane
  for (int i = 0; i < kCalls; i++) {
    const int lane = i - i % kLanes + call_lane(i % kLanes);
    rows[lane] = d->first_row + static_cast<uint32_t>(i) / groups, columns[lane] = static_cast<uint32_t>(i) % groups;
  }
  int64_t row = 0, group = 0;  // of the next call to use
  while (row < d->rows) {
    uint8_t drawn[kCalls];
    philox(d, keys, rows, columns, drawn);
    for (int i = 0; i < kCalls; i++) {
      const uint32_t next = columns[i] + kCalls % groups, over = next >= groups ? 1 : 0;
      columns[i] = next - over * groups, rows[i] += kCalls / groups + over;
    }
    for (int64_t used = 0; used < kCalls && row < d->rows;) {
      const int64_t calls = least(kCalls - used, groups - group);
      memcpy(d->kept + row * d->kept_row + group, drawn + used, static_cast<size_t>(calls));
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
    const uint8_t* kept = d->kept + r * d->kept_row;
    each_vector(d->width, [&](int64_t c, int64_t n) { store_n(y + c, keep_bits(mul(load_n(x + c, n), scale), kept, c), n); });
  }
}

}  // namespace
}  // namespace mg
