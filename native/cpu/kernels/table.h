// The kernel table of one ISA, and the measurement of its multiply-add peak. Included last by each file of isa/.
#pragma once
#include "cpu/kernels/dense.h"
#include "cpu/kernels/dropout.h"
#include "cpu/kernels/embedding.h"
#include "cpu/kernels/fusion.h"
#include "cpu/kernels/loss.h"
#include "cpu/kernels/mixture.h"
#include "cpu/kernels/optimize.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/update.h"

namespace mg {
namespace {

// 12 independent sums: 2 a cycle at a latency of 4 need 8. Every loop over them is unrolled, so that none is in memory; the
// empty asm keeps the compiler from computing ahead.
#define MG_EACH_SUM _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++)
double peak(int64_t steps) {
  vec sums[12];
  MG_EACH_SUM sums[i] = zero();
  const vec scale = set1(0.999f), offset = set1(1e-4f);
  for (int64_t step = 0; step < steps; step++) MG_EACH_SUM {
      sums[i] = fma(sums[i], scale, offset);
#if defined(MG_ISAS_EMULATED)
      asm volatile("" : "+m"(sums[i]));
#elif defined(MG_ISA_AVX512)
      asm volatile("" : "+v"(sums[i]));
#elif defined(__x86_64__)
      asm volatile("" : "+x"(sums[i]));
#elif defined(__aarch64__)
      asm volatile("" : "+w"(sums[i]));
#endif
    }
  float kept = 0;
  MG_EACH_SUM kept += reduce_add(sums[i]);
  volatile float sink = kept;
  (void)sink;
  return 2.0 * 12 * kLanes * static_cast<double>(steps);
}

}  // namespace
}  // namespace mg

// clang-format off
#define MG_KERNEL_TABLE(name)                                                                                     \
  {                                                                                                               \
    name, mg::kPairs, mg::kPanel, mg::pack_forward, mg::pack_backward, mg::copy_columns, mg::gather, mg::dense_forward, \
    mg::dense_backward, mg::mixture_forward, mg::mixture_backward, mg::fusion_forward, mg::fusion_backward,         \
    mg::dropout, mg::binary_loss, mg::binary_predict, mg::product_loss, mg::product_predict, mg::squared_loss,      \
    mg::multiclass_loss, mg::multiclass_predict, mg::sum_slots, mg::penalty, mg::update, mg::sum_rows, mg::peak                                               \
  }
