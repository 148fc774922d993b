// See matrix.h. Combines the lanes' words by the documented layout, so a wrong index in a kernel gives wrong numbers here too.
#include "cuda/emulation/matrix.h"

namespace mg_cuda {
namespace {

// Eight columns of a row as a vector: an emulated product spends most of its time in these sums.
using Columns = float __attribute__((vector_size(32)));

// c (without its old value) from the words of all lanes. kPair: words are pairs of bfloat16.
template <bool kPair>
void combine(emulation::Words* lanes) {
  constexpr int kNumbers = kPair ? 2 : 1, kDepth = 8 * kNumbers;
  float a[16][kDepth], b[kDepth][8];
  for (int l = 0; l < kWarp; l++)
    for (int i = 0; i < 6; i++) {
      const int g = l / 4, k = kNumbers * (l % 4 + 4 * (i < 4 ? i / 2 : i - 4));
      for (int n = 0; n < kNumbers; n++) {
        const uint32_t word = lanes[l].word[i];
        // tf32: the instruction ignores the low bits
        const uint32_t bits = !kPair ? word & 0xFFFFE000u : n == 0 ? word << 16 : word & 0xFFFF0000u;
        (i < 4 ? a[g + 8 * (i % 2)][k + n] : b[k + n][g]) = float_of_bits(bits);
      }
    }
  float c[16][8];
  Columns b_rows[kDepth];
  std::memcpy(b_rows, b, sizeof b);
  for (int row = 0; row < 16; row++) {
    Columns sum = {};
    for (int k = 0; k < kDepth; k++) sum += a[row][k] * b_rows[k];
    std::memcpy(c[row], &sum, sizeof sum);
  }
  for (int l = 0; l < kWarp; l++)
    for (int i = 0; i < 4; i++) lanes[l].word[i] = bits_of_float(c[l / 4 + 8 * (i / 2)][2 * (l % 4) + i % 2]);
}

template <bool kPair>
void matrix_step(const char* name, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const emulation::Words* lanes = emulation::meet(name, {{a[0], a[1], a[2], a[3], b[0], b[1]}}, combine<kPair>);
  for (int i = 0; i < 4; i++) c[i] += float_of_bits(lanes[lane()].word[i]);
}

}  // namespace

void matrix_step_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { matrix_step<false>("matrix_step_tf32", c, a, b); }
void matrix_step_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { matrix_step<true>("matrix_step_bf16", c, a, b); }

}  // namespace mg_cuda
