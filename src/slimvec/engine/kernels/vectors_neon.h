// NEON on 64-bit Arm: four lanes of fp32. Tails are counts, masks are registers.
//
// `float` multiplies with FMA; `byte` with `smlal` (16 bits) or, where there is dotprod, `sdot` (fours of bytes);
// `bf16` with `bfdot` (pairs) where there is bf16. The speed is not measured on any Arm processor: the sizes below
// follow from the number of registers and from common caches.
#pragma once

#include <arm_neon.h>

#include "elements.h"

namespace slimvec {

constexpr int LANES = 4;
// 6 rows x 4 vectors = 24 sums, 4 vectors of the panel and 1 broadcast activation: 29 of 32 registers. A step costs 4
// loads + 6 broadcasts for 24 multiply-adds.
constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 4;
// A block of activations and a panel of weights share an L2 cache of 512 kB.
constexpr long BLOCK_BYTES = 512 * 1024;

using Lanes = float32x4_t;
using IntLanes = uint32x4_t;
using Mask = uint32x4_t;

struct Tail {
  int count;
};

inline Tail tail(long count) { return {count >= LANES ? LANES : int(count)}; }

inline Mask lanes_below(long count) {
  const int32_t numbers[LANES] = {0, 1, 2, 3};
  return vcltq_s32(vld1q_s32(numbers), vdupq_n_s32(int32_t(count)));
}
// Lanes [low, high), both in [0, LANES].
inline Mask lanes_between(long low, long high) { return vbicq_u32(lanes_below(high), lanes_below(low)); }

inline Lanes zeros() { return vdupq_n_f32(0.0f); }
inline Lanes splat(float value) { return vdupq_n_f32(value); }
inline Lanes load(const float* from) { return vld1q_f32(from); }
inline void store(float* to, Lanes value) { vst1q_f32(to, value); }
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return vfmaq_f32(c, a, b); }
inline Lanes multiply_subtract(Lanes a, Lanes b, Lanes c) { return vfmaq_f32(vnegq_f32(c), a, b); }
// Where a lane of either is NaN, so is the result's.
inline Lanes maximum(Lanes a, Lanes b) { return vmaxq_f32(a, b); }
inline Lanes minimum(Lanes a, Lanes b) { return vminq_f32(a, b); }
inline Lanes magnitude(Lanes a) { return vabsq_f32(a); }
inline Lanes keep(Mask mask, Lanes value) {
  return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(value)));
}
inline Lanes maximum_where(Lanes a, Mask mask, Lanes b) { return vbslq_f32(mask, vmaxq_f32(a, b), a); }
inline Lanes round_lanes(Lanes a) { return vrndnq_f32(a); }
// a * 2^n for whole n in [-126, 126], by adding n to the exponent
inline Lanes times_power(Lanes a, Lanes n) {
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(vcvtnq_s32_f32(n), 23)));
}
inline Lanes reciprocal(Lanes a) { return vdivq_f32(splat(1.0f), a); }

inline Lanes widen_half(uint16x4_t bits) { return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(bits), 16)); }
inline Lanes load_half(const bf16* from, Tail tail) {
  uint16_t part[LANES] = {};
  std::memcpy(part, from, tail.count * sizeof(bf16));
  return widen_half(vld1_u16(part));
}
// Words of two bf16: the lower and the upper ones as fp32.
inline IntLanes load_words(const void* from) { return vld1q_u32(static_cast<const uint32_t*>(from)); }
inline Lanes lower_half(IntLanes words) { return vreinterpretq_f32_u32(vshlq_n_u32(words, 16)); }
inline Lanes upper_half(IntLanes words) {
  return vreinterpretq_f32_u32(vandq_u32(words, vdupq_n_u32(0xffff0000u)));
}

