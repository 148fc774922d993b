/* 64-byte aligned memory on malloc. Not aligned_alloc: before glibc 2.38 freed aligned blocks are not found again, and a
 * process that creates and disposes models grows without bound. */
#ifndef MULTIGATE_ABI_ALIGNED_H
#define MULTIGATE_ABI_ALIGNED_H

#include <stdint.h>
#include <stdlib.h>

/* Null where there is no such memory. Not zeroed. */
static inline void* mg_aligned_new(size_t bytes) {
  const size_t alignment = 64;
  char* block = bytes <= SIZE_MAX - 2 * alignment ? (char*)malloc(bytes + alignment) : 0;
  if (!block) return 0;
  char* aligned = block + (alignment - (uintptr_t)block % alignment);  /* malloc aligns to 16: room for the pointer before it */
  ((void**)aligned)[-1] = block;
  return aligned;
}

static inline void mg_aligned_delete(void* aligned) {
  if (aligned) free(((void**)aligned)[-1]);
}

#endif
