#include "selftest/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(MG_COUNT_ALLOCATIONS)
#include <sys/mman.h>

namespace {
std::atomic<int64_t> count{0};
}

extern "C" {
void* __real_malloc(size_t bytes);
void* __real_calloc(size_t items, size_t bytes);
void* __real_realloc(void* block, size_t bytes);
void* __real_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset);

void* __wrap_malloc(size_t bytes) { return count++, __real_malloc(bytes); }
void* __wrap_calloc(size_t items, size_t bytes) { return count++, __real_calloc(items, bytes); }
void* __wrap_realloc(void* block, size_t bytes) { return count++, __real_realloc(block, bytes); }
void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  return count++, __real_mmap(address, bytes, protection, flags, file, offset);
}
}

// The other forms of operator new call these. The nothrow form is here because AddressSanitizer has its own.
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return std::malloc(bytes > 0 ? bytes : 1); }
void* operator new(size_t bytes) {
  void* block = operator new(bytes, std::nothrow);
  if (!block) throw std::bad_alloc();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

int64_t selftest::allocations() noexcept { return count; }
#else
int64_t selftest::allocations() noexcept { return -1; }
#endif