template <>
struct Element<float> {
  static constexpr int PACK = 1;
  using Sum = Lanes;
  using Start = float;
  static Lanes load_sums(const float* from) { return slimvec::load(from); }
  static Lanes load(const float* from, Tail tail) {
    if (tail.count == LANES) return vld1q_f32(from);
    float part[LANES] = {};
    for (int lane = 0; lane < tail.count; ++lane) part[lane] = from[lane];
    return vld1q_f32(part);
  }
  static void store(float* to, Tail tail, Lanes value) {
    if (tail.count == LANES) return vst1q_f32(to, value);
    for (int lane = 0; lane < tail.count; ++lane) to[lane] = value[lane];
  }
  using Vector = Lanes;
  static Vector load_packed(const float* from) { return vld1q_f32(from); }
  static Vector broadcast(const float* from) { return vld1q_dup_f32(from); }
  static Lanes multiply_add(Lanes acc, Vector a, Vector b) { return vfmaq_f32(acc, a, b); }
};

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#define SLIMVEC_BF16
template <>
struct Element<bf16> {
  static constexpr int PACK = 2;
  using Sum = Lanes;
  using Start = float;
  static Lanes load_sums(const float* from) { return slimvec::load(from); }
  static Lanes load(const bf16* from, Tail tail) { return load_half(from, tail); }
  static void store(bf16* to, Tail tail, Lanes value) {
    const bfloat16x4_t rounded = vcvt_bf16_f32(value);
    std::memcpy(to, &rounded, tail.count * sizeof *to);
  }
  using Vector = bfloat16x8_t;
  static Vector load_packed(const bf16* from) {
    return vreinterpretq_bf16_u16(vld1q_u16(reinterpret_cast<const uint16_t*>(from)));
  }
  static Vector broadcast(const bf16* from) {
    uint32_t pair;
    std::memcpy(&pair, from, sizeof pair);
    return vreinterpretq_bf16_u32(vdupq_n_u32(pair));
  }
  static Lanes multiply_add(Lanes acc, Vector a, Vector b) { return vbfdotq_f32(acc, a, b); }
};
#endif

#define SLIMVEC_INT8
#ifdef __ARM_FEATURE_DOTPROD
// Activations and weights are signed bytes.
template <>
struct Element<byte> {
  static constexpr int PACK = 4;
  static constexpr int OFFSET = 0;
  using Activation = byte;
  using Sum = int32x4_t;
  using Start = int32_t;
  using Vector = int8x16_t;
  static constexpr float limit(long) { return 127.0f; }  // sums stay below 2^31 up to a depth of 133,000
  static Vector load_packed(const byte* from) { return vld1q_s8(reinterpret_cast<const int8_t*>(from)); }
  static Vector broadcast(const byte* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  static Sum multiply_add(Sum acc, Vector a, Vector b) { return vdotq_s32(acc, a, b); }
  static Sum load_sums(const int32_t* from) { return vld1q_s32(from); }
  static Lanes to_float(Sum sums) { return vcvtq_f32_s32(sums); }
  // Write values, rounded.
  static void store(byte* to, Tail tail, Lanes value) {
    const int16x4_t rounded = vqmovn_s32(vcvtnq_s32_f32(value));
    const int8x8_t packed = vqmovn_s16(vcombine_s16(rounded, rounded));
    std::memcpy(to, &packed, tail.count * sizeof *to);
  }
};
#else
// Weights are signed bytes, widened to 16 bits as they are loaded; activations have 16 bits.
template <>
struct Element<byte> {
  static constexpr int PACK = 2;
  static constexpr int OFFSET = 0;
  using Activation = int16_t;
  using Sum = int32x4_t;
  using Start = int32_t;
  using Vector = int16x8_t;
  // Largest activation: sums of `depth` products with weights up to 127 stay below 2^31.
  static float limit(long depth) { return float(clamp_to(INT32_MAX / (127 * depth), 1, INT16_MAX)); }
  // The first weights of four columns, then their second ones.
  static Vector load_packed(const byte* from) {
    const int8x8_t pairs = vld1_s8(reinterpret_cast<const int8_t*>(from));
    return vmovl_s8(vuzp1_s8(pairs, vext_s8(pairs, pairs, 1)));
  }
  static Vector broadcast(const int16_t* from) {
    int32_t two;
    std::memcpy(&two, from, sizeof two);
    return vreinterpretq_s16_s32(vdupq_n_s32(two));
  }
  static Sum multiply_add(Sum acc, Vector a, Vector b) {
    return vmlal_high_lane_s16(vmlal_lane_s16(acc, vget_low_s16(b), vget_low_s16(a), 0), b, vget_low_s16(a), 1);
  }
  static Sum load_sums(const int32_t* from) { return vld1q_s32(from); }
  static Lanes to_float(Sum sums) { return vcvtq_f32_s32(sums); }
  // Write values, rounded.
  static void store(int16_t* to, Tail tail, Lanes value) {
    const int16x4_t packed = vqmovn_s32(vcvtnq_s32_f32(value));
    std::memcpy(to, &packed, tail.count * sizeof *to);
  }
};
#endif

}  // namespace slimvec
