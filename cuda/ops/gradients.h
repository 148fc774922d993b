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

// How the splits of a weight gradient share the rows of a run, and which rows a launch has. Unit u of the run's rows belongs to split u % count.
// Every unit is summed on its own and then added to its split, in order.
struct Splits {
  int64_t rows;  // of the launch
  int64_t unit_rows, count;
  int64_t first_unit;  // of the launch
  float* first;
  int64_t floats;  // of a split
  bool adds;

  // Calls work(first row of the launch, number of rows, whether to add) for the units of split y. A split without rows is written too.
  template <class Work>
  __device__ __forceinline__ void for_each_unit(unsigned y, const Work& work) const {
    const int64_t skipped = (y + count - first_unit % count) % count;
#pragma unroll 1
    for (int64_t i = skipped; i * unit_rows < rows || (i == y - first_unit && !adds); i += count) {
      const int64_t row = i * unit_rows, left = rows - row, some = left < unit_rows ? left : unit_rows;
      work(row, some > 0 ? static_cast<int>(some) : 0, adds || first_unit + i >= count);
    }
  }
  __device__ float* matrix(unsigned y) const { return first + y * floats; }
};
Splits splits_of(const Context& context, const Weights& w, const GradientPlace& gradient, int64_t unit, int64_t first_row, int64_t rows);

}  // namespace mg_cuda
