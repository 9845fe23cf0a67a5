// Attention of a model in training, over packed texts, and its gradients:
//
//   P = softmax(s Q K^T),  O = P V
//   dV = P^T dO,  dP = dO V^T,  dS = s P (dP - rowsum(P dP)),  dQ = dS K,  dK = dS^T Q
//
// Nothing of the forward pass is kept: P is computed again, some rows at a time, so memory grows with the tokens and not
// with their square. Gradients are summed in fp32.
#pragma once

#include <vector>

#include "model.h"

namespace slimvec {

template <class E>
struct TrainedAttention {
  Shape shape;                 // heads, kv_heads, head_dim, score_scale and causal
  long window = 0;             // 0: none
  std::vector<long> lengths;   // of each text
  const E* query = nullptr;    // [T, A, D]
  const E* key = nullptr;      // [T, K, D]
  const E* value = nullptr;    // [T, K, D]
  const E* gradient = nullptr; // [T, A, D]: dO; or null, and O is computed
  E* result = nullptr;         // [T, A, D]: O
  E* query_result = nullptr;   // gradients, as large as what they are of
  E* key_result = nullptr;
  E* value_result = nullptr;
};

template <class E>
void run_trained_attention(const TrainedAttention<E>& work, int num_threads);

}  // namespace slimvec
