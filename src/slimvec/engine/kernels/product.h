// The matrix product everything rests on: activations [rows, depth] times a packed matrix [depth, columns].
//
// Packed form. Columns are cut into panels of TILE_VECTORS vectors (64 columns on AVX-512, 16 on AVX2); a panel holds,
// for each step along the depth (PACK values: 2 in bf16, 1 in fp32), the PACK values of its columns side by side. So
// one step of a panel is a few loads in a row, and walking down the depth reads memory forwards.
//
// Register tile. TILE_ROWS rows x TILE_VECTORS vectors of sums, chosen by the target so that they, the vectors of the
// panel and one broadcast activation fill its registers; so many independent sums also hide the latency of a
// multiply-add (4-6 cycles at 1 or 2 a cycle). A panel stays in the L2 cache (64 x 576 x 2 bytes = 74 kB on AVX-512)
// while all rows pass over it; the rows of a tile stay in L1.
//
// Weights of fp32 products that bf16 can hold without rounding are held in it (`halves`) and widened as they are
// loaded: half the memory to read, which is what takes the time of short texts, for two cheap instructions a pair of
// vectors. A word of 32 bits holds the column of a vector in the first half of the panel and, above it, that of the
// vector in the same place of the second half, so that a shift and a mask give both.
#pragma once

#include <type_traits>

#include "vectors.h"

namespace slimvec {

constexpr int PANEL = TILE_VECTORS * LANES;
// Deepest slice of a product whose results are added up in memory: its panel still fits the L2 cache.
constexpr long DEPTH_BLOCK = 2048;

template <int R, int V, class E = float>
struct Sums {
  static constexpr int ROWS = R;
  static constexpr int VECTORS = V;
  using Sum = typename Element<E>::Sum;
  Sum at[R][V];

  // Call body(row, vector, sum) for each. Unrolled, or else gcc keeps sums in memory and not in registers.
  template <class Body>
  inline __attribute__((always_inline)) void each(const Body& body) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) body(r, v, at[r][v]);
    }
  }

  inline __attribute__((always_inline)) void clear() {
    each([](int, int, Sum& sum) { sum = Sum{}; });
  }
};

// Call with a compile-time count of rows, 1 to 6, or of vectors, 1 to 4.
template <class Body>
inline void with_rows(long count, const Body& body) {
  switch (count) {
    case 6: return body(std::integral_constant<int, 6>{});
    case 5: return body(std::integral_constant<int, 5>{});
    case 4: return body(std::integral_constant<int, 4>{});
    case 3: return body(std::integral_constant<int, 3>{});
    case 2: return body(std::integral_constant<int, 2>{});
    default: return body(std::integral_constant<int, 1>{});
  }
}

template <class Body>
inline void with_vectors(long count, const Body& body) {
  switch (count) {
    case 4: return body(std::integral_constant<int, 4>{});
    case 3: return body(std::integral_constant<int, 3>{});
    case 2: return body(std::integral_constant<int, 2>{});
    default: return body(std::integral_constant<int, 1>{});
  }
}

// Cut rows into tiles of nearly equal height, so that none is left with a single row: calls body(first, count).
template <class Body>
inline void each_tile(long rows, const Body& body) {
  const long tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
  for (long index = 0; index < tiles; ++index) {
    const long first = rows * index / tiles;
    body(first, rows * (index + 1) / tiles - first);
  }
}

// Load a step of V vectors of a panel: as they are, or widened from halves.
template <class E, int V>
inline __attribute__((always_inline)) void load_columns(
    const E* b, long vector_stride, typename Element<E>::Vector (&columns)[V]) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) columns[v] = Element<E>::load_packed(b + v * vector_stride);
}

struct Halves {
  bf16 lower, upper;
};

template <class E, int V>
inline __attribute__((always_inline)) void load_columns(const Halves* b, long vector_stride, Lanes (&columns)[V]) {
#pragma GCC unroll 4
  for (int v = 0; v < V / 2; ++v) {
    const IntLanes words = load_words(b + v * vector_stride);
    columns[v] = lower_half(words);
    columns[v + V / 2] = upper_half(words);
  }
}

