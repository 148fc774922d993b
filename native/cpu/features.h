// Which ISAs this processor and operating system run, and the kernels of each.
#pragma once
#include "cpu/kernels.h"

namespace mg {

// Kernels of the named ISA, or of the best one for null; null when unknown here or not runnable.
const Kernels* find_kernels(const char* isa);

// Names, best first, ends in null.
const char* const* runnable_isas();

}  // namespace mg
