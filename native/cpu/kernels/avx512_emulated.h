// Tests only (MG_ISAS_EMULATED): the intrinsics of AVX-512 and AMX that the kernels use, one function each, for processors with AVX2.
//
// In namespace mg they hide those of immintrin.h. Each does to every lane what its instruction does, in the same order, and touches no
// memory behind a masked-off lane. Not emulated: exceptions, and which of several NaN is passed on.
// Rule: kernels do not know this file. Write new intrinsics as the manual defines them, not as the kernels happen to use them.
#pragma once
#if defined(__clang__)
#error "MG_ISAS_EMULATED is for GCC"
#endif
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Macros if the compiler does not optimise.
#undef _mm512_cmp_ps_mask
#undef _mm512_cmpge_epu16_mask
#undef _mm512_cvtne2ps_pbh
#undef _mm512_dpbf16_ps
#undef _mm512_extractf32x8_ps
#undef _mm512_mask_i32scatter_ps
#undef _mm512_roundscale_ps
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_ps
#undef _mm512_slli_epi32
#undef _mm512_slli_epi64
#undef _mm512_srli_epi32
#undef _mm512_srli_epi64
#undef _mm512_ternarylogic_epi32
// Always macros.
#undef _tile_dpbf16ps
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero

namespace mg {
namespace {

typedef uint32_t lanes32 __attribute__((vector_size(64), may_alias));
typedef uint64_t lanes64 __attribute__((vector_size(64), may_alias));

inline __m512 floats(lanes32 v) { return reinterpret_cast<__m512>(v); }
inline __m512i integers(lanes32 v) { return reinterpret_cast<__m512i>(v); }
inline __m512i integers(lanes64 v) { return reinterpret_cast<__m512i>(v); }
inline lanes32 bits_of(__m512 v) { return reinterpret_cast<lanes32>(v); }
inline lanes32 bits_of(__m512i v) { return reinterpret_cast<lanes32>(v); }
inline lanes64 quads_of(__m512i v) { return reinterpret_cast<lanes64>(v); }

inline __m256 half(const __m512& v, int i) { return reinterpret_cast<const __m256*>(&v)[i]; }
inline __m256i half(const __m512i& v, int i) { return reinterpret_cast<const __m256i*>(&v)[i]; }
inline __m256d half(const __m512d& v, int i) { return reinterpret_cast<const __m256d*>(&v)[i]; }
inline __m512 whole(__m256 low, __m256 high) {
  __m512 v;
  reinterpret_cast<__m256*>(&v)[0] = low, reinterpret_cast<__m256*>(&v)[1] = high;
  return v;
}
inline __m512i whole(__m256i low, __m256i high) {
  __m512i v;
  reinterpret_cast<__m256i*>(&v)[0] = low, reinterpret_cast<__m256i*>(&v)[1] = high;
  return v;
}
inline __m512d whole(__m256d low, __m256d high) {
  __m512d v;
  reinterpret_cast<__m256d*>(&v)[0] = low, reinterpret_cast<__m256d*>(&v)[1] = high;
  return v;
}
// Operations that treat each lane, or each 128 bits, alike at either width.
#define MG_HALVES_1(f, a) whole(f(half(a, 0)), f(half(a, 1)))
#define MG_HALVES_2(f, a, b) whole(f(half(a, 0), half(b, 0)), f(half(a, 1), half(b, 1)))
#define MG_HALVES_3(f, a, b, c) whole(f(half(a, 0), half(b, 0), half(c, 0)), f(half(a, 1), half(b, 1), half(c, 1)))

// Masks: all bits of a lane, or none.
inline lanes32 spread(__mmask16 mask) {
  const lanes32 bit = {1,      1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                       1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
  return reinterpret_cast<lanes32>((bit & mask) != 0);
}
inline __mmask16 gathered(lanes32 all_or_none) {
  const __m512 v = floats(all_or_none);
  return static_cast<__mmask16>(_mm256_movemask_ps(half(v, 0)) | _mm256_movemask_ps(half(v, 1)) << 8);
}
inline lanes32 choose(__mmask16 mask, lanes32 set, lanes32 clear) { return (spread(mask) & set) | (~spread(mask) & clear); }

inline __m512 _mm512_castsi512_ps(__m512i v) { return floats(bits_of(v)); }
inline __m512i _mm512_castps_si512(__m512 v) { return integers(bits_of(v)); }
inline __m512d _mm512_castps_pd(__m512 v) { return reinterpret_cast<__m512d>(v); }
inline __m512 _mm512_castpd_ps(__m512d v) { return reinterpret_cast<__m512>(v); }
inline __m256 _mm512_castps512_ps256(__m512 v) { return half(v, 0); }
inline __m256 _mm512_extractf32x8_ps(__m512 v, int i) { return half(v, i & 1); }

inline __m512 _mm512_set1_ps(float x) { return __m512{} + x; }
inline __m512i _mm512_set1_epi16(short x) { return integers(lanes32{} + static_cast<uint16_t>(x) * 0x10001u); }
inline __m512i _mm512_set1_epi32(int x) { return integers(lanes32{} + static_cast<uint32_t>(x)); }
inline __m512i _mm512_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l, int m, int n, int o, int p) {
  return whole(_mm256_setr_epi32(a, b, c, d, e, f, g, h), _mm256_setr_epi32(i, j, k, l, m, n, o, p));
}

inline __m512 _mm512_loadu_ps(const void* p) { return *static_cast<const __m512_u*>(p); }
inline __m512i _mm512_loadu_si512(const void* p) { return *static_cast<const __m512i_u*>(p); }
inline void _mm512_storeu_ps(void* p, __m512 v) { *static_cast<__m512_u*>(p) = v; }
inline __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const void* p) {
  __m512 v = {};
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) v[i] = static_cast<const float*>(p)[i];
  return v;
}
inline __m512i _mm512_maskz_loadu_epi32(__mmask16 mask, const void* p) { return _mm512_castps_si512(_mm512_maskz_loadu_ps(mask, p)); }
inline __mmask16 _mm512_test_epi32_mask(__m512i a, __m512i b) { return gathered(reinterpret_cast<lanes32>((bits_of(a) & bits_of(b)) != 0)); }
inline void _mm512_mask_storeu_ps(void* p, __mmask16 mask, __m512 v) {
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) static_cast<float*>(p)[i] = v[i];
}
inline void _mm256_mask_storeu_epi32(void* p, __mmask8 mask, __m256i v) {
  for (int i = 0; i < 8; i++)
    if (mask >> i & 1) memcpy(static_cast<char*>(p) + 4 * i, reinterpret_cast<const char*>(&v) + 4 * i, 4);
}
inline void _mm512_mask_i32scatter_ps(void* p, __mmask16 mask, __m512i index, __m512 v, int scale) {
  for (int i = 0; i < 16; i++) {
    const float lane = v[i];
    if (mask >> i & 1) memcpy(static_cast<char*>(p) + int64_t{static_cast<int32_t>(bits_of(index)[i])} * scale, &lane, 4);
  }
}

