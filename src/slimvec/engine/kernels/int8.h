// Products in 8 bits: rows of activations and columns of weights each scaled to [-127, 127], sums exact in 32 bits.
//
// `vpdpbusd` multiplies 4 pairs a lane and instruction, twice what bf16 does, but takes one side unsigned. So 128 is
// added to the activations, and what that adds to each sum, 128 times the column's sum of weights, is taken off where
// the sum starts. A panel holds 64 columns by 4 values along the depth, the bytes laid out as in product.h; a depth
// that is no multiple of 4 is filled with zero weights, whatever the activations hold there. Sums stay below 2^31 up
// to a depth of 66,000.
#pragma once

#include "rows.h"

namespace slimvec {

// Activations of a block of rows, quantised row by row: value = (byte - 128) * scale of its row.
struct Int8Rows {
  byte* values = nullptr;   // [rows, stride]
  float* scales = nullptr;  // [rows]
  long stride = 0;          // a multiple of 64
};

inline long int8_stride(long depth) { return round_up(depth, 64); }

// Quantise `width` values that load(column, mask) gives, by the largest of them; returns the scale.
template <class Load>
inline float quantise_row(long width, byte* to, const Load& load) {
  __m512 most = _mm512_setzero_ps();
  for (long column = 0; column < width; column += LANES)
    most = _mm512_max_ps(most, _mm512_abs_ps(load(column, lanes_mask(width - column))));
  const float peak = max_lanes(most);
  const __m512 factor = _mm512_set1_ps(peak > 1e-30f ? 127.0f / peak : 0.0f);
  for (long column = 0; column < width; column += LANES) {
    const __mmask16 mask = lanes_mask(width - column);
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(load(column, mask), factor));
    _mm512_mask_cvtepi32_storeu_epi8(to + column, mask, _mm512_add_epi32(rounded, _mm512_set1_epi32(128)));
  }
  return peak / 127.0f;
}

// The same of row / rms(row) * weight.
inline float quantise_normed(const float* row, const float* weight, long width, float epsilon, byte* to) {
  return inverse_rms(row, width, epsilon) * quantise_row(width, to, [&](long column, __mmask16 mask) {
           return _mm512_mul_ps(Element<float>::load(row + column, mask), Element<float>::load(weight + column, mask));
         });
}

// The same of row * weight.
template <class E>
inline float quantise_scaled(const E* row, const float* weight, long width, byte* to) {
  return quantise_row(width, to, [&](long column, __mmask16 mask) {
    return _mm512_mul_ps(Element<E>::load(row + column, mask), Element<float>::load(weight + column, mask));
  });
}

#ifdef SLIMVEC_INT8
// Multiply rows [0, count) with one panel; `finish(first row, sums)` takes each tile of results as floats.
template <class Finish>
void multiply_panel(const Int8Rows& a, long count, const Int8Matrix& matrix, long panel, const Finish& finish) {
  constexpr int PACK = Element<byte>::PACK;
  const long steps = matrix.steps();
  const byte* b = matrix.panels + panel * steps * PANEL * PACK;
  const int32_t* starts = matrix.starts + panel * PANEL;
  const float* scales = matrix.scales + panel * PANEL;
  const float* bias = matrix.bias ? matrix.bias + panel * PANEL : nullptr;
  each_tile(count, [&](long row, long rows) {
    with_rows(rows, [&](auto height) {
      Sums<height, TILE_VECTORS, int_lanes> sums;
      for (int v = 0; v < TILE_VECTORS; ++v)
        for (int r = 0; r < height; ++r) sums.at[r][v] = reinterpret_cast<int_lanes>(_mm512_loadu_si512(starts + v * LANES));
      accumulate<byte>(sums, a.values + row * a.stride, a.stride, b, PANEL * PACK, LANES * PACK, steps);
      Sums<height, TILE_VECTORS> results;
      for (int v = 0; v < TILE_VECTORS; ++v) {
        const __m512 scale = _mm512_loadu_ps(scales + v * LANES);
        const __m512 start = bias ? _mm512_loadu_ps(bias + v * LANES) : _mm512_setzero_ps();
        for (int r = 0; r < height; ++r) {
          const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(a.scales[row + r]));
          results.at[r][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sums.at[r][v])), both, start);
        }
      }
      finish(row, results);
    });
  });
}
#endif

}  // namespace slimvec
