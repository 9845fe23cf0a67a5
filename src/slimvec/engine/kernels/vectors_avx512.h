// AVX-512: sixteen lanes of fp32 (one zmm register), tails and masks in mask registers.
//
// `bf16` multiplies pairs with `vdpbf16ps` (two products a lane and instruction, fp32 sums); `float` multiplies single
// values with FMA; `byte` multiplies fours with `vpdpbusd` (32-bit sums), for the products that int8.h quantises.
#pragma once

#include <immintrin.h>

#include "elements.h"

namespace slimvec {

constexpr int LANES = 16;
// 6 rows x 4 vectors = 24 sums, 4 vectors of the panel and 1 broadcast activation: 29 of 32 registers. A step costs 4
// loads + 6 broadcasts for 24 multiply-adds, so the multipliers are the limit and not the loads.
constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 4;
// A block of activations and a panel of weights share an L2 cache of 1 MB.
constexpr long BLOCK_BYTES = 512 * 1024;

using Lanes = __m512;
using IntLanes = __m512i;
using Mask = __mmask16;
using Tail = __mmask16;

// The first `count` lanes.
inline Tail tail(long count) { return count >= LANES ? Tail(0xffff) : Tail((1u << count) - 1u); }
// Lanes [low, high), both in [0, LANES].
inline Mask lanes_between(long low, long high) { return tail(high) & ~tail(low); }

inline Lanes zeros() { return _mm512_setzero_ps(); }
inline Lanes splat(float value) { return _mm512_set1_ps(value); }
inline Lanes load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Lanes value) { _mm512_storeu_ps(to, value); }
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
inline Lanes multiply_subtract(Lanes a, Lanes b, Lanes c) { return _mm512_fmsub_ps(a, b, c); }
inline Lanes subtract_product(Lanes c, Lanes a, Lanes b) { return _mm512_fnmadd_ps(a, b, c); }
// Where a lane of `b` is NaN, so is the result's.
inline Lanes maximum(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
inline Lanes minimum(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }
inline Lanes magnitude(Lanes a) { return _mm512_abs_ps(a); }
inline Lanes keep(Mask mask, Lanes value) { return _mm512_maskz_mov_ps(mask, value); }
inline Lanes maximum_where(Lanes a, Mask mask, Lanes b) { return _mm512_mask_max_ps(a, mask, a, b); }
inline Lanes round_lanes(Lanes a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// a * 2^n for whole n in [-126, 126]
inline Lanes times_power(Lanes a, Lanes n) { return _mm512_scalef_ps(a, n); }
// 1 / a: 14 bits, and one Newton step to 28
inline Lanes reciprocal(Lanes a) {
  const Lanes rough = _mm512_rcp14_ps(a);
  return rough * subtract_product(splat(2.0f), a, rough);
}

inline Lanes load_half(const bf16* from, Tail mask) {
  const __m256i bits = _mm256_maskz_loadu_epi16(mask, from);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
// Words of two bf16: the lower and the upper ones as fp32.
inline IntLanes load_words(const void* from) { return _mm512_loadu_si512(from); }
inline Lanes lower_half(IntLanes words) { return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16)); }
inline Lanes upper_half(IntLanes words) {
  return _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(int32_t(0xffff0000))));
}

template <>
struct Element<float> {
  static constexpr int PACK = 1;
  using Sum = Lanes;
  using Start = float;
  static Lanes load_sums(const float* from) { return slimvec::load(from); }
  static Lanes load(const float* from, Tail mask) { return _mm512_maskz_loadu_ps(mask, from); }
  static void store(float* to, Tail mask, Lanes value) { _mm512_mask_storeu_ps(to, mask, value); }
  using Vector = __m512;
  static Vector load_packed(const float* from) { return _mm512_loadu_ps(from); }
  static Vector broadcast(const float* from) { return _mm512_set1_ps(*from); }
  static Lanes multiply_add(Lanes acc, Vector a, Vector b) { return _mm512_fmadd_ps(a, b, acc); }
};

#ifdef __AVX512BF16__
#define SLIMVEC_BF16
template <>
struct Element<bf16> {
  static constexpr int PACK = 2;
  using Sum = Lanes;
  using Start = float;
  static Lanes load_sums(const float* from) { return slimvec::load(from); }
  static Lanes load(const bf16* from, Tail mask) { return load_half(from, mask); }
  static void store(bf16* to, Tail mask, Lanes value) {
    _mm256_mask_storeu_epi16(to, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }
  using Vector = __m512bh;
  static Vector load_packed(const bf16* from) { return reinterpret_cast<Vector>(_mm512_loadu_si512(from)); }
  static Vector broadcast(const bf16* from) {
    int32_t pair;
    std::memcpy(&pair, from, sizeof pair);
    return reinterpret_cast<Vector>(_mm512_set1_epi32(pair));
  }
  static Lanes multiply_add(Lanes acc, Vector a, Vector b) { return _mm512_dpbf16_ps(acc, a, b); }
};
#endif

#ifdef __AVX512VNNI__
#define SLIMVEC_INT8
// Sums are vectors of int and not __m512i, which is one of long: gcc 12 would copy a register at every change between
// the two.
typedef int IntSums __attribute__((vector_size(64)));

// An activation is unsigned with an offset of 128, a weight signed; what the offset adds to a sum is taken off where
// it starts.
template <>
struct Element<byte> {
  static constexpr int PACK = 4;
  using Sum = IntSums;
  using Start = int32_t;
  static constexpr int OFFSET = 128;
  using Activation = byte;
  static constexpr float limit(long) { return 127.0f; }  // sums stay below 2^31 up to a depth of 66,000
  using Vector = __m512i;
  static Vector load_packed(const byte* from) { return _mm512_loadu_si512(from); }
  static Vector broadcast(const byte* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static IntSums multiply_add(IntSums acc, Vector a, Vector b) {
    return reinterpret_cast<IntSums>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(acc), a, b));
  }
  static IntSums load_sums(const int32_t* from) { return reinterpret_cast<IntSums>(_mm512_loadu_si512(from)); }
  static Lanes to_float(IntSums sums) { return _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sums)); }
  // Write values, rounded and offset, as bytes.
  static void store(byte* to, Tail mask, Lanes value) {
    const __m512i rounded = _mm512_cvtps_epi32(value);
    _mm512_mask_cvtepi32_storeu_epi8(to, mask, _mm512_add_epi32(rounded, _mm512_set1_epi32(OFFSET)));
  }
};
#endif

}  // namespace slimvec
