// Dropout by counted random numbers: Philox4x32-10 (Salmon et al., SC 2011), one call for four columns of a row.
//
// Sixteen calls go side by side in plain loops, which compilers turn into vectors.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int kPhilox = 16;

// words[w][i]: word w of call i, whose counter is (row, step, group + i, high).
inline void philox(const Dropout* d, uint32_t row, uint32_t group, uint32_t (*words)[kPhilox]) {
  for (uint32_t i = 0; i < kPhilox; i++)
    words[0][i] = row, words[1][i] = d->step, words[2][i] = group + i, words[3][i] = d->high;
  uint32_t key0 = d->key[0], key1 = d->key[1];
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < kPhilox; i++) {
      const uint64_t a = uint64_t{0xD2511F53u} * words[0][i], b = uint64_t{0xCD9E8D57u} * words[2][i];
      words[0][i] = static_cast<uint32_t>(b >> 32) ^ words[1][i] ^ key0;
      words[2][i] = static_cast<uint32_t>(a >> 32) ^ words[3][i] ^ key1;
      words[1][i] = static_cast<uint32_t>(b), words[3][i] = static_cast<uint32_t>(a);
    }
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
}

void dropout(const Dropout* d) {
  uint32_t words[4][kPhilox];
  for (int64_t r = 0; r < d->rows; r++)
    for (int64_t c = 0; c < d->width; c += 4 * kPhilox) {
      philox(d, d->first_row + static_cast<uint32_t>(r), static_cast<uint32_t>(c / 4), words);
      const float* x = d->x.data + r * d->x.stride + c;
      float* y = d->y.data + r * d->y.stride + c;
      const int64_t count = least(4 * kPhilox, d->width - c);
      for (int64_t i = 0; i < count; i++) y[i] = words[i % 4][i / 4] >= d->limit ? x[i] * d->scale : 0.0f;
    }
}

}  // namespace
}  // namespace mg
