// The kernels for any processor: vectors of one lane.
#define MG_ISA_SCALAR 1
#include "cpu/kernels/table.h"

extern const mg::Kernels mg::kScalarKernels = MG_KERNEL_TABLE("scalar");
