// The kernels for AVX2 and FMA: most x86 servers.
//
// The target applies only from here to the end of this file: no other code in the build may use these instructions.
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define MG_ISA_AVX2 1
#include "cpu/kernels/table.h"

extern const mg::Kernels mg::kAvx2Kernels = MG_KERNEL_TABLE("avx2");

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
