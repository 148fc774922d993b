// The two products of a backward pass, which dense layers and mixtures share: dz against the weights, and the rows against dz.
#pragma once
#include "cuda/device/kernel.h"
#include "cuda/ops/product.h"

namespace mg_cuda {

// dz[rows, w.columns] in float32. Or, for a mixture in bfloat16: the first w.rounded columns as bfloat16, with their sums over every `rows_of_sum`
// rows from before rounding, and the other columns in float32.
struct Dz {
  RowPointer exact;  // all columns if `rounded` is null, else those from w.rounded on
  const Bfloat16* rounded = nullptr;
  const float* sums = nullptr;
  int64_t rounded_stride = 0;  // of both; rows of `rounded` are aligned to 16 bytes
  int rows_of_sum = 0;         // divides 32
};

// dx[rows, dx_columns] (= or, with accumulate, +=) dz[rows, w.columns] W^T, for the first dx_columns of w.depth. The first w.rounded
// columns use the plan's precision, the others float32; if there are others, w.rounded is a multiple of 32. The padding of dz (columns
// without a part of w) must be 0.
void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, const Dz& dz, RowPointer dx, int64_t dx_columns, bool accumulate);

// Each split of the gradient, [w.depth, w.columns] = x^T dz and the last row = the sum of dz, over its share of rows [first_row, first_row + rows);
// += if the gradient says so, or if first_row > 0, because the rows of a run may come in several calls, in order. x and dz point at row first_row.
// Precision as above; the bias's sum uses dz unrounded.
void launch_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t first_row, int64_t rows, RowPointer x,
                            const Dz& dz);

// Number of threads for a split of a weight gradient.
int64_t gradient_threads(Precision precision, const Weights& w);

// The rows and sums of a launch of a weight gradient: block y computes split y.
struct Splits {
  int64_t rows;  // rows of the launch
  int64_t split_rows, count;
  float* first;
  int64_t floats;  // floats of a split
  bool adds;

  // For block y: its first row, its number of rows (0: none are left) and its matrix.
  __device__ int64_t row(unsigned y) const { return y * split_rows; }
  __device__ int64_t size(unsigned y) const {
    const int64_t left = rows - row(y), some = left < split_rows ? left : split_rows;
    return some > 0 ? some : 0;
  }
  __device__ float* matrix(unsigned y) const { return first + y * floats; }
};
Splits splits_of(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t first_row, int64_t rows);

}  // namespace mg_cuda
