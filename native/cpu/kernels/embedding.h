// Gathers embedding rows into columns of an activation: one id per row, the mean or sum of a row's ids, or all of them side by side.
//
// Bytes: dim floats in per id, dim out per row, or per id if they are not pooled. Rows of a table are scattered in memory, so prefetch
// them. Ids are in range (the engine checked them). In lists id 0 is padding, which gives zeros. The ids of a bag are summed in order.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/simd.h"

namespace mg {
namespace {

constexpr int64_t kAhead = 16;  // cache lines: a little less than a core can have in flight
constexpr int64_t kBagsAhead = 3;

// Always inline: GCC sees no effect in a call that only prefetches, and drops it.
inline __attribute__((always_inline)) void prefetch_row(const float* row, int64_t dim) {
  for (int64_t c = 0; c < dim; c += 16) __builtin_prefetch(row + c);
}

// Prefetches rows of `dim` floats.
inline int64_t rows_ahead(int64_t dim) { return dim <= 16 ? kAhead : dim >= 16 * kAhead / 2 ? 2 : 16 * kAhead / dim; }

inline void copy_row(const float* from, float* to, int64_t dim) {
  each_vector(dim, [&](int64_t c, int64_t n) { store_n(to + c, load_n(from + c, n), n); });
}

inline void gather_rows(const Gather* g) {
  const int64_t rows = g->rows, dim = g->dim, y_row = g->y_row, ahead = rows_ahead(dim);
  const int32_t* const ids = g->ids;
  const float* const table = g->table;
  float* y = g->y;
  for (int64_t r = 0; r < least(ahead, rows); r++) prefetch_row(table + ids[r] * dim, dim);
  for (int64_t r = 0; r < rows; r++, y += y_row) {
    if (r + ahead < rows) prefetch_row(table + ids[r + ahead] * dim, dim);
    copy_row(table + ids[r] * dim, y, dim);
  }
}

alignas(64) constexpr float kNothing[2 * kLanes] = {};

// Calls each(ids, count, present) for the ids of a bag, kLanes at a time, in order. Skips groups of only padding. Branches cannot predict
// where a bag's padding begins, so testing per group is cheaper than per id.
template <class Each>
inline __attribute__((always_inline)) void each_group(const int32_t* ids, int64_t length, const Each& each) {
  for (int64_t i = 0; i < length; i += kLanes) {
    const int64_t count = least(kLanes, length - i);
    if (const uint32_t bits = present(ids + i, count)) each(ids + i, count, bits);
  }
}

// kVectors vectors of the sum or mean of a bag's rows, the last one `last` wide. Padding adds 0, which changes no bit, as no sum is -0.
template <int kVectors>
inline void gather_bag(const Gather* g, const int32_t* ids, int64_t c, float* y, int64_t last) {
  vec sum[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; v++) sum[v] = zero();
  int64_t found = 0;
  each_group(ids, g->length, [&](const int32_t* id, int64_t count, uint32_t bits) {
    found += __builtin_popcount(bits);
    for (int64_t k = 0; k < count; k++) {
      const float* from = id[k] != 0 ? g->table + id[k] * g->dim + c : kNothing;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) sum[v] = add(sum[v], load_n(from + v * kLanes, v < kVectors - 1 ? kLanes : last));
    }
  });
  const vec scale = set1(g->combiner == MG_MEAN && found > 0 ? 1.0f / static_cast<float>(found) : 1.0f);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; v++) store_n(y + c + v * kLanes, mul(sum[v], scale), v < kVectors - 1 ? kLanes : last);
}

