// The matrix product everything rests on: activations [rows, depth] times a packed matrix [depth, columns].
//
// Packed form. Columns are cut into panels of 64 = 4 vectors of 16; a panel holds, for each step along the depth
// (PACK values: 2 in bf16, 1 in fp32), the PACK values of its 64 columns side by side. So one step of a panel is 4
// loads of 64 bytes in a row, and walking down the depth reads memory forwards.
//
// Register tile. 6 rows x 4 vectors = 24 sums, 4 vectors of the panel and 1 broadcast activation: 29 of 32 registers.
// A step costs 4 loads + 6 broadcasts for 24 multiply-adds, so the multipliers are the limit and not the loads. 24
// independent sums also hide their latency (4-6 cycles at 1 or 2 a cycle). A panel (64 x 576 x 2 bytes = 74 kB) stays
// in the L2 cache while all rows pass over it; 6 rows of activations stay in L1.
#pragma once

#include <type_traits>

#include "vectors.h"

namespace slimvec {

constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 4;
constexpr int PANEL = TILE_VECTORS * LANES;
// Deepest slice of a product whose results are added up in memory: its panel (256 kB in bf16) still fits the L2 cache.
constexpr long DEPTH_BLOCK = 2048;

template <int R, int V, class Lanes = __m512>
struct Sums {
  static constexpr int ROWS = R;
  static constexpr int VECTORS = V;
  Lanes at[R][V];

  void fill(Lanes value) {
    for (auto& row : at)
      for (auto& sum : row) sum = value;
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

// sums += a [R, steps * PACK] x b; the strides say how far the next row of a, and the next step and vector of b are.
template <class E, int R, int V, class Lanes>
inline __attribute__((always_inline)) void accumulate(
    Sums<R, V, Lanes>& sums, const E* a, long row_stride, const E* b, long step_stride, long vector_stride, long steps) {
  using Unit = Element<E>;
#pragma GCC unroll 2
  for (long step = 0; step < steps; ++step) {
    typename Unit::Vector columns[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) columns[v] = Unit::load_packed(b + v * vector_stride);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const typename Unit::Vector value = Unit::broadcast(a + r * row_stride);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums.at[r][v] = Unit::multiply_add(sums.at[r][v], value, columns[v]);
    }
    a += Unit::PACK;
    b += step_stride;
  }
}

// A packed matrix [depth, columns]; bias is fp32 [columns rounded up to whole panels], or null.
template <class E>
struct Matrix {
  const E* panels = nullptr;
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
  const int32_t* starts = nullptr;  // [columns rounded up]: -128 times the column's sum of bytes
  long depth = 0;
  long columns = 0;

  long num_panels() const { return (columns + PANEL - 1) / PANEL; }
  long steps() const { return (depth + 3) / 4; }
};

// Multiply rows [0, rows) of `a` with one panel, over [from, from + depth) of the depth; `finish(first row, sums)`
// takes each tile of results. The bias is the starting value of the first slice.
template <class E, class Finish>
void multiply_panel(
    const E* a, long row_stride, long rows, const Matrix<E>& matrix, long panel, long from, long depth,
    const Finish& finish) {
  constexpr int PACK = Element<E>::PACK;
  const E* b = matrix.panels + (panel * matrix.depth + from) * PANEL;
  const float* bias = matrix.bias && from == 0 ? matrix.bias + panel * PANEL : nullptr;
  each_tile(rows, [&](long row, long count) {
    with_rows(count, [&](auto height) {
      Sums<height, TILE_VECTORS> sums;
      for (int v = 0; v < TILE_VECTORS; ++v) {
        const __m512 start = bias ? _mm512_loadu_ps(bias + v * LANES) : _mm512_setzero_ps();
        for (int r = 0; r < height; ++r) sums.at[r][v] = start;
      }
      accumulate<E>(sums, a + row * row_stride + from, row_stride, b, PANEL * PACK, LANES * PACK, depth / PACK);
      finish(row, sums);
    });
  });
}

}  // namespace slimvec
