// AVX-512 without AVX-512: read before everything else (-include), it gives the intrinsics that vectors_avx512.h uses as
// SIMDe's portable functions, and as the loops below where Debian's SIMDe has none yet. What the loops compute is what
// the instruction's description says, so that the tests of the kernels mean the same as on the processor.
#pragma once

#include <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace slimvec_emulation {

template <class To, class From>
inline To bits(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <class Vector, class Element, class Body>
inline Vector lanes(const Body& body) {
  Element values[sizeof(Vector) / sizeof(Element)];
  for (size_t i = 0; i < sizeof(Vector) / sizeof(Element); ++i) values[i] = body(i);
  return bits<Vector>(values);
}

template <class Element, class Vector>
inline Element lane(const Vector& vector, size_t index) {
  Element value;
  std::memcpy(&value, reinterpret_cast<const char*>(&vector) + index * sizeof(Element), sizeof value);
  return value;
}

inline simde__m512 maskz_loadu_ps(uint16_t mask, const void* from) {
  return lanes<simde__m512, float>([&](size_t i) {
    float value = 0;
    if (mask >> i & 1) std::memcpy(&value, static_cast<const char*>(from) + i * sizeof value, sizeof value);
    return value;
  });
}

inline void mask_storeu_ps(void* to, uint16_t mask, simde__m512 vector) {
  for (size_t i = 0; i < 16; ++i) {
    const float value = lane<float>(vector, i);
    if (mask >> i & 1) std::memcpy(static_cast<char*>(to) + i * sizeof value, &value, sizeof value);
  }
}

inline simde__m256i maskz_loadu_epi16(uint16_t mask, const void* from) {
  return lanes<simde__m256i, uint16_t>([&](size_t i) {
    uint16_t value = 0;
    if (mask >> i & 1) std::memcpy(&value, static_cast<const char*>(from) + i * sizeof value, sizeof value);
    return value;
  });
}

template <class Vector>
inline void mask_storeu_epi16(void* to, uint16_t mask, const Vector& vector) {
  for (size_t i = 0; i < 16; ++i) {
    const uint16_t value = lane<uint16_t>(vector, i);
    if (mask >> i & 1) std::memcpy(static_cast<char*>(to) + i * sizeof value, &value, sizeof value);
  }
}

inline void mask_cvtepi32_storeu_epi8(void* to, uint16_t mask, simde__m512i vector) {
  for (size_t i = 0; i < 16; ++i)
    if (mask >> i & 1) static_cast<uint8_t*>(to)[i] = uint8_t(lane<int32_t>(vector, i));
}

inline simde__m512i cvtps_epi32(simde__m512 vector) {
  return lanes<simde__m512i, int32_t>([&](size_t i) { return _mm_cvtss_si32(_mm_set_ss(lane<float>(vector, i))); });
}

inline simde__m512 cvtepi32_ps(simde__m512i vector) {
  return lanes<simde__m512, float>([&](size_t i) { return float(lane<int32_t>(vector, i)); });
}

inline simde__m512i cvtepu16_epi32(simde__m256i vector) {
  return lanes<simde__m512i, int32_t>([&](size_t i) { return int32_t(lane<uint16_t>(vector, i)); });
}

// No more than the 14 bits that the instruction promises, so that nothing rests on more.
inline simde__m512 rcp14_ps(simde__m512 vector) {
  return lanes<simde__m512, float>([&](size_t i) {
    return bits<float>(bits<uint32_t>(1.0f / lane<float>(vector, i)) & 0xfffffe00u);
  });
}

// To the nearest, ties to even; a NaN stays one.
inline simde__m256i cvtneps_pbh(simde__m512 vector) {
  return lanes<simde__m256i, uint16_t>([&](size_t i) {
    const float value = lane<float>(vector, i);
    const uint32_t from = bits<uint32_t>(value);
    return std::isnan(value) ? uint16_t(from >> 16 | 0x40) : uint16_t((from + 0x7fff + (from >> 16 & 1)) >> 16);
  });
}

template <class Pairs>
inline simde__m512 dpbf16_ps(simde__m512 acc, const Pairs& a, const Pairs& b) {
  const auto value = [](const Pairs& from, size_t i) { return bits<float>(uint32_t(lane<uint16_t>(from, i)) << 16); };
  return lanes<simde__m512, float>([&](size_t i) {
    const float high = std::fma(value(a, 2 * i + 1), value(b, 2 * i + 1), lane<float>(acc, i));
    return std::fma(value(a, 2 * i), value(b, 2 * i), high);
  });
}

}  // namespace slimvec_emulation

#undef _mm512_dpbf16_ps
#define _mm512_maskz_loadu_ps slimvec_emulation::maskz_loadu_ps
#define _mm512_mask_storeu_ps slimvec_emulation::mask_storeu_ps
#define _mm256_maskz_loadu_epi16 slimvec_emulation::maskz_loadu_epi16
#define _mm256_mask_storeu_epi16 slimvec_emulation::mask_storeu_epi16
#define _mm512_mask_cvtepi32_storeu_epi8 slimvec_emulation::mask_cvtepi32_storeu_epi8
#define _mm512_cvtps_epi32 slimvec_emulation::cvtps_epi32
#define _mm512_cvtepi32_ps slimvec_emulation::cvtepi32_ps
#define _mm512_cvtepu16_epi32 slimvec_emulation::cvtepu16_epi32
#define _mm512_rcp14_ps slimvec_emulation::rcp14_ps
#define _mm512_cvtneps_pbh slimvec_emulation::cvtneps_pbh
#define _mm512_dpbf16_ps slimvec_emulation::dpbf16_ps

// Only now: SIMDe would take them for the processor's own.
#define __AVX512F__ 1
#if defined(SLIMVEC_EMULATE_VNNI)
#define __AVX512VNNI__ 1
#endif
#if defined(SLIMVEC_EMULATE_BF16)
#define __AVX512BF16__ 1
#endif
