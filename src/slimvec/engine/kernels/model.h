// What the decoder is told: shapes, weights, the batch, and where results go. Plain pointers; target.cpp has
// checked every size before they get here.
//
// Letters: T tokens of the batch, P tokens of the shared prefix, H width, A query heads, K key-value heads, D width of
// a head, F hidden width of the feed-forward part, L layers.
#pragma once

#include <vector>

#include "product.h"

namespace slimvec {

struct Shape {
  long width = 0;
  long heads = 0;
  long kv_heads = 0;
  long head_dim = 0;
  long hidden = 0;
  float epsilon = 0;
  float score_scale = 0;
  float embedding_scale = 0;
  bool causal = true;
  bool gelu = false;

  long group() const { return heads / kv_heads; }                      // query heads that share a key-value head
  long padded_head() const { return round_up(head_dim, LANES); }       // columns of a row of packed values
  long qkv_columns() const { return (heads + 2 * kv_heads) * head_dim; }
};

template <class E>
struct Layer {
  const float* input_norm = nullptr;         // [H]
  Matrix<E> qkv;                             // [H, (A + 2K) D], or in 8 bits:
  Int8Matrix int8_qkv;
  const float* query_norm = nullptr;         // [D] or null
  const float* key_norm = nullptr;           // [D] or null
  Matrix<E> output;                          // [A D, H], or in 8 bits:
  Int8Matrix int8_output;
  const float* output_factors = nullptr;     // [A D]: of what enters the product in 8 bits
  const float* attention_norm = nullptr;     // [H] or null: norm of the attention's output before it is added
  const float* feed_forward_norm = nullptr;  // [H]
  Matrix<E> gate_up;                         // [H, 2F]; a panel holds gates, then the ups they multiply; or
  Int8Matrix int8_gate_up;                   // the same in 8 bits
  Matrix<E> down;                            // [F, H], or in 8 bits:
  Int8Matrix int8_down;
  const float* down_norm = nullptr;          // [H] or null: norm of the feed-forward part's output
  const float* cosine = nullptr;             // [positions, D/2]
  const float* sine = nullptr;               // [positions, D/2]
  long window = 0;                           // 0: none
};

template <class E>
struct Model {
  Shape shape;
  std::vector<Layer<E>> layers;
  const float* embedding = nullptr;       // [vocabulary, H], or null and
  const bf16* embedding_half = nullptr;   // the same in bf16, whatever the other weights are held in
  const float* final_norm = nullptr;      // [H], or null: states as the last layer leaves them
};

template <class E>
struct Batch {
  const int64_t* tokens = nullptr;  // [T]
  std::vector<long> lengths;        // of each text
  long num_tokens = 0;
  long prefix_length = 0;            // P
  const E* prefix_keys = nullptr;    // [L, P, K, D]
  const E* prefix_values = nullptr;  // [L, P, K, D]
  long prefix_key_stride = 0;        // from layer to layer
  long prefix_value_stride = 0;
  float* states = nullptr;           // [T, H]
  E* keys = nullptr;                 // [L, T, K, D] or null
  E* values = nullptr;               // [L, T, K, D] or null
  const int32_t* stop = nullptr;     // anything but 0 ends the run before the next layer

  bool stopped() const { return stop && __atomic_load_n(stop, __ATOMIC_RELAXED); }
};

// Run the model over the batch.
template <class E>
void run_decoder(const Model<E>& model, const Batch<E>& batch, int num_threads);

}  // namespace slimvec
