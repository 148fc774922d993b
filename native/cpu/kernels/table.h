// The kernel table of one ISA, and the measurement of its multiply-add peak. Included last by each file of isa/.
#pragma once
#include "cpu/kernels/dense.h"
#include "cpu/kernels/dropout.h"
#include "cpu/kernels/embedding.h"
#include "cpu/kernels/fusion.h"
#include "cpu/kernels/gate_noise.h"
#include "cpu/kernels/loss.h"
#include "cpu/kernels/mixture.h"
#include "cpu/kernels/optimize.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/update.h"

namespace mg {
namespace {

// 12 independent sums: 2 a cycle at a latency of 4 need 8. Every loop over them is unrolled, so that no sum is in memory. The
// empty asm keeps the compiler from precomputing.
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
// By name, so that no two kernels of one type are swapped and none is forgotten.
#pragma GCC diagnostic error "-Wmissing-field-initializers"
#define MG_KERNEL_TABLE(isa)                      \
  {                                               \
    .name = isa,                                  \
    .multiplies_bfloat16 = mg::kPairs,            \
    .panel = mg::kPanel,                          \
    .pack_forward = mg::pack_forward,             \
    .pack_backward = mg::pack_backward,           \
    .copy_columns = mg::copy_columns,             \
    .gather = mg::gather,                         \
    .dense_forward = mg::dense_forward,           \
    .dense_backward = mg::dense_backward,         \
    .mixture_forward = mg::mixture_forward,       \
    .mixture_backward = mg::mixture_backward,     \
    .fusion_forward = mg::fusion_forward,         \
    .fusion_backward = mg::fusion_backward,       \
    .dropout = mg::dropout,                       \
    .gate_noise = mg::gate_noise,                 \
    .binary_loss = mg::binary_loss,               \
    .binary_predict = mg::binary_predict,         \
    .product_loss = mg::product_loss,             \
    .product_predict = mg::product_predict,       \
    .regression_loss = mg::regression_loss,       \
    .regression_predict = mg::regression_predict, \
    .ziln_loss = mg::ziln_loss,                   \
    .ziln_predict = mg::ziln_predict,             \
    .ordinal_loss = mg::ordinal_loss,             \
    .ordinal_predict = mg::ordinal_predict,       \
    .order_loss = mg::order_loss,                 \
    .multiclass_loss = mg::multiclass_loss,       \
    .multiclass_predict = mg::multiclass_predict, \
    .sum_slots = mg::sum_slots,                   \
    .dot = mg::dot,                               \
    .weighted_sum = mg::weighted_sum,             \
    .penalty = mg::penalty,                       \
    .update = mg::update,                         \
    .sum_rows = mg::sum_rows,                     \
    .peak = mg::peak,                             \
  }