inline __m512 _mm512_add_ps(__m512 a, __m512 b) { return a + b; }
inline __m512 _mm512_sub_ps(__m512 a, __m512 b) { return a - b; }
inline __m512 _mm512_mul_ps(__m512 a, __m512 b) { return a * b; }
inline __m512 _mm512_div_ps(__m512 a, __m512 b) { return a / b; }
inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) { return MG_HALVES_3(_mm256_fmadd_ps, a, b, c); }
inline __m512 _mm512_fnmadd_ps(__m512 a, __m512 b, __m512 c) { return MG_HALVES_3(_mm256_fnmadd_ps, a, b, c); }
inline __m512 _mm512_max_ps(__m512 a, __m512 b) { return MG_HALVES_2(_mm256_max_ps, a, b); }
inline __m512 _mm512_min_ps(__m512 a, __m512 b) { return MG_HALVES_2(_mm256_min_ps, a, b); }
inline __m512 _mm512_sqrt_ps(__m512 a) { return MG_HALVES_1(_mm256_sqrt_ps, a); }
inline __m512 _mm512_abs_ps(__m512 a) { return floats(bits_of(a) & 0x7FFFFFFFu); }
inline __m512 _mm512_roundscale_ps(__m512 a, int how) {
  if (how != (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)) __builtin_trap();  // no other is used
#define MG_ROUND(half) _mm256_round_ps(half, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
  return MG_HALVES_1(MG_ROUND, a);
#undef MG_ROUND
}
inline __m512i _mm512_cvtps_epi32(__m512 a) { return MG_HALVES_1(_mm256_cvtps_epi32, a); }
inline __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int how) {
  if (how == _CMP_LT_OQ) return gathered(reinterpret_cast<lanes32>(a < b));
  if (how == _CMP_UNORD_Q) return gathered(reinterpret_cast<lanes32>((a != a) | (b != b)));
  __builtin_trap();  // no other is used
}
// As the compiler does it: halves, quarters and so on. The upper part is the first operand down to four lanes, then the lower one.
inline float _mm512_reduce_max_ps(__m512 v) {
  const __m256 eight = _mm256_max_ps(half(v, 1), half(v, 0));
  const __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
  const __m128 two = _mm_max_ps(four, _mm_shuffle_ps(four, four, 0x4E));
  return _mm_cvtss_f32(_mm_max_ps(two, _mm_shuffle_ps(two, two, 0x11)));
}

