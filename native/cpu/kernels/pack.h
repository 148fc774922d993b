// Packed copies of weights, refreshed after every update: panels for the forward product and, transposed, for dx.
//
// Reads the flat store in Keras's layout and writes whole panels, padded with zeros: so padded columns of a product are exact
// zeros. Bytes: the matrix once in, once out.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/bfloat16.h"

namespace mg {
namespace {

// forward[index][d][j] = W[d][index * kPanel + j]
void pack_forward(const Weights* w, const float* store, int64_t index) {
  float* panel = w->forward + index * w->forward_depth * kPanel;
  memset(panel, 0, static_cast<size_t>(w->depth) * kPanel * sizeof(float));
  const int64_t begin = index * kPanel, end = begin + kPanel;
  for (int64_t i = 0; i < w->part_count; i++) {
    const WeightColumns& part = w->parts[i];
    const int64_t from = part.column > begin ? part.column : begin, to = least(part.column + part.count, end);
    if (from >= to) continue;
    const float* source = store + part.offset + (from - part.column);
    for (int64_t d = 0; d < w->depth; d++)
      memcpy(panel + d * kPanel + (from - begin), source + d * part.stride, static_cast<size_t>(to - from) * sizeof(float));
  }
  narrow_forward_panel(w, panel, index);
  if (index > 0) return;
  memset(w->bias, 0, static_cast<size_t>(w->columns) * sizeof(float));
  for (int64_t i = 0; i < w->part_count; i++)
    if (w->parts[i].bias >= 0) memcpy(w->bias + w->parts[i].column, store + w->parts[i].bias, static_cast<size_t>(w->parts[i].count) * sizeof(float));
}

// backward[index][c][j] = W[index * kPanel + j][c]
void pack_backward(const Weights* w, const float* store, int64_t index) {
  float* panel = w->backward + index * w->columns * kPanel;
  memset(panel, 0, static_cast<size_t>(w->columns) * kPanel * sizeof(float));
  const int64_t begin = index * kPanel, count = least(kPanel, w->depth - begin);
  for (int64_t i = 0; i < w->part_count; i++) {
    const WeightColumns& part = w->parts[i];
    for (int64_t j = 0; j < count; j++) {
      const float* row = store + part.offset + (begin + j) * part.stride;
      for (int64_t c = 0; c < part.count; c++) panel[(part.column + c) * kPanel + j] = row[c];
    }
  }
  narrow_backward_panel(w, panel);
}

}  // namespace
}  // namespace mg
