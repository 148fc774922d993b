// Sums denominators in row order in double: the same bits for any number of threads. See denominators.h.
#include "engine/denominators.h"

#include <cmath>

namespace multigate {

double denominator(int64_t reduction, int64_t rows, const RowColumn& label, const RowColumn& weight) noexcept {
  if (reduction == 1) return static_cast<double>(rows);
  if (reduction == 2 && weight.data != nullptr) {
    double sum = 0;
    for (int64_t row = 0; row < rows; ++row) sum += std::isnan(label[row]) ? 0.0 : static_cast<double>(weight[row]);
    return sum;
  }
  if (label.complete) return static_cast<double>(rows);
  int64_t labelled = 0;  // an integer, so that no chain of float additions slows random reads of labels
  for (int64_t row = 0; row < rows; ++row) labelled += std::isnan(label[row]) ? 0 : 1;
  return static_cast<double>(labelled);
}

}  // namespace multigate
