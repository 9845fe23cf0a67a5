// Element types that activations, weights, keys and values are held in, and small helpers that every file needs.
#pragma once

#include <cstdint>
#include <cstring>

namespace slimvec {

struct bf16 {
  uint16_t bits;
};

// 8 bits: how activations and weights use them is up to the target's Element<byte>.
struct byte {
  uint8_t bits;
};

// How a target computes with an element type; each vectors_*.h specialises it for the types it serves.
//
//   PACK                     how many values along the summed axis lie side by side in a packed matrix
//   Sum, Start               a register of sums, and what load_sums fills it from
//   load, store              a vector of fp32 from and to elements in memory, cut at a tail
//   Vector                   a register of packed elements; load_packed and broadcast fill it
//   multiply_add(acc, a, b)  acc[lane] += sum of a[i] * b[lane][i] for i in [0, PACK)
template <class E>
struct Element;

inline long round_up(long value, long step) { return (value + step - 1) / step * step; }

inline long clamp_to(long value, long low, long high) { return value < low ? low : value > high ? high : value; }

}  // namespace slimvec
