// Memory: uninitialised and aligned to a cache line, and what of it a chunk, a thread and a shared prefix need.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "int8.h"
#include "threads.h"

namespace slimvec {

template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(long count) {
    if (count <= 0) return;
    const size_t bytes = (size_t(count) * sizeof(T) + 63) / 64 * 64;
    memory_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (!memory_) throw std::bad_alloc();
  }
  T* at(long index) const { return memory_.get() + index; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
};

// Rows of a block: their activations (normed input and feed-forward hidden) take the share of the L2 cache that the
// target gives them.
template <class E>
long block_rows(const Shape& shape) {
  const long rows = BLOCK_BYTES / ((shape.width + shape.hidden) * long(sizeof(E)));
  return clamp_to(rows / TILE_ROWS * TILE_ROWS, 48, 384);
}

// Panels that together hold whole heads: lcm(PANEL, D) columns.
inline long group_panels(long head_dim) {
  long panels = 1;
  while (panels * PANEL % head_dim) ++panels;
  return panels;
}

// Keys and values of the shared prefix, packed once a batch.
template <class E>
struct PackedPrefix {
  Buffer<E> keys, values;
  long head_keys = 0, head_values = 0;  // elements of one head of one layer
};

template <class E>
PackedPrefix<E> pack_prefix(const Model<E>& model, const Batch<E>& batch, int num_threads) {
  const Shape& shape = model.shape;
  const long length = batch.prefix_length, dim = shape.head_dim, padded = round_up(length, LANES);
  const long heads = long(model.layers.size()) * shape.kv_heads;
  PackedPrefix<E> packed;
  if (!length) return packed;
  packed.head_keys = padded * dim;
  packed.head_values = padded * shape.padded_head();
  packed.keys = Buffer<E>(heads * packed.head_keys);
  packed.values = Buffer<E>(heads * packed.head_values);
  const auto pack_head = [&](long head) {
    const long layer = head / shape.kv_heads, kv_head = head % shape.kv_heads;
    // Padding must be zero: the partner of the last value is multiplied with a probability of zero, and may be no NaN.
    std::memset(packed.values.at(head * packed.head_values), 0, packed.head_values * sizeof(E));
    for (long token = 0; token < length; ++token) {
      const long from = (token * shape.kv_heads + kv_head) * dim;
      const E* key = batch.prefix_keys + layer * batch.prefix_key_stride + from;
      const E* value = batch.prefix_values + layer * batch.prefix_value_stride + from;
      pack_key(key, token, dim, packed.keys.at(head * packed.head_keys));
      pack_value(value, token, dim, shape.padded_head(), packed.values.at(head * packed.head_values));
    }
  };
  parallel(num_threads, [&](int rank) {
    for (long head = rank; head < heads; head += num_threads) pack_head(head);
  });
  return packed;
}

// Buffers that all threads at work on a chunk share.
template <class E>
struct ChunkBuffers {
  Buffer<float> residual;    // [tokens, H]
  Buffer<E> queries;         // [K, tokens, A / K, D]
  Buffer<E> keys, values;    // [K, blocks, ...], see rows.h; padding stays zero
  Buffer<E> attended;        // [tokens, A D]
  Buffer<E> hidden;          // [rows, F]: only when columns are split
  Buffer<float> branch;      // [rows, H]: the same, and only for models that norm a branch before adding it
  bool stop = false;         // what the first thread saw before they last met, so that all leave together

  ChunkBuffers(const Model<E>& model, long tokens, long blocks, bool shared) {
    const Shape& s = model.shape;
    residual = Buffer<float>(tokens * s.width);
    queries = Buffer<E>(tokens * s.heads * s.head_dim);
    keys = Buffer<E>(blocks * LANES * s.kv_heads * s.head_dim);
    values = Buffer<E>(blocks * LANES * s.kv_heads * s.padded_head());
    attended = Buffer<E>(tokens * s.heads * s.head_dim);
    if (shared) hidden = Buffer<E>(tokens * s.hidden);
    if (shared) branch = Buffer<float>(tokens * s.width);
  }
};

// Buffers of one thread.
template <class E>
struct ThreadBuffers {
  Buffer<E> normed;           // [rows, H]
  Buffer<Activation> quantised;   // [rows, H, A D or F], where a layer has products in 8 bits
  Buffer<float> row_scales;   // [rows]: likewise
  Buffer<E> hidden;           // [rows, F]
  Buffer<float> branch;       // [rows, H]
  Buffer<float> heads;        // [rows, columns of a group of panels]
  Buffer<E> head;             // [D]
  Buffer<float> scores;       // [6, keys]
  Buffer<E> probabilities;    // [6, keys]
  long capacity;

  ThreadBuffers(const Shape& s, long rows, long most_keys, bool int8)
      : normed(rows * s.width),
        quantised(int8 ? rows * int8_stride(std::max({s.width, s.heads * s.head_dim, s.hidden})) : 0),
        row_scales(int8 ? rows : 0), hidden(rows * s.hidden), branch(rows * s.width),
        heads(rows * group_panels(s.head_dim) * PANEL), head(s.head_dim), scores(TILE_ROWS * most_keys),
        probabilities(TILE_ROWS * most_keys), capacity(most_keys) {}
};

}  // namespace slimvec
