// Scalar outputs: each is the sum of partial sums that ops write to plan.partials. See Plan::add_sum.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// Queue it before the ops: clears partial sums that no op writes in this run.
void clear_partials(const Context& context);
// Queue it after the ops of some phases: all scalar outputs = their old values plus the sums of these phases, in one launch.
void launch_scalar_sums(const Context& context, const Phases& phases);

// The scalar outputs so far, for kernels of the same run that follow the ops which add to them.
struct RunningSums {
  const ScalarSum* sums;
  int64_t count;
  const double *partials, *before;
};
RunningSums running_sums(const Context& context);

}  // namespace mg_cuda
