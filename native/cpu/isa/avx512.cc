// The kernels for AVX-512 F, BW, DQ and VL.
//
// The target applies only from here to the end of this file: no other code in the build may use these instructions.
#if defined(__x86_64__)
#if defined(MG_ISAS_EMULATED)
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
// GCC 12's AVX-512 headers pass an undefined vector where a mask covers every lane.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define MG_ISA_AVX512 1
#include "cpu/kernels/table.h"

extern const mg::Kernels mg::kAvx512Kernels = MG_KERNEL_TABLE("avx512");

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
