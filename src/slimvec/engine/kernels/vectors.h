// The vector layer: everything else is written once over the names below, and a target is what the compiler is told to
// build for. Each vectors_*.h gives
//
//   Lanes, LANES         a register of fp32 and how many it holds; + - * work on it
//   Tail, tail(count)    the first lanes of a vector, for loads and stores at the end of a row
//   Mask, lanes_between  any run of lanes, for softmax
//   TILE_ROWS, TILE_VECTORS, BLOCK_BYTES   shape of the register tile and of a block that fits the caches
//   Element<E>           for each element type that the target computes with; elements.h says what it has
//
// and defines SLIMVEC_BF16 and SLIMVEC_INT8 where it serves these. All of it is inline and costs nothing.
#pragma once

#if defined(__AVX512F__)
#include "vectors_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "vectors_avx2.h"
#elif defined(__aarch64__)
#include "vectors_neon.h"
#else
#error "no vector layer for this target"
#endif

namespace slimvec {

// 2^x to about 2e-7 relative, for x in [-126, 126]: x = n + r with |r| <= 1/2, and a polynomial for 2^r (Taylor of
// exp(r ln 2) up to r^6). NaN stays NaN.
inline Lanes exp2_lanes(Lanes x) {
  x = maximum(splat(-126.0f), x);
  const Lanes n = round_lanes(x);
  const Lanes r = x - n;
  Lanes p = splat(1.5403530e-4f);
  p = multiply_add(p, r, splat(1.3333558e-3f));
  p = multiply_add(p, r, splat(9.6181291e-3f));
  p = multiply_add(p, r, splat(5.5504109e-2f));
  p = multiply_add(p, r, splat(2.4022651e-1f));
  p = multiply_add(p, r, splat(6.9314718e-1f));
  p = multiply_add(p, r, splat(1.0f));
  return times_power(p, n);
}

constexpr float LOG2_E = 1.44269504f;

// x / (1 + exp(-z)), with z clamped to where exp stays finite.
inline Lanes times_sigmoid(Lanes x, Lanes z) {
  z = maximum(splat(-80.0f), minimum(splat(80.0f), z));
  return x * reciprocal(splat(1.0f) + exp2_lanes(z * splat(-LOG2_E)));
}

inline Lanes silu(Lanes x) { return times_sigmoid(x, x); }

// GELU with tanh: x/2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
inline Lanes gelu_tanh(Lanes x) {
  const Lanes cubic = multiply_add(x * x, splat(0.044715f), splat(1.0f));
  return times_sigmoid(x, x * cubic * splat(1.5957691f));
}

}  // namespace slimvec
