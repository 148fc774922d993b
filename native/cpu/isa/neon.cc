// The kernels for 64-bit ARM, all of which have NEON.
#if defined(__aarch64__)
#define MG_ISA_NEON 1
#include "cpu/kernels/table.h"

extern const mg::Kernels mg::kNeonKernels = MG_KERNEL_TABLE("neon");
#endif
