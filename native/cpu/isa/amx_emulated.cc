// Tests only: the kernels for AMX with tiles in memory and vectors of AVX2, for processors without AVX-512.
//
// The target holds from here to the end of this file alone: nothing else in the build may use these instructions.
#if defined(__x86_64__) && defined(MG_TILES_EMULATED)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define MG_ISA_AVX2 1
#define MG_BFLOAT16_PAIRS 1
#define MG_TILES 1
#include "cpu/kernels/table.h"

extern const mg::Kernels mg::kAmxEmulatedKernels = MG_KERNEL_TABLE("amx_bf16");

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
