// A vector of kLanes floats and its operations, for the ISA that the including file has chosen.
//
// Each file of isa/ includes it once, after its target pragma. Everything here is in an anonymous namespace inside mg, so the linker cannot
// use a symbol compiled for one ISA in code for another. For the same reason it uses no std::.
// Rule: a lane's result depends only on that lane, except in reduce_*, whose comments give the order.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(MG_ISA_AVX512) || defined(MG_ISA_AVX2)
#include <immintrin.h>
#if defined(MG_ISA_AVX512) && defined(MG_ISAS_EMULATED)
#include "cpu/kernels/avx512_emulated.h"
#endif
#elif defined(MG_ISA_NEON)
#include <arm_neon.h>
#endif

namespace mg {
namespace {

#if defined(MG_ISA_AVX512)

constexpr int kLanes = 16;
constexpr int kTileRows = 14;  // 14 x 2 sums + 2 of b + 1 of a = 31 of 32 registers
constexpr int kPanelVectors = 2;
typedef __m512 vec;

inline __mmask16 first(int64_t count) { return static_cast<__mmask16>((1u << count) - 1u); }
inline vec load(const float* p) { return _mm512_loadu_ps(p); }
inline vec load_n(const float* p, int64_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
inline void store(float* p, vec v) { _mm512_storeu_ps(p, v); }
inline void store_n(float* p, vec v, int64_t count) { _mm512_mask_storeu_ps(p, first(count), v); }
inline vec keep_n(vec v, int64_t count, float rest) { return _mm512_mask_blend_ps(first(count), _mm512_set1_ps(rest), v); }
inline vec set1(float x) { return _mm512_set1_ps(x); }
inline vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
inline vec sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
inline vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
inline vec div(vec a, vec b) { return _mm512_div_ps(a, b); }
inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
inline vec fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
inline vec max(vec a, vec b) { return _mm512_max_ps(a, b); }                // b if either is NaN
inline vec min(vec a, vec b) { return _mm512_min_ps(a, b); }
inline vec sqrt(vec a) { return _mm512_sqrt_ps(a); }
inline vec abs(vec a) { return _mm512_abs_ps(a); }
inline vec round(vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// a < b ? yes : no; false for NaN
inline vec select_less(vec a, vec b, vec yes, vec no) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes); }
// 2^n for integral n in [-126, 127]
inline vec power_of_two(vec n) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23)); }
// To the nearest bfloat16, ties to even; NaN stays NaN.
inline vec to_bfloat16(vec v) {
  const __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFF));
  const vec rounded = _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32(static_cast<int>(0xFFFF0000u))));
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), rounded, v);
}
// Words: kLanes unsigned integers. kWordVectors: number of vectors of four words that are processed together. Even and odd words
// are separate, each in the low half of 64 bits, where a multiplication reads it. The high halves hold anything.
struct words {
  __m512i even, odd;
};
constexpr int kWordVectors = 2;
inline words load_words(const uint32_t* p) {
  const __m512i all = _mm512_loadu_si512(p);
  return {all, _mm512_srli_epi64(all, 32)};
}
inline words set_words(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x)), _mm512_set1_epi32(static_cast<int>(x))}; }
inline words exclusive_or(words a, words b, words c) {
  return {_mm512_ternarylogic_epi32(a.even, b.even, c.even, 0x96), _mm512_ternarylogic_epi32(a.odd, b.odd, c.odd, 0x96)};
}
// The 64-bit products a b, halved.
inline void multiply_wide(words a, words b, words* high, words* low) {
  *low = {_mm512_mul_epu32(a.even, b.even), _mm512_mul_epu32(a.odd, b.odd)};
  *high = {_mm512_srli_epi64(low->even, 32), _mm512_srli_epi64(low->odd, 32)};
}
// Each lane has four words: 128 random bits of a call. Bit k of byte i: half k of lane call_lane(i) is at least the limit.
constexpr int call_lane(int i) { return 4 * (i % 4) + i / 4; }
inline void bits_from(words w0, words w1, words w2, words w3, uint16_t limit, uint8_t* bits) {
  const __m512i least_kept = _mm512_set1_epi16(static_cast<short>(limit));
  const auto two = [](__m512i low, __m512i high) { return _mm512_mask_blend_epi32(0xAAAA, low, _mm512_slli_epi64(high, 32)); };
  const auto four_calls = [&](int at, __m512i halves) {
    const uint32_t kept = _mm512_cmpge_epu16_mask(halves, least_kept);
    memcpy(bits + at, &kept, sizeof kept);
  };
  const __m512i even01 = two(w0.even, w1.even), even23 = two(w2.even, w3.even), odd01 = two(w0.odd, w1.odd), odd23 = two(w2.odd, w3.odd);
  four_calls(0, _mm512_unpacklo_epi64(even01, even23));
  four_calls(4, _mm512_unpacklo_epi64(odd01, odd23));
  four_calls(8, _mm512_unpackhi_epi64(even01, even23));
  four_calls(12, _mm512_unpackhi_epi64(odd01, odd23));
}
// v if the bit of its lane is set, counted from bit `from` of these bytes, a multiple of kLanes; else 0.
inline vec keep_bits(vec v, const uint8_t* bits, int64_t from) {
  __mmask16 own;
  memcpy(&own, bits + from / 8, sizeof own);
  return _mm512_maskz_mov_ps(own, v);
}
// A bit for each of the first `count` ids that is not 0; `count` is at most kLanes.
inline uint32_t present(const int32_t* ids, int64_t count) {
  const __m512i all = _mm512_maskz_loadu_epi32(first(count), ids);
  return _mm512_test_epi32_mask(all, all);
}
#if defined(MG_BFLOAT16_PAIRS)
// Pairs of bfloat16, each in a float's bits. Rounds to nearest, ties to even. Subnormal numbers become 0, as in a dot.
// Pairs of neighbours: (first[0], first[1]), ... (second[14], second[15]).
inline vec pairs_of_neighbours(vec first, vec second) { return reinterpret_cast<vec>(_mm512_cvtne2ps_pbh(second, first)); }
// Pairs per lane: (low, high).
inline vec pairs_of(vec low, vec high) {
  const __m512i order = _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008, 0x190009,
                                          0x1A000A, 0x1B000B, 0x1C000C, 0x1D000D, 0x1E000E, 0x1F000F);
  return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, _mm512_castps_si512(pairs_of_neighbours(low, high))));
}
// c + a.low b.low + a.high b.high
inline vec dot_pairs(vec a, vec b, vec c) { return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b)); }
#endif
inline __m128 fold(vec v) {  // lanes i, i+8, then i+4, i+12: halves added first
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
inline float reduce_max(vec v) { return _mm512_reduce_max_ps(v); }
// Swaps lane j of row[i] with lane i of row[j].
inline void transpose(vec* row) {
  vec pairs[kLanes], fours[kLanes];
  for (int i = 0; i < kLanes; i += 2) pairs[i] = _mm512_unpacklo_ps(row[i], row[i + 1]), pairs[i + 1] = _mm512_unpackhi_ps(row[i], row[i + 1]);
  for (int i = 0; i < kLanes; i += 4)
    for (int k = 0; k < 2; k++) {
      const __m512d low = _mm512_castps_pd(pairs[i + k]), high = _mm512_castps_pd(pairs[i + k + 2]);
      fours[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      fours[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  // fours[4 g + k]: its quarter q holds rows 4 g to 4 g + 3 of column 4 q + k
  for (int k = 0; k < 4; k++) {
    const vec even0 = _mm512_shuffle_f32x4(fours[k], fours[4 + k], 0x88), odd0 = _mm512_shuffle_f32x4(fours[k], fours[4 + k], 0xDD);
    const vec even1 = _mm512_shuffle_f32x4(fours[8 + k], fours[12 + k], 0x88), odd1 = _mm512_shuffle_f32x4(fours[8 + k], fours[12 + k], 0xDD);
    row[k] = _mm512_shuffle_f32x4(even0, even1, 0x88), row[4 + k] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
    row[8 + k] = _mm512_shuffle_f32x4(even0, even1, 0xDD), row[12 + k] = _mm512_shuffle_f32x4(odd0, odd1, 0xDD);
  }
}
// Writes the sums of four vectors to out[0..3].
inline void reduce_add4(vec a, vec b, vec c, vec d, float* out) {
  const vec ab = add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const vec cd = add(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  _mm_storeu_ps(out, fold(add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE))));
}
inline float reduce_add(vec v) {
  const __m128 four = fold(v), two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#elif defined(MG_ISA_AVX2)

constexpr int kLanes = 8;
constexpr int kTileRows = 6;  // 6 x 2 sums + 2 of b + 1 of a = 15 of 16 registers
constexpr int kPanelVectors = 2;
typedef __m256 vec;

alignas(64) constexpr int32_t kFirst[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
inline __m256i first(int64_t count) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst + 8 - count)); }
inline vec load(const float* p) { return _mm256_loadu_ps(p); }
inline vec load_n(const float* p, int64_t count) { return count == kLanes ? load(p) : _mm256_maskload_ps(p, first(count)); }
inline void store(float* p, vec v) { _mm256_storeu_ps(p, v); }
// No masked store: on AMD it takes a dozen cycles.
inline void store_n(float* p, vec v, int64_t count) {
  if (count == kLanes) return store(p, v);
  __m128 part = _mm256_castps256_ps128(v);
  if (count & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(v, 1), p += 4;
  }
  if (count & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
    part = _mm_movehl_ps(part, part), p += 2;
  }
  if (count & 1) _mm_store_ss(p, part);
}
inline vec keep_n(vec v, int64_t count, float rest) {
  if (count == kLanes) return v;
  return _mm256_blendv_ps(_mm256_set1_ps(rest), v, _mm256_castsi256_ps(first(count)));
}
inline vec set1(float x) { return _mm256_set1_ps(x); }
inline vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
inline vec sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
inline vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
inline vec div(vec a, vec b) { return _mm256_div_ps(a, b); }
inline vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
inline vec fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
inline vec max(vec a, vec b) { return _mm256_max_ps(a, b); }
inline vec min(vec a, vec b) { return _mm256_min_ps(a, b); }
inline vec sqrt(vec a) { return _mm256_sqrt_ps(a); }
inline vec abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline vec round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline vec select_less(vec a, vec b, vec yes, vec no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
inline vec power_of_two(vec n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23)); }
inline vec to_bfloat16(vec v) {
  const __m256i bits = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFF));
  const vec rounded = _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u))));
  return _mm256_blendv_ps(rounded, v, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}
