// Scalar outputs: each is the sum of partial sums that ops leave in plan.partials. See Plan::add_sum.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// Queued before the ops: partial sums that nobody writes in this run are 0.
void clear_partials(const Context& context);
// Queued after the ops of some phases: all scalar outputs (=), what they were before and what these phases add, one launch.
void launch_scalar_sums(const Context& context, const Phases& phases);

}  // namespace mg_cuda
