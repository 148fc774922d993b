// The two products of a backward pass, which dense layers and mixtures share: dz against the weights, and the rows against dz.
#pragma once
#include "cuda/device/kernel.h"
#include "cuda/ops/product.h"

namespace mg_cuda {

// dz[rows, w.columns]: float32; or, of a mixture in bfloat16, the first w.rounded columns as bfloat16, with their sums over every `rows_of_sum` rows
// as they were before they were rounded, and the others in float32.
struct Dz {
  RowPointer exact;  // where `rounded` is null all columns, else those from w.rounded on
  const Bfloat16* rounded = nullptr;
  const float* sums = nullptr;
  int64_t rounded_stride = 0;  // of both; rows of `rounded` start on 16 bytes
  int rows_of_sum = 0;         // divides 32
};

// dx[rows, dx_columns] (= or, with accumulate, +=) dz[rows, w.columns] W^T, for the first dx_columns of w.depth. The first w.rounded
// columns in the plan's precision, the others in float32; where there are others, w.rounded is a multiple of 32. The padding of dz (columns
// that no part of w has) must be 0.
void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, const Dz& dz, RowPointer dx, int64_t dx_columns, bool accumulate);

// Each split of the gradient, [w.depth, w.columns] = x^T dz and the last row = the sum of dz, over its share of rows [first_row, first_row + rows);
// += where first_row > 0, as the rows of a run may come in several calls, in order, and where the gradient says so. x and dz point at row first_row.
// Precision as above; the bias's sum is of dz as it is.
void launch_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t first_row, int64_t rows, RowPointer x,
                            const Dz& dz);

// Threads that a split of a weight gradient takes.
int64_t gradient_threads(Precision precision, const Weights& w);

// Where a launch of a weight gradient finds its rows and puts its sums: block y works on split y.
struct Splits {
  int64_t rows;  // of the launch
  int64_t split_rows, count;
  float* first;
  int64_t floats;  // of a split
  bool adds;

  // Of block y: its first row, how many it has (0: none are left), and its matrix.
  __device__ int64_t row(unsigned y) const { return y * split_rows; }
  __device__ int64_t size(unsigned y) const {
    const int64_t left = rows - row(y), some = left < split_rows ? left : split_rows;
    return some > 0 ? some : 0;
  }
  __device__ float* matrix(unsigned y) const { return first + y * floats; }
};
Splits splits_of(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t first_row, int64_t rows);

}  // namespace mg_cuda
