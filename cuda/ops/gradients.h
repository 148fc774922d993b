// The two products of a backward pass, which dense layers and mixtures share: dz against the weights, and the rows against dz.
#pragma once
#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

// dx[rows, dx_columns] (= or, with accumulate, +=) dz[rows, w.columns] W^T, for the first dx_columns of w.depth. The first w.rounded
// columns in the plan's precision, the others in float32. The padding of dz (columns that no part of w has) must be 0.
void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, RowPointer dz, RowPointer dx, int64_t dx_columns, bool accumulate);

// For each slot that rows [first_row, first_row + rows) fill (first_row: a multiple of plan.slot_rows): each of its splits, [w.depth,
// w.columns] = x^T dz and the last row = the sum of dz, over the split's rows. x and dz point at row first_row. Precision as above; the
// bias's sum is of dz as it is.
void launch_weight_gradient(const Context& context, const Weights& w, int64_t first_row, int64_t rows, RowPointer x, RowPointer dz);

// Where a launch of a weight gradient finds its rows and puts its sums: block y works on split y % splits of slot y / splits.
struct SlotSplits {
  int64_t rows;  // of the launch
  int64_t slot_rows, split_rows, splits;
  float* first;  // split 0 of the first slot
  int64_t slot_floats, split_floats;

  unsigned blocks() const { return static_cast<unsigned>(blocks_of(rows, slot_rows) * splits); }
  // Of block y: its first row, how many it has (0: none are left), and its matrix.
  __device__ int64_t row(unsigned y) const { return y / splits * slot_rows + y % splits * split_rows; }
  __device__ int64_t count(unsigned y) const {
    const int64_t slot_end = (y / splits + 1) * slot_rows, split_end = row(y) + split_rows, end = split_end < slot_end ? split_end : slot_end;
    const int64_t left = (end < rows ? end : rows) - row(y);
    return left > 0 ? left : 0;
  }
  __device__ float* matrix(unsigned y) const { return first + y / splits * slot_floats + y % splits * split_floats; }
};
SlotSplits slot_splits(const Context& context, const Weights& w, int64_t first_row, int64_t rows);

}  // namespace mg_cuda