inline void gather_bags(const Gather* arguments) {
  const Gather g = *arguments;  // a local copy, which no store can change
  const auto fetch = [&](int64_t r) {
    if (r < g.rows)
      each_group(g.ids + r * g.length, g.length, [&](const int32_t* id, int64_t count, uint32_t) {
        for (int64_t k = 0; k < count; k++) prefetch_row(g.table + id[k] * g.dim, g.dim);
      });
  };
  for (int64_t r = 0; r < kBagsAhead; r++) fetch(r);
  for (int64_t r = 0; r < g.rows; r++) {
    fetch(r + kBagsAhead);
    const int32_t* const ids = g.ids + r * g.length;
    float* const y = g.y + r * g.y_row;
    int64_t c = 0;
    for (; c + 2 * kLanes <= g.dim; c += 2 * kLanes) gather_bag<2>(&g, ids, c, y, kLanes);
    for (; c < g.dim; c += kLanes) gather_bag<1>(&g, ids, c, y, least(kLanes, g.dim - c));
  }
}

inline void gather_items(const Gather* g) {
  const int64_t items = g->rows * g->length, length = g->length, dim = g->dim, ahead = rows_ahead(dim);
  const int32_t* const ids = g->ids;
  const float* const table = g->table;
  const auto fetch = [&](int64_t i) {
    if (i < items && ids[i] != 0) prefetch_row(table + ids[i] * dim, dim);
  };
  for (int64_t i = 0; i < ahead; i++) fetch(i);
  float* y = g->y;
  for (int64_t i = 0; i < items; y += g->y_row)
    for (int64_t k = 0; k < length; k++, i++) {
      fetch(i + ahead);
      if (ids[i] != 0)
        copy_row(table + ids[i] * dim, y + k * dim, dim);
      else
        each_vector(dim, [&](int64_t c, int64_t n) { store_n(y + k * dim + c, zero(), n); });
    }
}

void gather(const Gather* g) {
  if (g->combiner == MG_SINGLE)
    gather_rows(g);
  else if (g->combiner == MG_CONCAT)
    gather_items(g);
  else
    gather_bags(g);
}

// kVectors vectors of the sum of scale x[row] over the listed rows, in order; the last one is `last` wide.
template <int kVectors>
inline void sum_listed(const uint32_t* row, const uint32_t* end, const float* x, int64_t x_row, const float* scale, float* to, bool accumulate,
                       int64_t last) {
  vec sum[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; v++) sum[v] = accumulate ? load_n(to + v * kLanes, v < kVectors - 1 ? kLanes : last) : zero();
  for (; row < end; row++) {
    const float* from = x + *row * x_row;
    const vec own = set1(scale ? scale[*row] : 1.0f);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; v++) sum[v] = fma(own, load_n(from + v * kLanes, v < kVectors - 1 ? kLanes : last), sum[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; v++) store_n(to + v * kLanes, sum[v], v < kVectors - 1 ? kLanes : last);
}

void sum_rows(const SumRows* s) {
  const int64_t dim = s->dim, x_row = s->x_row, count = s->count;
  const uint32_t *const rows = s->rows, *const start = s->start, *const end = rows + s->listed;
  const float *const x = s->x, *const scale = s->scale;
  float* to = s->sum;
  const bool accumulate = s->accumulate;
  const Parameters& wanted = s->wanted;
  const float* const moments[] = {wanted.moment1, wanted.moment2, wanted.moment3};
  const uint32_t* ahead = rows + start[0];  // the next row to prefetch
  for (int64_t i = 0; i < count; i++, to += dim) {
    if (wanted.w) prefetch_row(wanted.w + wanted.ids[i] * dim, dim);
    if (wanted.average) prefetch_row(wanted.average + wanted.ids[i] * dim, dim);
    for (const float* of : moments)
      if (of) prefetch_row(of + wanted.ids[i] * wanted.moment_width, wanted.moment_width);
    const uint32_t *const own = rows + start[i], *const next = rows + start[i + 1];
    for (; ahead < next + kAhead && ahead < end; ahead++) prefetch_row(x + *ahead * x_row, dim);
    int64_t c = 0;
    for (; c + 2 * kLanes <= dim; c += 2 * kLanes) sum_listed<2>(own, next, x + c, x_row, scale, to + c, accumulate, kLanes);
    for (; c < dim; c += kLanes) sum_listed<1>(own, next, x + c, x_row, scale, to + c, accumulate, least(kLanes, dim - c));
  }
}

}  // namespace
}  // namespace mg
