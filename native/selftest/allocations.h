// Counts the allocations of this program: operator new, and calls of malloc and mmap from its own code. The linker inserts the counting
// (CMakeLists.txt), so the library does not know of it.
#pragma once
#include <cstdint>

namespace selftest {

/// Allocations of all threads so far; -1 if this build does not count them.
int64_t allocations() noexcept;

}  // namespace selftest