inline __m512i _mm512_and_si512(__m512i a, __m512i b) { return integers(bits_of(a) & bits_of(b)); }
inline __m512i _mm512_or_si512(__m512i a, __m512i b) { return integers(bits_of(a) | bits_of(b)); }
inline __m512i _mm512_add_epi32(__m512i a, __m512i b) { return integers(bits_of(a) + bits_of(b)); }
inline __m512i _mm512_mullo_epi32(__m512i a, __m512i b) { return integers(bits_of(a) * bits_of(b)); }
inline __m512i _mm512_mul_epu32(__m512i a, __m512i b) { return integers((quads_of(a) & 0xFFFFFFFFu) * (quads_of(b) & 0xFFFFFFFFu)); }
inline __m512i _mm512_slli_epi32(__m512i a, unsigned n) { return n > 31 ? __m512i{} : integers(bits_of(a) << n); }
inline __m512i _mm512_srli_epi32(__m512i a, unsigned n) { return n > 31 ? __m512i{} : integers(bits_of(a) >> n); }
inline __m512i _mm512_slli_epi64(__m512i a, unsigned n) { return n > 63 ? __m512i{} : integers(quads_of(a) << n); }
inline __m512i _mm512_srli_epi64(__m512i a, unsigned n) { return n > 63 ? __m512i{} : integers(quads_of(a) >> n); }
inline __mmask32 _mm512_cmpge_epu16_mask(__m512i a, __m512i b) {
  __mmask32 mask = 0;
  for (int i = 0; i < 32; i++)
    mask |= static_cast<__mmask32>((bits_of(a)[i / 2] >> i % 2 * 16 & 0xFFFF) >= (bits_of(b)[i / 2] >> i % 2 * 16 & 0xFFFF)) << i;
  return mask;
}
inline __m512i _mm512_ternarylogic_epi32(__m512i a, __m512i b, __m512i c, int table) {
  const lanes32 x = bits_of(a), y = bits_of(b), z = bits_of(c);
  lanes32 result = {};
  for (int i = 0; i < 8; i++)
    if (table >> i & 1) result |= (i & 4 ? x : ~x) & (i & 2 ? y : ~y) & (i & 1 ? z : ~z);
  return integers(result);
}
inline __m256i _mm512_cvtepi32_epi16(__m512i v) {
  uint16_t low[16];
  for (int i = 0; i < 16; i++) low[i] = static_cast<uint16_t>(bits_of(v)[i]);
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low));
}

inline __m512 _mm512_mask_blend_ps(__mmask16 mask, __m512 a, __m512 b) { return floats(choose(mask, bits_of(b), bits_of(a))); }
inline __m512i _mm512_mask_blend_epi32(__mmask16 mask, __m512i a, __m512i b) { return integers(choose(mask, bits_of(b), bits_of(a))); }
inline __m512 _mm512_maskz_mov_ps(__mmask16 mask, __m512 v) { return floats(choose(mask, bits_of(v), lanes32{})); }

inline __m512 _mm512_unpacklo_ps(__m512 a, __m512 b) { return MG_HALVES_2(_mm256_unpacklo_ps, a, b); }
inline __m512 _mm512_unpackhi_ps(__m512 a, __m512 b) { return MG_HALVES_2(_mm256_unpackhi_ps, a, b); }
inline __m512i _mm512_unpacklo_epi64(__m512i a, __m512i b) { return MG_HALVES_2(_mm256_unpacklo_epi64, a, b); }
inline __m512i _mm512_unpackhi_epi64(__m512i a, __m512i b) { return MG_HALVES_2(_mm256_unpackhi_epi64, a, b); }
inline __m512d _mm512_unpacklo_pd(__m512d a, __m512d b) { return MG_HALVES_2(_mm256_unpacklo_pd, a, b); }
inline __m512d _mm512_unpackhi_pd(__m512d a, __m512d b) { return MG_HALVES_2(_mm256_unpackhi_pd, a, b); }
// Compute the lane separately: GCC 12's UndefinedBehaviorSanitizer loses it if the vector is a choice of two.
inline __m512 _mm512_shuffle_ps(__m512 a, __m512 b, int which) {
  __m512 v;
  for (int i = 0; i < 16; i++) {
    const int from = (i & 12) + (which >> 2 * (i & 3) & 3);
    v[i] = i & 2 ? b[from] : a[from];
  }
  return v;
}
inline __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int which) {
  __m512 v;
  for (int i = 0; i < 16; i++) {
    const int from = 4 * (which >> 2 * (i >> 2) & 3) + (i & 3);
    v[i] = i & 8 ? b[from] : a[from];
  }
  return v;
}

