// Denominators, summed in row order in double: the same bits for any number of threads; see denominators.h.
#include "engine/denominators.h"

#include <cmath>

namespace multigate {

double denominator(int64_t reduction, int64_t rows, const RowColumn& label, const RowColumn& weight) noexcept {
  if (reduction == 1) return static_cast<double>(rows);
  const bool weighted = reduction == 2 && weight.data != nullptr;
  double sum = 0;
  for (int64_t row = 0; row < rows; ++row) {
    if (std::isnan(label[row])) continue;
    sum += weighted ? static_cast<double>(weight[row]) : 1.0;
  }
  return sum;
}

}  // namespace multigate
