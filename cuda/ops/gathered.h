// Ids and their columns of rows, as the kernels of gathers and table updates take them. Ids that are not pooled are bags of one id: the
// padding of such a bag gives zeros and has no gradient.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

struct Gathered {
  mg_view ids, columns;
  int64_t combiner;
};

// Calls each(Gathered) once, or once per column of ids that are not pooled.
template <class Each>
void each_gathered(const mg_view& ids, int64_t combiner, const mg_view& columns, const Each& each) {
  if (combiner != MG_CONCAT) return each(Gathered{ids, columns, combiner});
  const int64_t dim = columns.width / ids.width;
  for (int64_t k = 0; k < ids.width; k++) each(Gathered{{ids.buffer, ids.offset + k, 1}, {columns.buffer, columns.offset + k * dim, dim}, MG_SUM});
}

}  // namespace mg_cuda