// sums += a [R, steps * PACK] x b; the strides say how far the next row of a, the next step and vector of b, and the next
// step of a are.
template <class E, int R, int V, class S, class A, class B>
inline __attribute__((always_inline)) void accumulate(
    Sums<R, V, S>& sums, const A* a, long row_stride, const B* b, long step_stride, long vector_stride, long steps,
    long a_step = Element<E>::PACK) {
  using Unit = Element<E>;
#pragma GCC unroll 2
  for (long step = 0; step < steps; ++step) {
    typename Unit::Vector columns[V];
    load_columns<E>(b, vector_stride, columns);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const typename Unit::Vector value = Unit::broadcast(a + r * row_stride);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums.at[r][v] = Unit::multiply_add(sums.at[r][v], value, columns[v]);
    }
    a += a_step;
    b += step_stride;
  }
}

// A packed matrix [depth, columns]; bias is fp32 [columns rounded up to whole panels], or null.
template <class E>
struct Matrix {
  const E* panels = nullptr;
  const Halves* halves = nullptr;  // instead of panels: the same numbers in bf16, for products in fp32
  const float* bias = nullptr;
  long depth = 0;
  long columns = 0;

  long num_panels() const { return (columns + PANEL - 1) / PANEL; }
};

// A packed matrix in 8 bits; int8.h multiplies it.
struct Int8Matrix {
  const byte* panels = nullptr;     // null: the layer has this matrix in full
  const float* bias = nullptr;      // as above
  const float* scales = nullptr;    // [columns rounded up]: weight = signed byte * scale of its column
  const int32_t* starts = nullptr;  // [columns rounded up]: where the column's sums start, see int8.h
  long depth = 0;
  long columns = 0;

  long num_panels() const { return (columns + PANEL - 1) / PANEL; }
};

// result = starts (or zeros) + a [R, steps * PACK] x b. A function of its own: what becomes of the sums must not compete
// with them for registers.
template <class E, int R, class A, class B>
__attribute__((noinline)) void multiply_tile(
    Sums<R, TILE_VECTORS, E>& result, const A* a, long row_stride, const B* b, long step_stride, long vector_stride,
    long steps, const typename Element<E>::Start* starts) {
  Sums<R, TILE_VECTORS, E> sums;
  if (starts)
    sums.each([&](int, int v, auto& sum) { sum = Element<E>::load_sums(starts + v * LANES); });
  else
    sums.clear();
  accumulate<E>(sums, a, row_stride, b, step_stride, vector_stride, steps);
  result = sums;
}

// Multiply rows [0, rows) of `a` with one panel, over [from, from + depth) of the depth; `finish(first row, sums)`
// takes each tile of results. The bias is the starting value of the first slice.
template <class E, class B, class Finish>
inline void multiply_columns(
    const E* a, long row_stride, long rows, const B* b, long step_stride, long vector_stride, long depth,
    const float* bias, const Finish& finish) {
  each_tile(rows, [&](long row, long count) {
    with_rows(count, [&](auto height) {
      Sums<height, TILE_VECTORS, E> sums;
      multiply_tile<E, height>(
          sums, a + row * row_stride, row_stride, b, step_stride, vector_stride, depth / Element<E>::PACK, bias);
      finish(row, sums);
    });
  });
}

template <class E, class Finish>
void multiply_panel(
    const E* a, long row_stride, long rows, const Matrix<E>& matrix, long panel, long from, long depth,
    const Finish& finish) {
  constexpr int PACK = Element<E>::PACK;
  const long start = (panel * matrix.depth + from) * PANEL;
  const float* bias = matrix.bias && from == 0 ? matrix.bias + panel * PANEL : nullptr;
  if constexpr (std::is_same_v<E, float>) {
    if (matrix.halves)
      return multiply_columns(
          a + from, row_stride, rows, matrix.halves + start / 2, PANEL / 2, LANES, depth, bias, finish);
  }
  multiply_columns(a + from, row_stride, rows, matrix.panels + start, PANEL * PACK, LANES * PACK, depth, bias, finish);
}

}  // namespace slimvec