struct words {  // even and odd words separate, as above
  __m256i even, odd;
};
constexpr int kWordVectors = 1;
inline words load_words(const uint32_t* p) {
  const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {all, _mm256_srli_epi64(all, 32)};
}
inline words set_words(uint32_t x) { return {_mm256_set1_epi32(static_cast<int>(x)), _mm256_set1_epi32(static_cast<int>(x))}; }
inline words exclusive_or(words a, words b, words c) {
  return {_mm256_xor_si256(_mm256_xor_si256(a.even, b.even), c.even), _mm256_xor_si256(_mm256_xor_si256(a.odd, b.odd), c.odd)};
}
inline void multiply_wide(words a, words b, words* high, words* low) {
  *low = {_mm256_mul_epu32(a.even, b.even), _mm256_mul_epu32(a.odd, b.odd)};
  *high = {_mm256_srli_epi64(low->even, 32), _mm256_srli_epi64(low->odd, 32)};
}
constexpr int call_lane(int i) { return i % 2 + i / 2 % 2 * 4 + i / 4 * 2; }
inline void bits_from(words w0, words w1, words w2, words w3, uint16_t limit, uint8_t* bits) {
  const __m256i least_kept = _mm256_set1_epi16(static_cast<short>(limit));
  const auto two = [](__m256i low, __m256i high) { return _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0xAA); };
  const auto kept = [&](__m256i halves) { return _mm256_cmpeq_epi16(_mm256_max_epu16(halves, least_kept), halves); };
  const auto four_calls = [&](int at, __m256i even, __m256i odd) {
    const int found = _mm256_movemask_epi8(_mm256_packs_epi16(kept(even), kept(odd)));
    memcpy(bits + at, &found, sizeof found);
  };
  const __m256i even01 = two(w0.even, w1.even), even23 = two(w2.even, w3.even), odd01 = two(w0.odd, w1.odd), odd23 = two(w2.odd, w3.odd);
  four_calls(0, _mm256_unpacklo_epi64(even01, even23), _mm256_unpacklo_epi64(odd01, odd23));
  four_calls(4, _mm256_unpackhi_epi64(even01, even23), _mm256_unpackhi_epi64(odd01, odd23));
}
inline vec keep_bits(vec v, const uint8_t* bits, int64_t from) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i own = _mm256_and_si256(_mm256_set1_epi32(bits[from / 8]), lane);
  return _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_cmpeq_epi32(own, lane)));
}
inline uint32_t present(const int32_t* ids, int64_t count) {
  const __m256i absent = _mm256_cmpeq_epi32(_mm256_maskload_epi32(ids, first(count)), _mm256_setzero_si256());
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(absent))) ^ 0xFF;
}
inline __m128 fold(vec v) { return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)); }
inline float reduce_max(vec v) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline void transpose(vec* row) {
  vec pairs[kLanes], fours[kLanes];
  for (int i = 0; i < kLanes; i += 2) pairs[i] = _mm256_unpacklo_ps(row[i], row[i + 1]), pairs[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
  for (int i = 0; i < kLanes; i += 4)
    for (int k = 0; k < 2; k++) {
      fours[i + 2 * k] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0x44);
      fours[i + 2 * k + 1] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0xEE);
    }
  for (int k = 0; k < 4; k++) {
    row[k] = _mm256_permute2f128_ps(fours[k], fours[4 + k], 0x20);
    row[4 + k] = _mm256_permute2f128_ps(fours[k], fours[4 + k], 0x31);
  }
}
inline void reduce_add4(vec a, vec b, vec c, vec d, float* out) {
  const vec ab = add(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const vec cd = add(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  _mm_storeu_ps(out, fold(add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE))));
}
inline float reduce_add(vec v) {
  const __m128 four = fold(v), two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

#elif defined(MG_ISA_NEON)

constexpr int kLanes = 4;
constexpr int kTileRows = 6;  // 6 x 4 sums + 4 of b + 1 of a = 29 of 32 registers
constexpr int kPanelVectors = 4;
typedef float32x4_t vec;

inline vec load(const float* p) { return vld1q_f32(p); }
inline vec load_n(const float* p, int64_t count) {
  if (count >= kLanes) return load(p);
  float all[kLanes] = {};
  memcpy(all, p, static_cast<size_t>(count) * sizeof(float));
  return load(all);
}
inline void store(float* p, vec v) { vst1q_f32(p, v); }
inline void store_n(float* p, vec v, int64_t count) {
  if (count >= kLanes) return store(p, v);
  float all[kLanes];
  store(all, v);
  memcpy(p, all, static_cast<size_t>(count) * sizeof(float));
}
inline uint32x4_t first(int64_t count) {
  const uint32_t lanes[kLanes] = {0, 1, 2, 3};
  return vcltq_u32(vld1q_u32(lanes), vdupq_n_u32(static_cast<uint32_t>(count)));
}
inline vec keep_n(vec v, int64_t count, float rest) { return vbslq_f32(first(count), v, vdupq_n_f32(rest)); }
inline vec set1(float x) { return vdupq_n_f32(x); }
inline vec add(vec a, vec b) { return vaddq_f32(a, b); }
inline vec sub(vec a, vec b) { return vsubq_f32(a, b); }
inline vec mul(vec a, vec b) { return vmulq_f32(a, b); }
inline vec div(vec a, vec b) { return vdivq_f32(a, b); }
inline vec fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
inline vec fnma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }
inline vec max(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // b where either is NaN, as on x86
inline vec min(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline vec sqrt(vec a) { return vsqrtq_f32(a); }
inline vec abs(vec a) { return vabsq_f32(a); }
inline vec round(vec a) { return vrndnq_f32(a); }
inline vec select_less(vec a, vec b, vec yes, vec no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
inline vec power_of_two(vec n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23)); }
inline vec to_bfloat16(vec v) {
  const uint32x4_t bits = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t up = vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7FFF));
  return vbslq_f32(vceqq_f32(v, v), vreinterpretq_f32_u32(vandq_u32(up, vdupq_n_u32(0xFFFF0000u))), v);
}
typedef uint32x4_t words;
constexpr int kWordVectors = 4;
inline words load_words(const uint32_t* p) { return vld1q_u32(p); }
inline words set_words(uint32_t x) { return vdupq_n_u32(x); }
inline words exclusive_or(words a, words b, words c) { return veorq_u32(veorq_u32(a, b), c); }
inline void multiply_wide(words a, words b, words* high, words* low) {
  const uint32x4_t first_two = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vget_low_u32(b)));
  const uint32x4_t last_two = vreinterpretq_u32_u64(vmull_high_u32(a, b));
  *low = vuzp1q_u32(first_two, last_two), *high = vuzp2q_u32(first_two, last_two);
}
constexpr int call_lane(int i) { return i; }
inline void bits_from(words w0, words w1, words w2, words w3, uint16_t limit, uint8_t* bits) {
  const uint8_t bit[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint16x8_t least_kept = vdupq_n_u16(limit);
  const auto call = [&](int at, uint64x2_t low, uint64x2_t high, int lane) {
    const uint16x8_t halves = vreinterpretq_u16_u64(lane == 0 ? vzip1q_u64(low, high) : vzip2q_u64(low, high));
    bits[at] = vaddv_u8(vand_u8(vmovn_u16(vcgeq_u16(halves, least_kept)), vld1_u8(bit)));
  };
  const uint64x2_t first01 = vreinterpretq_u64_u32(vzip1q_u32(w0, w1)), first23 = vreinterpretq_u64_u32(vzip1q_u32(w2, w3));
  const uint64x2_t last01 = vreinterpretq_u64_u32(vzip2q_u32(w0, w1)), last23 = vreinterpretq_u64_u32(vzip2q_u32(w2, w3));
  call(0, first01, first23, 0), call(1, first01, first23, 1);
  call(2, last01, last23, 0), call(3, last01, last23, 1);
}
inline vec keep_bits(vec v, const uint8_t* bits, int64_t from) {
  const uint32_t lane[kLanes] = {1, 2, 4, 8};
  const uint32x4_t own = vdupq_n_u32(static_cast<uint32_t>(bits[from / 8]) >> from % 8);
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vtstq_u32(own, vld1q_u32(lane))));
}
inline uint32_t present(const int32_t* ids, int64_t count) {
  uint32_t bits = 0;
  for (int64_t i = 0; i < count; i++) bits |= static_cast<uint32_t>(ids[i] != 0) << i;
  return bits;
}
inline float reduce_max(vec v) { return vmaxvq_f32(v); }
inline void transpose(vec* row) {
  const vec even_low = vzip1q_f32(row[0], row[2]), even_high = vzip2q_f32(row[0], row[2]);
  const vec odd_low = vzip1q_f32(row[1], row[3]), odd_high = vzip2q_f32(row[1], row[3]);
  row[0] = vzip1q_f32(even_low, odd_low), row[1] = vzip2q_f32(even_low, odd_low);
  row[2] = vzip1q_f32(even_high, odd_high), row[3] = vzip2q_f32(even_high, odd_high);
}
// Adds lanes 0 and 1, 2 and 3, then these two sums.
inline void reduce_add4(vec a, vec b, vec c, vec d, float* out) { store(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d))); }
inline float reduce_add(vec v) { return vaddvq_f32(v); }

