// CPU feature detection. An ISA needs both: CPUID offers it, and the operating system saves its registers on a context switch
// (XCR0). Without the second check, a system that hides the wide registers would raise an illegal instruction.
#include "cpu/features.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace mg {
namespace {

#if defined(__x86_64__)
constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;  // leaf 7, edx
constexpr unsigned kAvx512Bf16 = 1u << 5;                     // leaf 7.1, eax

// On request, Linux gives the tile registers to all threads of a process.
bool allowed_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

struct Features {
  bool avx2 = false, avx512 = false, avx512_bf16 = false, amx_bf16 = false;

  Features() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    const bool fma = c & bit_FMA, osxsave = c & bit_OSXSAVE;
    if (!osxsave || !fma || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    unsigned low, high;
    asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const bool saves_ymm = (low & 0x06) == 0x06, saves_zmm = (low & 0xE6) == 0xE6;
    const unsigned wanted = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    avx2 = saves_ymm && (b & bit_AVX2);
    avx512 = avx2 && saves_zmm && (b & wanted) == wanted;
    const bool has_tiles = (d & kAmxTile) && (d & kAmxBf16) && (low & 0x60000) == 0x60000;
    unsigned more;
    avx512_bf16 = avx512 && __get_cpuid_count(7, 1, &more, &b, &c, &d) && (more & kAvx512Bf16);
    amx_bf16 = avx512_bf16 && has_tiles && allowed_tiles();
#if defined(MG_ISAS_EMULATED)
    avx512 = avx512_bf16 = amx_bf16 = avx2;
#endif
  }
};
#endif

// The dispatch table: one row per ISA, best first.
struct Runnable {
  const Kernels* kernels[6] = {};
  const char* names[6] = {};

  Runnable() {
    int count = 0;
#if defined(__x86_64__)
    const Features features;
#if defined(MG_HAS_AMX)
    if (features.amx_bf16) kernels[count++] = &kAmxBf16Kernels;
#endif
    if (features.avx512_bf16) kernels[count++] = &kAvx512Bf16Kernels;
    if (features.avx512) kernels[count++] = &kAvx512Kernels;
    if (features.avx2) kernels[count++] = &kAvx2Kernels;
#elif defined(__aarch64__)
    kernels[count++] = &kNeonKernels;
#endif
    kernels[count++] = &kScalarKernels;
    for (int i = 0; i < count; i++) names[i] = kernels[i]->name;
  }
};

const Runnable& runnable() {
  static const Runnable table;
  return table;
}

}  // namespace

const Kernels* find_kernels(const char* isa) {
  for (const Kernels* kernels : runnable().kernels)
    if (kernels && (!isa || std::strcmp(isa, kernels->name) == 0)) return kernels;
  return nullptr;
}

const char* const* runnable_isas() { return runnable().names; }

}  // namespace mg
