// Sixteen lanes of fp32 (one zmm register) and the element types activations and weights are held in.
//
// Everything above this file is written once for `float` and `bf16`. `bf16` multiplies pairs with `vdpbf16ps` (two
// products a lane and instruction, fp32 sums); `float` multiplies single values with FMA. `byte` multiplies fours with
// `vpdpbusd` (32-bit sums), for the products that int8.h quantises. `PACK` is that 2, 1 or 4: how many values along the
// summed axis lie side by side in a packed matrix.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace slimvec {

constexpr int LANES = 16;

struct bf16 {
  uint16_t bits;
};

// 8 bits: unsigned with an offset of 128 as an activation, signed as a weight.
struct byte {
  uint8_t bits;
};

inline __mmask16 lanes_mask(long count) {
  return count >= LANES ? __mmask16(0xffff) : __mmask16((1u << count) - 1u);
}

inline long round_up(long value, long step) { return (value + step - 1) / step * step; }

inline long clamp_to(long value, long low, long high) { return value < low ? low : value > high ? high : value; }

inline __m512 load_half(const bf16* from, __mmask16 mask) {
  const __m256i bits = _mm256_maskz_loadu_epi16(mask, from);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

template <class E>
struct Element;

template <>
struct Element<float> {
  static constexpr int PACK = 1;
  static __m512 load(const float* from, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, from); }
  static void store(float* to, __mmask16 mask, __m512 value) { _mm512_mask_storeu_ps(to, mask, value); }
  // acc[lane] += a * b[lane]
  using Vector = __m512;
  static Vector load_packed(const float* from) { return _mm512_loadu_ps(from); }
  static Vector broadcast(const float* from) { return _mm512_set1_ps(*from); }
  static __m512 multiply_add(__m512 acc, Vector a, Vector b) { return _mm512_fmadd_ps(a, b, acc); }
};

#ifdef __AVX512BF16__
#define SLIMVEC_BF16
template <>
struct Element<bf16> {
  static constexpr int PACK = 2;
  static __m512 load(const bf16* from, __mmask16 mask) { return load_half(from, mask); }
  static void store(bf16* to, __mmask16 mask, __m512 value) {
    _mm256_mask_storeu_epi16(to, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }
  // acc[lane] += a[0] * b[lane][0] + a[1] * b[lane][1]
  using Vector = __m512bh;
  static Vector load_packed(const bf16* from) { return reinterpret_cast<Vector>(_mm512_loadu_si512(from)); }
  static Vector broadcast(const bf16* from) {
    int32_t pair;
    std::memcpy(&pair, from, sizeof pair);
    return reinterpret_cast<Vector>(_mm512_set1_epi32(pair));
  }
  static __m512 multiply_add(__m512 acc, Vector a, Vector b) { return _mm512_dpbf16_ps(acc, a, b); }
};
#endif

#ifdef __AVX512VNNI__
#define SLIMVEC_INT8
typedef int int_lanes __attribute__((vector_size(64)));

template <>
struct Element<byte> {
  static constexpr int PACK = 4;
  static constexpr int OFFSET = 128;
  // acc[lane] += sum of a[i] * b[lane][i] for i in 0..3, a unsigned and b signed. Sums are vectors of int and not
  // __m512i, which is one of long: gcc 12 would copy a register at every change between the two.
  using Vector = __m512i;
  static Vector load_packed(const byte* from) { return _mm512_loadu_si512(from); }
  static Vector broadcast(const byte* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static int_lanes multiply_add(int_lanes acc, Vector a, Vector b) {
    return reinterpret_cast<int_lanes>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(acc), a, b));
  }
};
#endif

// 2^x to about 2e-7 relative, for x in [-126, 126]: x = n + r with |r| <= 1/2, and a polynomial for 2^r (Taylor of
// exp(r ln 2) up to r^6).
inline __m512 exp2_lanes(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-126.0f));
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.5403530e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3333558e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.6181291e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.5504109e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4022651e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9314718e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

constexpr float LOG2_E = 1.44269504f;

// x / (1 + exp(-z)), with z clamped to where exp stays finite.
inline __m512 times_sigmoid(__m512 x, __m512 z) {
  const __m512 limit = _mm512_set1_ps(80.0f);
  z = _mm512_max_ps(_mm512_min_ps(z, limit), _mm512_sub_ps(_mm512_setzero_ps(), limit));
  const __m512 denominator =
      _mm512_add_ps(_mm512_set1_ps(1.0f), exp2_lanes(_mm512_mul_ps(z, _mm512_set1_ps(-LOG2_E))));
  __m512 inverse = _mm512_rcp14_ps(denominator);  // 14 bits, and one Newton step to 28
  inverse = _mm512_mul_ps(inverse, _mm512_fnmadd_ps(denominator, inverse, _mm512_set1_ps(2.0f)));
  return _mm512_mul_ps(x, inverse);
}

inline __m512 silu(__m512 x) { return times_sigmoid(x, x); }

// GELU with tanh: x/2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
inline __m512 gelu_tanh(__m512 x) {
  const __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.044715f), _mm512_set1_ps(1.0f));
  return times_sigmoid(x, _mm512_mul_ps(_mm512_mul_ps(x, cubic), _mm512_set1_ps(1.5957691f)));
}

}  // namespace slimvec
