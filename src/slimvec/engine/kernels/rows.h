// Work on single rows: root-mean-square norm, and what turns a raw head into a query, key or value.
#pragma once

#include <cmath>

#include "model.h"

namespace slimvec {

inline float sum_lanes(Lanes value) {
  alignas(64) float lanes[LANES];
  store(lanes, value);
  float sum[4] = {0, 0, 0, 0};
  for (int lane = 0; lane < LANES; ++lane) sum[lane % 4] += lanes[lane];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

inline float max_lanes(Lanes value) {
  alignas(64) float lanes[LANES];
  store(lanes, value);
  float most = lanes[0];
  for (int lane = 1; lane < LANES; ++lane) most = lanes[lane] > most ? lanes[lane] : most;
  return most;
}

template <class From>
inline float inverse_rms(const From* row, long width, float epsilon) {
  Lanes squares[2] = {zeros(), zeros()};
  for (long column = 0, turn = 0; column < width; column += LANES, turn ^= 1) {
    const Lanes value = Element<From>::load(row + column, tail(width - column));
    squares[turn] = multiply_add(value, value, squares[turn]);
  }
  return 1.0f / std::sqrt(sum_lanes(squares[0] + squares[1]) / float(width) + epsilon);
}

// to = row / rms(row) * weight
template <class E, class From>
inline void rms_norm(const From* row, const float* weight, long width, float epsilon, E* to) {
  const Lanes factor = splat(inverse_rms(row, width, epsilon));
  for (long column = 0; column < width; column += LANES) {
    const Tail end = tail(width - column);
    const Lanes scaled = Element<From>::load(row + column, end) * factor;
    Element<E>::store(to + column, end, scaled * Element<float>::load(weight + column, end));
  }
}

// residual += rms_norm(row)
inline void add_normed(const float* row, const float* weight, long width, float epsilon, float* residual) {
  const Lanes factor = splat(inverse_rms(row, width, epsilon));
  for (long column = 0; column < width; column += LANES) {
    const Tail end = tail(width - column);
    const Lanes scaled = Element<float>::load(row + column, end) * factor;
    const Lanes sum = multiply_add(
        scaled, Element<float>::load(weight + column, end), Element<float>::load(residual + column, end));
    Element<float>::store(residual + column, end, sum);
  }
}

// Norm (where there is a weight) and rotate one head: halves (a, b) become (a cos - b sin, b cos + a sin).
template <class E>
inline void finish_head(
    float* head, const float* weight, const float* cosine, const float* sine, long dim, float epsilon, E* to) {
  if (weight) rms_norm<float>(head, weight, dim, epsilon, head);
  const long half = dim / 2;
  for (long column = 0; column < half; column += LANES) {
    const Tail end = tail(half - column);
    const Lanes a = Element<float>::load(head + column, end), b = Element<float>::load(head + half + column, end);
    const Lanes c = Element<float>::load(cosine + column, end), s = Element<float>::load(sine + column, end);
    Element<E>::store(to + column, end, multiply_subtract(a, c, b * s));
    Element<E>::store(to + half + column, end, multiply_add(b, c, a * s));
  }
}

template <class E>
inline void convert_row(const float* from, long width, E* to) {
  for (long column = 0; column < width; column += LANES) {
    const Tail end = tail(width - column);
    Element<E>::store(to + column, end, Element<float>::load(from + column, end));
  }
}

// Keys of a text lie in blocks of a vector: [D / PACK][LANES keys][PACK], ready to be the right side of a product.
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
