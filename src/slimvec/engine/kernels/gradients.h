// Rows of a model in training: the root-mean-square norm and the gated activation, and their gradients, in one pass each.
#pragma once

#include "elements.h"

namespace slimvec {

// y = x r w with r = (mean(x^2) + epsilon)^-1/2; or where there is dy
// dx = r (w dy) - x r^3 mean(x w dy).
template <class E>
struct NormRows {
  long rows = 0, width = 0;
  const E* x = nullptr;           // [rows, width]
  const float* weight = nullptr;  // [width]
  const E* dy = nullptr;          // [rows, width] or null
  E* result = nullptr;            // [rows, width]: y, or dx
  float epsilon = 0;
};

// y = a(g) u with a = SiLU, or GELU with tanh: both are a(g) = g sigmoid(z), so that a' = s + a (1 - s) z'; or where
// there is dy dg = dy u a'(g) and du = dy a(g).
template <class E>
struct GateRows {
  long size = 0;
  const E* gate = nullptr;  // all [size]
  const E* up = nullptr;
  const E* dy = nullptr;    // or null
  E* result = nullptr;      // y, or dg
  E* up_result = nullptr;   // du
  bool gelu = false;
};

template <class E>
void run_norm(const NormRows<E>& work, int num_threads);
template <class E>
void run_gate(const GateRows<E>& work, int num_threads);

}  // namespace slimvec
