/* 64-byte aligned memory on malloc. Not aligned_alloc: before glibc 2.38 freed aligned blocks are not found again, and a
 * process that creates and disposes models grows without bound.
 *
 * From 1 MiB on, Linux maps it, in huge pages where they are filled by three quarters: rows of embedding tables are read in no order, and
 * with small pages each would cost a walk through the page tables. Such memory is zero when it is new, page by page as it is touched. */
#ifndef MULTIGATE_ABI_ALIGNED_H
#define MULTIGATE_ABI_ALIGNED_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#include <sys/mman.h>
#define MG_HUGE_PAGES_ 1
#endif

/* Lies in front of the memory it belongs to. */
typedef struct mg_aligned_header_ {
  void* block;
  size_t mapped; /* bytes; 0: from malloc */
} mg_aligned_header_;

/* Null where there is no such memory. Its contents are undefined. */
static inline void* mg_aligned_new(size_t bytes) {
  const size_t alignment = 64;
  mg_aligned_header_ header = {0, 0};
  char* aligned;
#if defined(MG_HUGE_PAGES_)
  const size_t page = (size_t)2 << 20;
  if (bytes >= page / 2 && bytes <= SIZE_MAX / 2) {
    const size_t whole = (bytes + page / 4) / page * page, all = whole > bytes ? whole : bytes; /* whole: huge pages */
    header.mapped = all + page; /* room for the header and for the alignment; never touched, never resident */
    header.block = mmap(0, header.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (header.block == MAP_FAILED) return 0;
    aligned = (char*)header.block + (page - (uintptr_t)header.block % page);
    if (whole > 0) madvise(aligned, whole, MADV_HUGEPAGE);
    ((mg_aligned_header_*)aligned)[-1] = header;
    return aligned;
  }
#endif
  header.block = bytes <= SIZE_MAX - 2 * alignment ? malloc(bytes + alignment) : 0;
  if (!header.block) return 0;
  /* malloc aligns to 16: room for the header */
  aligned = (char*)header.block + (alignment - (uintptr_t)header.block % alignment);
  ((mg_aligned_header_*)aligned)[-1] = header;
  return aligned;
}

/* The same, all zero. What is mapped costs nothing here: the system zeroes a page when it is touched first. */
static inline void* mg_aligned_zeroed(size_t bytes) {
  void* aligned = mg_aligned_new(bytes);
  if (aligned && ((mg_aligned_header_*)aligned)[-1].mapped == 0) memset(aligned, 0, bytes);
  return aligned;
}

static inline void mg_aligned_delete(void* aligned) {
  mg_aligned_header_ header;
  if (!aligned) return;
  header = ((mg_aligned_header_*)aligned)[-1];
#if defined(MG_HUGE_PAGES_)
  if (header.mapped) {
    munmap(header.block, header.mapped);
    return;
  }
#endif
  free(header.block);
}

#endif