// It treats subnormal operands and results as zeros. The upper element of a pair goes first.
inline __m512 without_subnormals(__m512 v) {
  const lanes32 bits = bits_of(v), normal = reinterpret_cast<lanes32>((bits & 0x7F800000u) != 0);
  return floats(bits & (normal | 0x80000000u));
}
inline __m512 _mm512_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
  const lanes32 x = reinterpret_cast<lanes32>(a), y = reinterpret_cast<lanes32>(b);
  const auto add = [](__m512 c, lanes32 p, lanes32 q) {
    return without_subnormals(_mm512_fmadd_ps(without_subnormals(floats(p)), without_subnormals(floats(q)), c));
  };
  return add(add(without_subnormals(sum), x & 0xFFFF0000u, y & 0xFFFF0000u), x << 16, y << 16);
}

// Rounds both to nearest, ties to even, `low` first. NaN become quiet.
inline __m512bh _mm512_cvtne2ps_pbh(__m512 high, __m512 low) {
  uint16_t all[32];
  for (int i = 0; i < 32; i++) {
    const uint32_t bits = bits_of(without_subnormals(i < 16 ? low : high))[i % 16];
    const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    all[i] = static_cast<uint16_t>((is_nan ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
  }
  __m512bh result;
  memcpy(&result, all, sizeof result);
  return result;
}
inline __m512i _mm512_permutexvar_epi16(__m512i order, __m512i v) {
  uint16_t from[32], which[32], to[32];
  memcpy(from, &v, sizeof from), memcpy(which, &order, sizeof which);
  for (int i = 0; i < 32; i++) to[i] = from[which[i] & 31];
  memcpy(&v, to, sizeof to);
  return v;
}

// Tiles, only in the configuration used here: 16 rows of 64 bytes each.
struct Tile {
  __m512 row[16];
};
thread_local Tile tiles[8];

inline void _tile_loadconfig(const void* configuration) {
  const auto* bytes = static_cast<const uint8_t*>(configuration);
  if (bytes[0] != 1 || bytes[1] != 0) __builtin_trap();  // palette, first row
  for (int t = 0; t < 8; t++)
    if (bytes[16 + 2 * t] != 64 || bytes[17 + 2 * t] != 0 || bytes[48 + t] != 16) __builtin_trap();  // bytes of a row, rows
  memset(tiles, 0, sizeof tiles);
}
inline void _tile_release() {}
inline void _tile_zero(int t) { memset(&tiles[t], 0, sizeof tiles[t]); }
inline void _tile_loadd(int t, const void* from, size_t stride) {
  for (size_t i = 0; i < 16; i++) tiles[t].row[i] = _mm512_loadu_ps(static_cast<const char*>(from) + i * stride);
}
inline void _tile_stored(int t, void* to, size_t stride) {
  for (size_t i = 0; i < 16; i++) _mm512_storeu_ps(static_cast<char*>(to) + i * stride, tiles[t].row[i]);
}
// Sums the products of lower and of upper elements separately, each from zero. Subnormal numbers are zeros.
// Not sanitized: it takes most of a run's time and touches only tiles.
inline __attribute__((noinline, no_sanitize("address", "undefined"))) void _tile_dpbf16ps(int c, int a, int b) {
  lanes32 low[16], high[16];
  for (int k = 0; k < 16; k++) {
    low[k] = bits_of(without_subnormals(floats(bits_of(tiles[b].row[k]) << 16)));
    high[k] = bits_of(without_subnormals(floats(bits_of(tiles[b].row[k]) & 0xFFFF0000u)));
  }
  for (int i = 0; i < 16; i++) {
    const lanes32 row = bits_of(tiles[a].row[i]);
    const __m512 row_low = without_subnormals(floats(row << 16)), row_high = without_subnormals(floats(row & 0xFFFF0000u));
    __m512 sum_low = {}, sum_high = {};
    for (int k = 0; k < 16; k++) {
      sum_low = without_subnormals(_mm512_fmadd_ps(_mm512_set1_ps(row_low[k]), floats(low[k]), sum_low));
      sum_high = without_subnormals(_mm512_fmadd_ps(_mm512_set1_ps(row_high[k]), floats(high[k]), sum_high));
    }
    const __m512 sum = without_subnormals(sum_low + sum_high);
    tiles[c].row[i] = without_subnormals(without_subnormals(tiles[c].row[i]) + sum);
  }
}

#undef MG_HALVES_1
#undef MG_HALVES_2
#undef MG_HALVES_3

}  // namespace
}  // namespace mg
