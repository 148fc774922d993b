// Dropout by counted random numbers: Philox4x32-10 (Salmon et al., SC 2011), one call for four columns of a row.
//
// Sixteen calls go side by side, kLanes at a time; they run on from row to row, so that a narrow row wastes none. Per 16
// calls: 320 multiplications and as many exclusive ors; then 64 elements in, 64 out.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int kPhilox = 16;

// bits[4 i + w]: word w of call i, whose counter is (row[i], step, group[i], high).
inline void philox(const Dropout* d, const uint32_t* row, const uint32_t* group, uint32_t* bits) {
  const words first_factor = set_words(0xD2511F53u), second_factor = set_words(0xCD9E8D57u);
  for (int i = 0; i < kPhilox; i += kLanes) {
    words w0 = load_words(row + i), w1 = set_words(d->step), w2 = load_words(group + i), w3 = set_words(d->high);
    uint32_t key0 = d->key[0], key1 = d->key[1];
    for (int round = 0; round < 10; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
      words high0, low0, high2, low2;
      multiply_wide(w0, first_factor, &high0, &low0);
      multiply_wide(w2, second_factor, &high2, &low2);
      w0 = exclusive_or(high2, w1, set_words(key0)), w2 = exclusive_or(high0, w3, set_words(key1));
      w1 = low2, w3 = low0;
    }
    store_interleaved(bits + 4 * i, w0, w1, w2, w3);
  }
}

void dropout(const Dropout* d) {
  const int64_t groups = (d->width + 3) / 4;  // calls of a row
  const vec scale = set1(d->scale);
  uint32_t rows[kPhilox], columns[kPhilox], bits[4 * kPhilox];
  int64_t next_row = 0, next_group = 0;  // of the next call
  int64_t row = 0, group = 0;            // of the next one that is used
  while (row < d->rows) {
    for (int i = 0; i < kPhilox; i++) {
      rows[i] = d->first_row + static_cast<uint32_t>(next_row), columns[i] = static_cast<uint32_t>(next_group);
      if (++next_group == groups) next_group = 0, next_row++;
    }
    philox(d, rows, columns, bits);
    for (int64_t used = 0; used < kPhilox && row < d->rows;) {
      const int64_t calls = least(kPhilox - used, groups - group), count = least(4 * calls, d->width - 4 * group);
      const float* x = d->x.data + row * d->x.stride + 4 * group;
      float* y = d->y.data + row * d->y.stride + 4 * group;
      MG_EACH_VECTOR(c, n, count) {
        uint32_t last[kLanes];
        const uint32_t* own = bits + 4 * used + c;
        if (n < kLanes) own = static_cast<const uint32_t*>(memcpy(last, own, static_cast<size_t>(n) * sizeof(uint32_t)));
        store_n(y + c, keep_from(mul(load_n(x + c, n), scale), own, d->limit), n);
      }
      used += calls, group += calls;
      if (group == groups) group = 0, row++;
    }
  }
}

}  // namespace
}  // namespace mg
