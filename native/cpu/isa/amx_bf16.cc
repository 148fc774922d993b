// The kernels for AMX: those of AVX-512, plus bfloat16 products on tile registers.
//
// The target applies only from here to the end of this file: no other code in the build may use these instructions.
#include "cpu/kernels.h"

#if defined(MG_HAS_AMX)
#if defined(MG_ISAS_EMULATED)
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,avx2,fma")
#endif
// GCC 12's AVX-512 headers pass an undefined vector where a mask covers every lane.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define MG_ISA_AVX512 1
#define MG_BFLOAT16_PAIRS 1
#define MG_TILES 1
#include "cpu/kernels/table.h"

extern const mg::Kernels mg::kAmxBf16Kernels = MG_KERNEL_TABLE("amx_bf16");

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
