// See scalar_sums.h. One block per scalar output, in double. For each of its lists of partial sums, in the order of the ops, thread t adds
// numbers t, t + blockDim, ... , then block_sum adds the threads. The sum, divided by the denominator if there is one, is added to the total.
#include "cuda/scalar_sums.h"

#include "cuda/device/kernel.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 512;

// A denominator of 0: no row counts.
__global__ void scalar_sums_kernel(const ScalarSum* sums, int64_t count, const double* partials, const double* scalars, const double* before,
                                   Phases phases, double* out) {
  begin_kernel();
  double total = before[blockIdx.x];
  for (int64_t s = 0; s < count; s++) {
    const ScalarSum own = sums[s];
    if (own.output != blockIdx.x || own.phase < phases.first || own.phase > phases.last) continue;
    double sum = 0;
#pragma unroll 4
    for (int64_t i = threadIdx.x; i < own.count; i += blockDim.x) sum += partials[own.first + i];
    sum = block_sum(sum, shared_memory<double>());
    block_barrier();
    const double denominator = own.denominator < 0 ? 1 : scalars[own.denominator];
    if (denominator != 0) total += sum / denominator;
  }
  if (threadIdx.x == 0) out[blockIdx.x] = total;
}

}  // namespace

RunningSums running_sums(const Context& context) {
  const Plan& plan = context.plan;
  return {plan.sums_table.data(), static_cast<int64_t>(plan.sums.size()), context.partials(), context.scalars_before()};
}

void clear_partials(const Context& context) {
  if (context.plan.partial_count > 0)
    context.stream.zero(context.plan.partials.data(), static_cast<size_t>(context.plan.partial_count) * sizeof(double));
}

void launch_scalar_sums(const Context& context, const Phases& phases) {
  const Plan& plan = context.plan;
  if (plan.scalar_outputs == 0) return;
  context.stream.launch(scalar_sums_kernel, {plan.scalar_outputs}, kThreads, kThreads / kWarp * sizeof(double), plan.sums_table.data(),
                        static_cast<int64_t>(plan.sums.size()), plan.partials.data<const double>(), context.scalars(), context.scalars_before(),
                        phases, context.scalars_out());
}

}  // namespace mg_cuda
