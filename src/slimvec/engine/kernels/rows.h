// Work on single rows: root-mean-square norm, and what turns a raw head into a query, key or value.
#pragma once

#include <cmath>

#include "model.h"

namespace slimvec {

inline float sum_lanes(__m512 value) {
  alignas(64) float lanes[LANES];
  _mm512_store_ps(lanes, value);
  float sum[4] = {0, 0, 0, 0};
  for (int lane = 0; lane < LANES; ++lane) sum[lane % 4] += lanes[lane];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

inline float max_lanes(__m512 value) {
  alignas(64) float lanes[LANES];
  _mm512_store_ps(lanes, value);
  float most = lanes[0];
  for (int lane = 1; lane < LANES; ++lane) most = lanes[lane] > most ? lanes[lane] : most;
  return most;
}

inline float inverse_rms(const float* row, long width, float epsilon) {
  __m512 squares[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (long column = 0, turn = 0; column < width; column += LANES, turn ^= 1) {
    const __m512 value = Element<float>::load(row + column, lanes_mask(width - column));
    squares[turn] = _mm512_fmadd_ps(value, value, squares[turn]);
  }
  return 1.0f / std::sqrt(sum_lanes(_mm512_add_ps(squares[0], squares[1])) / float(width) + epsilon);
}

// to = row / rms(row) * weight
template <class E>
inline void rms_norm(const float* row, const float* weight, long width, float epsilon, E* to) {
  const __m512 factor = _mm512_set1_ps(inverse_rms(row, width, epsilon));
  for (long column = 0; column < width; column += LANES) {
    const __mmask16 mask = lanes_mask(width - column);
    const __m512 scaled = _mm512_mul_ps(Element<float>::load(row + column, mask), factor);
    Element<E>::store(to + column, mask, _mm512_mul_ps(scaled, Element<float>::load(weight + column, mask)));
  }
}

// residual += rms_norm(row)
inline void add_normed(const float* row, const float* weight, long width, float epsilon, float* residual) {
  const __m512 factor = _mm512_set1_ps(inverse_rms(row, width, epsilon));
  for (long column = 0; column < width; column += LANES) {
    const __mmask16 mask = lanes_mask(width - column);
    const __m512 scaled = _mm512_mul_ps(Element<float>::load(row + column, mask), factor);
    const __m512 sum = _mm512_fmadd_ps(
        scaled, Element<float>::load(weight + column, mask), Element<float>::load(residual + column, mask));
    Element<float>::store(residual + column, mask, sum);
  }
}

// Norm (where there is a weight) and rotate one head: halves (a, b) become (a cos - b sin, b cos + a sin).
template <class E>
inline void finish_head(
    float* head, const float* weight, const float* cosine, const float* sine, long dim, float epsilon, E* to) {
  if (weight) rms_norm<float>(head, weight, dim, epsilon, head);
  const long half = dim / 2;
  for (long column = 0; column < half; column += LANES) {
    const __mmask16 mask = lanes_mask(half - column);
    const __m512 a = Element<float>::load(head + column, mask), b = Element<float>::load(head + half + column, mask);
    const __m512 c = Element<float>::load(cosine + column, mask), s = Element<float>::load(sine + column, mask);
    Element<E>::store(to + column, mask, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
    Element<E>::store(to + half + column, mask, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
  }
}

template <class E>
inline void convert_row(const float* from, long width, E* to) {
  for (long column = 0; column < width; column += LANES) {
    const __mmask16 mask = lanes_mask(width - column);
    Element<E>::store(to + column, mask, Element<float>::load(from + column, mask));
  }
}

// Keys of a text lie in blocks of 16: [D / PACK][16 keys][PACK], ready to be the right side of a product.
template <class E>
inline void pack_key(const E* key, long index, long dim, E* blocks) {
  constexpr int PACK = Element<E>::PACK;
  E* to = blocks + (index / LANES) * dim * LANES + (index % LANES) * PACK;
  for (long pair = 0; pair < dim / PACK; ++pair) std::memcpy(to + pair * LANES * PACK, key + pair * PACK, sizeof(E) * PACK);
}

// Values of a text: [keys / PACK][padded D][PACK].
template <class E>
inline void pack_value(const E* value, long index, long dim, long padded, E* packed) {
  constexpr int PACK = Element<E>::PACK;
  E* to = packed + (index / PACK) * padded * PACK + index % PACK;
  for (long column = 0; column < dim; ++column) to[column * PACK] = value[column];
}

}  // namespace slimvec
