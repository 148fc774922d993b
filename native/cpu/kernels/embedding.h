// Gathers embedding rows into columns of an activation: one id per row, or the mean or sum of a row's ids.
//
// Bytes: dim floats in per id, dim out per row. Ids are in range (checked when they came in). In bags id 0 is padding and a
// row without ids gives zeros; the ids of a bag are summed in order.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

void gather(const Gather* g) {
  if (g->combiner == 0) {
    for (int64_t r = 0; r < g->rows; r++) {
      const float* from = g->table + g->ids[r] * g->dim;
      MG_EACH_VECTOR(c, n, g->dim) store_n(g->y + r * g->y_row + c, load_n(from + c, n), n);
    }
    return;
  }
  for (int64_t r = 0; r < g->rows; r++) {
    const int32_t* ids = g->ids + r * g->length;
    int64_t count = 0;
    for (int64_t i = 0; i < g->length; i++) count += ids[i] != 0;
    const vec scale = set1(g->combiner == 1 && count > 0 ? 1.0f / static_cast<float>(count) : 1.0f);
    MG_EACH_VECTOR(c, n, g->dim) {
      vec sum = zero();
      for (int64_t i = 0; i < g->length; i++)
        if (ids[i] != 0) sum = add(sum, load_n(g->table + ids[i] * g->dim + c, n));
      store_n(g->y + r * g->y_row + c, mul(sum, scale), n);
    }
  }
}

}  // namespace
}  // namespace mg
