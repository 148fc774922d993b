// The ISAs that this processor and operating system run, and their kernels.
#pragma once
#include "cpu/kernels.h"

namespace mg {

// Kernels of the named ISA, or of the best one for null. Returns null if the ISA is unknown or cannot run.
const Kernels* find_kernels(const char* isa);

// Names, best first, null-terminated.
const char* const* runnable_isas();

}  // namespace mg
