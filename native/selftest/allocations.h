// Counts what this program allocates: operator new, and malloc and mmap where its own code calls them. The linker puts the counting
// in front of both (CMakeLists.txt), so that nothing in the library knows of it.
#pragma once
#include <cstdint>

namespace selftest {

/// Allocations of all threads so far; -1 where this build does not count them.
int64_t allocations() noexcept;

}  // namespace selftest