#else  // scalar: the same code with vectors of one lane

constexpr int kLanes = 1;
constexpr int kTileRows = 4;  // 4 x 4 sums in 16 registers' worth of SSE2 or NEON that the compiler may use
constexpr int kPanelVectors = 4;
typedef float vec;

inline vec load(const float* p) { return *p; }
inline vec load_n(const float* p, int64_t count) { return count > 0 ? *p : 0.0f; }
inline void store(float* p, vec v) { *p = v; }
inline void store_n(float* p, vec v, int64_t count) {
  if (count > 0) *p = v;
}
inline vec keep_n(vec v, int64_t count, float rest) { return count > 0 ? v : rest; }
inline vec set1(float x) { return x; }
inline vec add(vec a, vec b) { return a + b; }
inline vec sub(vec a, vec b) { return a - b; }
inline vec mul(vec a, vec b) { return a * b; }
inline vec div(vec a, vec b) { return a / b; }
inline vec fma(vec a, vec b, vec c) { return a * b + c; }
inline vec fnma(vec a, vec b, vec c) { return c - a * b; }
inline vec max(vec a, vec b) { return a > b ? a : b; }
inline vec min(vec a, vec b) { return a < b ? a : b; }
inline vec sqrt(vec a) { return ::sqrtf(a); }
inline vec abs(vec a) { return ::fabsf(a); }
inline vec round(vec a) { return ::nearbyintf(a); }
inline vec select_less(vec a, vec b, vec yes, vec no) { return a < b ? yes : no; }
inline vec power_of_two(vec n) {
  if (n != n) return n;
  const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}
