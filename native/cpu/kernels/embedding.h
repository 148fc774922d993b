// Gathers embedding rows into columns of an activation: one id per row, or the mean or sum of a row's ids.
//
// Bytes: dim floats in per id, dim out per row. Rows of a table lie anywhere in memory, so those to come are fetched ahead. Ids
// are in range (checked when they came in). In bags id 0 is padding and a
// row without ids gives zeros; the ids of a bag are summed in order.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int64_t kAhead = 8;  // rows: about as many as a core keeps under way

inline void prefetch_row(const float* row, int64_t dim) {
  for (int64_t c = 0; c < dim; c += 16) __builtin_prefetch(row + c);
}

void gather(const Gather* g) {
  if (g->combiner == 0) {
    for (int64_t r = 0; r < g->rows; r++) {
      if (r + kAhead < g->rows) prefetch_row(g->table + g->ids[r + kAhead] * g->dim, g->dim);
      const float* from = g->table + g->ids[r] * g->dim;
      MG_EACH_VECTOR(c, n, g->dim) store_n(g->y + r * g->y_row + c, load_n(from + c, n), n);
    }
    return;
  }
  for (int64_t r = 0; r < g->rows; r++) {
    const int32_t* ids = g->ids + r * g->length;
    if (r + 1 < g->rows)
      for (int64_t i = g->length; i < 2 * g->length && ids[i] != 0; i++) prefetch_row(g->table + ids[i] * g->dim, g->dim);
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

void scatter(const Scatter* s) {
  for (int64_t r = 0; r < s->rows; r++)
    MG_EACH_VECTOR(c, n, s->dim) store_n(s->table + s->ids[r] * s->dim + c, load_n(s->x + r * s->dim + c, n), n);
}

// sum[c] += scale x[row][c] over the rows listed, in their order.
void sum_rows(const SumRows* s) {
  for (int64_t k = 0; k < s->count; k++) {
    if (k + kAhead < s->listed) prefetch_row(s->x + s->rows[k + kAhead] * s->x_row, s->dim);
    const float* from = s->x + s->rows[k] * s->x_row;
    const vec scale = set1(s->scale ? s->scale[s->rows[k]] : 1.0f);
    MG_EACH_VECTOR(c, n, s->dim) store_n(s->sum + c, fma(scale, load_n(from + c, n), load_n(s->sum + c, n)), n);
  }
}

}  // namespace
}  // namespace mg
