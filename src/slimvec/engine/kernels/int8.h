// Products with weights in 8 bits: columns of weights scaled to [-127, 127], rows of activations each scaled to what the
// target multiplies bytes with, sums exact in 32 bits. Element<byte> of the target says how:
//
//   Activation         8 or 16 bits; LIMIT is the largest value that is used, OFFSET what is added to make it unsigned
//   PACK               values along the depth that an instruction multiplies a lane
//
// What an offset adds to each sum, OFFSET times the column's sum of weights, is taken off where the sum starts. A panel
// has PACK values of each of its columns side by side, the bytes laid out as in product.h; a depth that is no multiple
// of PACK is filled with zero weights, whatever the activations hold there.
#pragma once

#include "rows.h"

namespace slimvec {

#ifdef SLIMVEC_INT8
using Activation = Element<byte>::Activation;
#else
using Activation = byte;
#endif

// Activations of a block of rows, quantised row by row: value = (number - OFFSET) * scale of its row.
struct Int8Rows {
  Activation* values = nullptr;  // [rows, stride]
  float* scales = nullptr;       // [rows]
  long stride = 0;               // a multiple of 64
};

inline long int8_stride(long depth) { return round_up(depth, 64); }

#ifdef SLIMVEC_INT8
inline long int8_steps(long depth) { return (depth + Element<byte>::PACK - 1) / Element<byte>::PACK; }

// Quantise `width` values that values(column, tail) gives, by the largest of them; returns the scale, which is NaN if
// one of them is not finite.
template <class Values>
inline float quantise_row(long width, Activation* to, const Values& values) {
  const float limit = Element<byte>::limit(width);
  Lanes most = zeros(), invalid = zeros();
  for (long column = 0; column < width; column += LANES) {
    const Lanes value = values(column, tail(width - column));
    most = maximum(most, magnitude(value));
    invalid = multiply_add(value, zeros(), invalid);
  }
  const float peak = max_lanes(most);
  const Lanes factor = splat(peak > 1e-30f ? limit / peak : 0.0f);
  for (long column = 0; column < width; column += LANES) {
    const Tail end = tail(width - column);
    Element<byte>::store(to + column, end, values(column, end) * factor);
  }
  return peak / limit + sum_lanes(invalid);
}

// The same of row / rms(row) * weight.
inline float quantise_normed(const float* row, const float* weight, long width, float epsilon, Activation* to) {
  return inverse_rms(row, width, epsilon) * quantise_row(width, to, [&](long column, Tail end) {
           return Element<float>::load(row + column, end) * Element<float>::load(weight + column, end);
         });
}

// The same of a row as it is.
template <class E>
inline float quantise_plain(const E* row, long width, Activation* to) {
  return quantise_row(width, to, [&](long column, Tail end) { return Element<E>::load(row + column, end); });
}

// The same of row * weight.
template <class E>
inline float quantise_scaled(const E* row, const float* weight, long width, Activation* to) {
  return quantise_row(width, to, [&](long column, Tail end) {
    return Element<E>::load(row + column, end) * Element<float>::load(weight + column, end);
  });
}

// Multiply rows [0, count) with one panel; `finish(first row, sums)` takes each tile of results as floats.
template <class Finish>
void multiply_panel(const Int8Rows& a, long count, const Int8Matrix& matrix, long panel, const Finish& finish) {
  using Unit = Element<byte>;
  const long steps = int8_steps(matrix.depth);
  const byte* b = matrix.panels + panel * steps * PANEL * Unit::PACK;
  const int32_t* starts = matrix.starts + panel * PANEL;
  const float* scales = matrix.scales + panel * PANEL;
  const float* bias = matrix.bias ? matrix.bias + panel * PANEL : nullptr;
  each_tile(count, [&](long row, long rows) {
    with_rows(rows, [&](auto height) {
      Sums<height, TILE_VECTORS, byte> sums;
      multiply_tile<byte, height>(
          sums, a.values + row * a.stride, a.stride, b, PANEL * Unit::PACK, LANES * Unit::PACK, steps, starts);
      Sums<height, TILE_VECTORS> results;
      results.each([&](int r, int v, Lanes& result) {
        const Lanes start = bias ? load(bias + v * LANES) : zeros();
        const Lanes scale = load(scales + v * LANES) * splat(a.scales[row + r]);
        result = multiply_add(Unit::to_float(sums.at[r][v]), scale, start);
      });
      finish(row, results);
    });
  });
}
#endif

}  // namespace slimvec