inline vec to_bfloat16(vec v) {
  if (v != v) return v;
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  bits = (bits + 0x7FFFu + (bits >> 16 & 1u)) & 0xFFFF0000u;
  memcpy(&v, &bits, sizeof bits);
  return v;
}
typedef uint32_t words;
constexpr int kWordVectors = 4;
inline words load_words(const uint32_t* p) { return *p; }
inline words set_words(uint32_t x) { return x; }
inline words exclusive_or(words a, words b, words c) { return a ^ b ^ c; }
inline void multiply_wide(words a, words b, words* high, words* low) {
  const uint64_t product = uint64_t{a} * b;
  *high = static_cast<uint32_t>(product >> 32), *low = static_cast<uint32_t>(product);
}
constexpr int call_lane(int i) { return i; }
inline void bits_from(words w0, words w1, words w2, words w3, uint16_t limit, uint8_t* bits) {
  const words all[4] = {w0, w1, w2, w3};
  int kept = 0;
  for (int k = 0; k < 8; k++) kept |= ((all[k / 2] >> k % 2 * 16 & 0xFFFF) >= limit) << k;
  *bits = static_cast<uint8_t>(kept);
}
inline vec keep_bits(vec v, const uint8_t* bits, int64_t from) { return bits[from / 8] >> from % 8 & 1 ? v : 0.0f; }
inline uint32_t present(const int32_t* ids, int64_t count) { return count > 0 && *ids != 0; }
inline float reduce_max(vec v) { return v; }
inline void transpose(vec*) {}
inline void reduce_add4(vec a, vec b, vec c, vec d, float* out) { out[0] = a, out[1] = b, out[2] = c, out[3] = d; }
inline float reduce_add(vec v) { return v; }

#endif

constexpr int kPanel = kPanelVectors * kLanes;  // columns of a packed panel

inline vec zero() { return set1(0.0f); }
inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Calls body(column, count) for each vector of a row. For whole vectors count is the constant kLanes, so no mask is computed. The last
// part has count < kLanes.
template <class Body>
inline __attribute__((always_inline)) void each_vector(int64_t width, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) body(c, int64_t{kLanes});
  if (c < width) body(c, width - c);
}

}  // namespace
}  // namespace mg
