// The divisors of losses: scalar inputs that the engine computes while it assembles a batch.
#pragma once

#include <cstdint>

#include "abi/multigate.h"

namespace multigate {

/// Rows of one column of a row input, as the step reads them.
struct RowColumn {
  const float* data;  // element (row, column) at data[row * stride]; null: absent
  int64_t stride;
  const int32_t* row_index;  // null: sequential
  bool complete;             // known to have no NaN

  float operator[](int64_t row) const { return data[(row_index == nullptr ? row : row_index[row]) * stride]; }
};

/// valid (0): number of rows whose label is not NaN. batch (1): number of rows. weighted (2): sum of the weights of rows with a label.
double denominator(int64_t reduction, int64_t rows, const RowColumn& label, const RowColumn& weight) noexcept;

}  // namespace multigate
