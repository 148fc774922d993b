// A dense layer on a block of rows, forward and backward: gemm.h (thin.h for one or two outputs) plus activation and bias.
//
//   z = x W + b, y = f(z);  dz = dy f'(z), dW += x^T dz, db += sum dz, dx (=|+=) dz W^T
// dz exists only in scratch. FLOPs per row: 2 in out forward, twice that backward.
#pragma once
#include "cpu/kernels.h"
#include "cpu/kernels/bfloat16.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/math.h"
#include "cpu/kernels/thin.h"

namespace mg {
namespace {

template <int kActivation>
void activate_rows(int64_t rows, int64_t width, const float* z, int64_t z_row, float* y, int64_t y_row) {
  for (int64_t r = 0; r < rows; r++)
    each_vector(width, [&](int64_t c, int64_t count) { store_n(y + r * y_row + c, activate<kActivation>(load_n(z + r * z_row + c, count)), count); });
}

template <int kActivation>
void activate_backward_rows(const DenseBackward* d) {
  for (int64_t r = 0; r < d->rows; r++)
    each_vector(d->out, [&](int64_t c, int64_t count) {
      const vec y = load_n(d->y + r * d->y_row + c, count);
      const vec z = d->z ? load_n(d->z + r * d->z_row + c, count) : y;
      store_n(d->dz + r * d->dz_row + c, activate_backward<kActivation>(load_n(d->dy + r * d->dy_row + c, count), y, z), count);
    });
}

inline Gemm forward_product(int64_t rows, const float* x, int64_t x_row, const Weights* w, int64_t columns, float* c, int64_t c_row) {
  Gemm g{};
  g.rows = rows, g.columns = columns, g.depth = w->depth;
  g.a = x, g.a_row = x_row, g.a_depth = 1;
  g.b = w->forward, g.b_panel = w->forward_depth * kPanel, g.b_depth = kPanel;
  g.c = c, g.c_row = c_row;
  g.bias = w->bias;
  g.floor = -INFINITY;
  return g;
}

// gradient[d][c] += x^T dz for columns [column, column + columns) of dz [rows, w->columns].
inline void weight_gradient(int64_t rows, const float* x, int64_t x_row, const Weights* w, const float* dz, int64_t dz_row, WeightGradient gradient,
                            int64_t column, int64_t columns) {
  Gemm g{};
  g.rows = w->depth, g.columns = columns, g.depth = rows;
  g.a = x, g.a_row = 1, g.a_depth = x_row;
  g.b = dz + column, g.b_panel = kPanel, g.b_depth = dz_row;
  g.c = gradient.data + column, g.c_row = w->columns;
  g.accumulate = !gradient.first;
  g.floor = -INFINITY;
  gemm_of_rows(g);
}

// The last row of the gradient += the column sums of dz.
inline void bias_gradient(int64_t rows, const Weights* w, const float* dz, int64_t dz_row, WeightGradient gradient) {
  float* bias = gradient.data + w->depth * w->columns;
  for (int64_t c = 0; c < w->columns; c += kLanes) {
    vec sum = gradient.first ? zero() : load(bias + c);
    for (int64_t r = 0; r < rows; r++) sum = add(sum, load(dz + r * dz_row + c));
    store(bias + c, sum);
  }
}

// All gradients of one Weights from dz, if any are wanted. May round dz in place.
inline void weight_gradients(int64_t rows, const float* x, int64_t x_row, const Narrowed& narrowed, const Weights* w, float* dz, int64_t dz_row,
                             WeightGradient gradient) {
  if (gradient.data) bias_gradient(rows, w, dz, dz_row, gradient);
  if (w->rounded > 0) narrow_dz(rows, w, dz, dz_row, narrowed);
  if (!gradient.data) return;
  if (w->rounded > 0) rounded_weight_gradient(rows, x, x_row, w, dz, dz_row, gradient, narrowed);
  if (w->rounded < w->columns) weight_gradient(rows, x, x_row, w, dz, dz_row, gradient, w->rounded, w->columns - w->rounded);
}

// Call it after weight_gradients with the same dz.
inline void input_gradient(int64_t rows, const Weights* w, const float* dz, int64_t dz_row, float* dx, int64_t dx_row, int64_t dx_columns,
                           bool accumulate, const Narrowed& narrowed) {
  Gemm g{};
  g.rows = rows, g.columns = dx_columns, g.depth = w->columns;
  g.a = dz, g.a_row = dz_row, g.a_depth = 1;
  g.b = w->backward, g.b_panel = w->columns * kPanel, g.b_depth = kPanel;
  g.c = dx, g.c_row = dx_row;
  g.accumulate = accumulate;
  g.floor = -INFINITY;
  if (w->rounded > 0) rounded_input_gradient(g, w, narrowed);
  if (g.depth > 0) gemm(g);
  if (w->columns > 0 || accumulate) return;
  for (int64_t r = 0; r < rows; r++) memset(dx + r * dx_row, 0, static_cast<size_t>(dx_columns) * sizeof(float));  // no op reads this stream
}

void dense_forward(const DenseForward* d) {
  float* z = d->z ? d->z : d->y;
  const int64_t z_row = d->z ? d->z_row : d->y_row;
  Gemm g = forward_product(d->rows, d->x, d->x_row, d->weights, d->out, z, z_row);
  const bool thin = is_thin(d->weights, d->out), in_product = d->activation == MG_RELU && !d->z && !thin;
  if (in_product) g.floor = 0;
  if (thin)
    thin_forward(d->rows, d->x, d->x_row, d->weights, d->out, z, z_row);
  else if (d->weights->rounded > 0)
    rounded_forward(g, d->weights, d->narrowed.x);
  else
    gemm(g);
  if (in_product || (d->activation == MG_LINEAR && !d->z)) return;
  MG_WITH_ACTIVATION(d->activation, activate_rows, d->rows, d->out, z, z_row, d->y, d->y_row)
}

void dense_backward(const DenseBackward* d) {
  const int64_t dz_row = d->dz_row, columns = d->weights->columns;
  const bool thin = is_thin(d->weights, d->out);
  if (!thin && d->out < columns)  // products read the padding of dz
    for (int64_t r = 0; r < d->rows; r++) memset(d->dz + r * dz_row + d->out, 0, static_cast<size_t>(columns - d->out) * sizeof(float));
  MG_WITH_ACTIVATION(d->activation, activate_backward_rows, d)
  if (thin) {
    if (d->gradient.data) thin_weight_gradient(d->rows, d->x, d->x_row, d->weights, d->out, d->dz, dz_row, d->gradient);
    if (d->dx) thin_input_gradient(d->rows, d->weights, d->out, d->dz, dz_row, d->dx, d->dx_row, d->dx_columns, d->accumulate);
    return;
  }
  weight_gradients(d->rows, d->x, d->x_row, d->narrowed, d->weights, d->dz, dz_row, d->gradient);
  if (d->dx) input_gradient(d->rows, d->weights, d->dz, dz_row, d->dx, d->dx_row, d->dx_columns, d->accumulate, d->narrowed);
}

void copy_columns(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t y_row) {
  for (int64_t r = 0; r < rows; r++) memcpy(y + r * y_row, x + r * x_row, static_cast<size_t>(width) * sizeof(float));
}

}  // namespace
}  // namespace mg
