// Rounding of operands to bfloat16, kept in float32: what a matrix instruction for bfloat16 would read, so that products have
// the same meaning where there is none. A product of two such numbers is exact in float32. Bytes: rows in, rows out.
#pragma once
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

// y may be x.
inline void round_rows(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t y_row) {
  for (int64_t r = 0; r < rows; r++)
    MG_EACH_VECTOR(c, n, width) store_n(y + r * y_row + c, to_bfloat16(load_n(x + r * x_row + c, n)), n);
}

}  // namespace
}  // namespace mg
