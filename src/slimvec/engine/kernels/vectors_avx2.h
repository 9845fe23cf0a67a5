// AVX2 with FMA: eight lanes of fp32 (one ymm register). Tails are counts, because masked moves are slow on some
// processors and most vectors are whole; masks are registers.
#pragma once

#include <immintrin.h>

#include "elements.h"

namespace slimvec {

constexpr int LANES = 8;
// 6 rows x 2 vectors = 12 sums, 2 vectors of the panel and 1 broadcast activation: 15 of 16 registers. A step costs 2
// loads + 6 broadcasts for 12 multiply-adds, so the multipliers are the limit and not the loads.
constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 2;
// A block of activations and a panel of weights share an L2 cache of 512 kB.
constexpr long BLOCK_BYTES = 512 * 1024;

using Lanes = __m256;
using IntLanes = __m256i;
using Mask = __m256;

struct Tail {
  int count;
};

inline Tail tail(long count) { return {count >= LANES ? LANES : int(count)}; }

inline __m256i lanes_below(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// Lanes [low, high), both in [0, LANES].
inline Mask lanes_between(long low, long high) {
  return _mm256_castsi256_ps(_mm256_andnot_si256(lanes_below(int(low)), lanes_below(int(high))));
}

inline Lanes zeros() { return _mm256_setzero_ps(); }
inline Lanes splat(float value) { return _mm256_set1_ps(value); }
inline Lanes load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Lanes value) { _mm256_storeu_ps(to, value); }
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
inline Lanes multiply_subtract(Lanes a, Lanes b, Lanes c) { return _mm256_fmsub_ps(a, b, c); }
inline Lanes subtract_product(Lanes c, Lanes a, Lanes b) { return _mm256_fnmadd_ps(a, b, c); }
// Where a lane of `b` is NaN, so is the result's.
inline Lanes maximum(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
inline Lanes minimum(Lanes a, Lanes b) { return _mm256_min_ps(a, b); }
inline Lanes magnitude(Lanes a) { return _mm256_andnot_ps(splat(-0.0f), a); }
inline Lanes keep(Mask mask, Lanes value) { return _mm256_and_ps(mask, value); }
inline Lanes maximum_where(Lanes a, Mask mask, Lanes b) { return _mm256_blendv_ps(a, maximum(a, b), mask); }
inline Lanes round_lanes(Lanes a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// a * 2^n for whole n in [-126, 126], by adding n to the exponent
inline Lanes times_power(Lanes a, Lanes n) {
  const __m256i shifted = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), shifted));
}
// 1 / a: 12 bits, and one Newton step to 23
inline Lanes reciprocal(Lanes a) {
  const Lanes rough = _mm256_rcp_ps(a);
  return rough * subtract_product(splat(2.0f), a, rough);
}

inline Lanes widen_half(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Lanes load_half(const bf16* from, Tail tail) {
  if (tail.count == LANES) return widen_half(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  alignas(16) bf16 part[LANES] = {};
  std::memcpy(part, from, tail.count * sizeof(bf16));
  return widen_half(_mm_load_si128(reinterpret_cast<const __m128i*>(part)));
}
// Words of two bf16: the lower and the upper ones as fp32.
inline IntLanes load_words(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline Lanes lower_half(IntLanes words) { return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16)); }
inline Lanes upper_half(IntLanes words) {
  return _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(int32_t(0xffff0000))));
}

template <>
struct Element<float> {
  static constexpr int PACK = 1;
  using Sum = Lanes;
  using Start = float;
  static Lanes load_sums(const float* from) { return slimvec::load(from); }
  static Lanes load(const float* from, Tail tail) {
    return tail.count == LANES ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, lanes_below(tail.count));
  }
  static void store(float* to, Tail tail, Lanes value) {
    if (tail.count == LANES) return _mm256_storeu_ps(to, value);
    _mm256_maskstore_ps(to, lanes_below(tail.count), value);
  }
  using Vector = __m256;
  static Vector load_packed(const float* from) { return _mm256_loadu_ps(from); }
  static Vector broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static Lanes multiply_add(Lanes acc, Vector a, Vector b) { return _mm256_fmadd_ps(a, b, acc); }
};

#define SLIMVEC_INT8
typedef int IntSums __attribute__((vector_size(32)));

template <>
struct Element<byte> {
  using Sum = IntSums;
  using Start = int32_t;
  using Vector = __m256i;
#ifdef __AVXVNNI__
  // `vpdpbusd`: four products of an unsigned and a signed byte a lane, exact. An activation is unsigned with an offset of
  // 128; what the offset adds to a sum is taken off where it starts.
  static constexpr int PACK = 4;
  static constexpr int OFFSET = 128;
  using Activation = byte;
  static constexpr float limit(long) { return 127.0f; }  // sums stay below 2^31 up to a depth of 66,000
  static Vector load_packed(const byte* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static IntSums multiply_add(IntSums acc, Vector a, Vector b) {
    return reinterpret_cast<IntSums>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(acc), a, b));
  }
#else
  // Weights are signed bytes, widened to 16 bits as they are loaded; activations have 16 bits, so that `vpmaddwd` (two
  // products a lane, 32-bit sums) multiplies them without saturation.
  static constexpr int PACK = 2;
  static constexpr int OFFSET = 0;
  using Activation = int16_t;
  // Largest activation: sums of `depth` products with weights up to 127 stay below 2^31.
  static float limit(long depth) { return float(clamp_to(INT32_MAX / (127 * depth), 1, INT16_MAX)); }
  static Vector load_packed(const byte* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static IntSums multiply_add(IntSums acc, Vector a, Vector b) {
    return acc + reinterpret_cast<IntSums>(_mm256_madd_epi16(a, b));
  }
#endif
  static Vector broadcast(const Activation* from) {
    int32_t packed;
    std::memcpy(&packed, from, sizeof packed);
    return _mm256_set1_epi32(packed);
  }
  static IntSums load_sums(const int32_t* from) {
    return reinterpret_cast<IntSums>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Lanes to_float(IntSums sums) { return _mm256_cvtepi32_ps(reinterpret_cast<__m256i>(sums)); }
  // Write values, rounded and offset.
  static void store(Activation* to, Tail tail, Lanes value) {
    const __m256i rounded = _mm256_add_epi32(_mm256_cvtps_epi32(value), _mm256_set1_epi32(OFFSET));
    __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    if constexpr (sizeof(Activation) == 1) packed = _mm_packus_epi16(packed, packed);
    if (tail.count < LANES) return void(std::memcpy(to, &packed, tail.count * sizeof *to));
    if constexpr (sizeof(Activation) == 1) return _mm_storel_epi64(reinterpret_cast<__m128i*>(to), packed);
    return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), packed);
  }
};

}  // namespace slimvec
