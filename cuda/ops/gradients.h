// The two products of a backward pass, which dense layers and mixtures share: dz against the weights, and the rows against dz.
#pragma once
#include "cuda/device/kernel.h"
#include "cuda/ops/pointwise.h"
#include "cuda/ops/product.h"

namespace mg_cuda {

// dz[rows, columns] in float32. Or, for a mixture in bfloat16: the first w.rounded columns as bfloat16, with their sums over every `rows_of_sum`
// rows from before rounding, and the other columns in float32.
struct Dz {
  RowPointer exact;  // all columns if `rounded` is null, else those from w.rounded on
  int columns;       // of both; at least those with a part of w, as others count as 0
  const Bfloat16* rounded = nullptr;
  const float* sums = nullptr;
  int64_t rounded_stride = 0;  // of both; rows of `rounded` are aligned to 16 bytes
  int rows_of_sum = 0;         // divides 32
};

// dx[rows, dx_columns] (= or, with accumulate, +=) dz[rows, w.columns] W^T, for the first dx_columns of w.depth. The first w.rounded
// columns use the plan's precision, the others float32; if there are others, w.rounded is a multiple of 32. Columns of dz without a part of w must
// be 0. `epilogue` follows; it says whether dx is stored too.
void launch_input_gradient(const Context& context, const Weights& w, int64_t rows, const Dz& dz, RowPointer dx, int64_t dx_columns, bool accumulate,
                           const PointwiseRows& epilogue);

// Each split of the gradient, [w.depth, w.columns] = x^T dz and the last row = the sum of dz, over its share of rows [first_row, first_row + rows);
// += if the gradient says so. unit: 0, or the rows of the run come in several calls, in order, all but the last with a multiple of `unit` rows. The
// bits do not depend on how many calls. x and dz point at row first_row. Precision as above; the bias's sum uses dz unrounded.
void launch_weight_gradient(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row, int64_t rows,
                            RowPointer x, const Dz& dz);

// Number of threads for a split of a weight gradient.
int64_t gradient_threads(Precision precision, const Weights& w);

// How the splits of a weight gradient share the rows of a run, and which rows come in a call. Unit u of the run's rows belongs to split u % count.
// Every unit is summed on its own and then added to its split, in order: a launch has at most one unit of each split.
struct Splits {
  int rows;  // of the call
  int unit_rows, count;
  int first_unit;  // of the call
  float* first;
  int64_t floats;  // of a split
  bool adds;
  int launched = 0;  // units of the call in earlier launches

  // Calls work(splits) for each launch of the call, in order.
  template <class Work>
  void each_launch(const Work& work) const {
    for (Splits launch = *this; launch.launched < units(); launch.launched += count) work(launch);
  }
  // The number of units in the call, at least one for each split that must be written even if it has no rows.
  __host__ __device__ int units() const {
    const int some = (rows + unit_rows - 1) / unit_rows;
    return first_unit > 0 || adds || some > count ? some : count;
  }
  // The number of units in the launch.
  __host__ __device__ int blocks() const { return units() - launched < count ? units() - launched : count; }

  // Of unit y of the launch: its first row in the call, its number of rows, its split, and whether it is added to what the split holds.
  __device__ __forceinline__ int row(unsigned y) const { return unit(y) * unit_rows; }
  __device__ __forceinline__ int size(unsigned y) const {
    const int left = rows - row(y), some = left < unit_rows ? left : unit_rows;
    return some > 0 ? some : 0;
  }
  __device__ __forceinline__ float* matrix(unsigned y) const { return first + (first_unit + unit(y)) % count * floats; }
  __device__ __forceinline__ bool is_added(unsigned y) const { return adds || first_unit + unit(y) >= count; }

  __device__ __forceinline__ int unit(unsigned y) const { return launched + static_cast<int>(y); }
};
Splits splits_of(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row, int64_t rows);

}  // namespace mg_cuda
