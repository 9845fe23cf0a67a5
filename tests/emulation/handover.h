// A decoder handed to the library as engine/fused/native.py does: matrices packed as the target says, slots filled.
#pragma once

#include <cstring>
#include <deque>

#include "../../src/slimvec/engine/kernels/api.h"
#include "reference.h"

namespace handover {

using reference::Decoder;
using reference::Layer;
using reference::Linear;

inline uint16_t to_bf16(float value) {  // to nearest, ties to even; no NaN comes here
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float from_bf16(uint16_t half) {
  const uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline long padded(long rows, long panel) { return (rows + panel - 1) / panel * panel; }

// Rows [N, ...] of gate and up, so that each panel holds gates and the ups they multiply.
template <class T>
std::vector<T> interleave(const std::vector<T>& gate, const std::vector<T>& up, long row, long panel) {
  const long half = panel / 2, rows = long(gate.size()) / row;
  std::vector<T> both(size_t(padded(rows, half) * 2 * row), T{});
  for (long n = 0; n < rows; ++n)
    for (long k = 0; k < row; ++k) {
      const long to = (n / half * panel + n % half) * row + k;
      both[to] = gate[n * row + k], both[to + half * row] = up[n * row + k];
    }
  return both;
}

inline Linear interleave(const Linear& gate, const Linear& up, long panel) {
  Linear both = gate;
  both.rows = padded(gate.rows, panel / 2) * 2;
  both.weight = interleave(gate.weight, up.weight, gate.depth, panel);
  both.bytes = interleave(gate.bytes, up.bytes, gate.depth, panel);
  both.bias = interleave(gate.bias, up.bias, 1, panel);
  both.scales = interleave(gate.scales, up.scales, 1, panel);
  return both;
}

class Handover {
 public:
  // `halves`: weights are numbers of bfloat16, and held in it by products in float32.
  Handover(const Decoder& decoder, const SlimvecTarget& target, int32_t dtype, bool halves)
      : target_(target), dtype_(dtype), halves_(halves) {
    for (const Layer& layer : decoder.layers) add(decoder, layer);
    model.shape = {
        decoder.width, decoder.heads, decoder.kv_heads, decoder.head_dim, decoder.hidden, decoder.epsilon,
        decoder.score_scale, decoder.embedding_scale, decoder.causal, decoder.gelu};
    model.dtype = dtype;
    const int64_t vocabulary = int64_t(decoder.embedding.size()) / decoder.width;
    model.embedding = halves ? place(rounded(decoder.embedding), {vocabulary, decoder.width}, SLIMVEC_DTYPE_BFLOAT16)
                             : place(decoder.embedding, {vocabulary, decoder.width}, SLIMVEC_DTYPE_FLOAT32);
    model.final_norm = row(decoder.final_norm);
    model.num_layers = int64_t(decoder.layers.size());
    model.num_slots = int64_t(slots.size());
    model.slots = slots.data();
    model.windows = windows_.data();
  }
  Handover(const Handover&) = delete;

  SlimvecModel model = {};
  std::vector<SlimvecTensor> slots;

 private:
  using Sizes = std::vector<int64_t>;

  template <class T>
  SlimvecTensor place(const std::vector<T>& values, const Sizes& sizes, int32_t dtype) {
    SlimvecTensor tensor = {};
    if (values.empty()) return tensor;
    memory_.emplace_back(values.size() * sizeof(T));
    std::memcpy(memory_.back().data(), values.data(), memory_.back().size());
    tensor.data = memory_.back().data();
    std::copy(sizes.begin(), sizes.end(), tensor.sizes);
    tensor.num_sizes = int32_t(sizes.size());
    tensor.dtype = dtype;
    return tensor;
  }
  SlimvecTensor row(const std::vector<float>& values, long panel = 1) {
    std::vector<float> whole = values;
    whole.resize(size_t(padded(long(values.size()), panel)));
    return place(whole, {int64_t(whole.size())}, SLIMVEC_DTYPE_FLOAT32);
  }
  static std::vector<uint16_t> rounded(const std::vector<float>& values) {
    std::vector<uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), to_bf16);
    return halves;
  }

  // [N, K] to [N / panel, K / pack, panel, pack], both rounded up.
  template <class T>
  SlimvecTensor pack(const std::vector<T>& weight, long rows, long depth, long pack, int32_t dtype) {
    const long panel = target_.panel, steps = padded(depth, pack) / pack;
    std::vector<T> packed(size_t(padded(rows, panel) * steps * pack), T{});
    for (long n = 0; n < rows; ++n)
      for (long k = 0; k < depth; ++k)
        packed[((n / panel * steps + k / pack) * panel + n % panel) * pack + k % pack] = weight[n * depth + k];
    return place(packed, {padded(rows, panel) / panel, steps, panel, pack}, dtype);
  }
  // [N, K] to [N / panel, K, panel / 2, 2].
  SlimvecTensor pack_halves(const Linear& matrix) {
    const long panel = target_.panel, half = panel / 2;
    std::vector<uint16_t> packed(size_t(padded(matrix.rows, panel) * matrix.depth), 0);
    for (long n = 0; n < matrix.rows; ++n)
      for (long k = 0; k < matrix.depth; ++k) {
        const long to = (n / panel * matrix.depth + k) * panel + n % half * 2 + n % panel / half;
        packed[to] = to_bf16(matrix.weight[n * matrix.depth + k]);
      }
    return place(packed, {padded(matrix.rows, panel) / panel, matrix.depth, half, 2}, SLIMVEC_DTYPE_BFLOAT16);
  }

  // A matrix into its slots: itself, its bias, and in int8 its scales and starts.
  void matrix(SlimvecTensor* slot, const Linear& matrix) {
    const long rows = matrix.rows, depth = matrix.depth, panel = target_.panel;
    slot[1] = row(matrix.bias, panel);
    if (!matrix.bytes.empty()) {
      slot[0] = pack(matrix.bytes, rows, depth, target_.int8_pack, SLIMVEC_DTYPE_INT8);
      slot[2] = row(matrix.scales, panel);
      std::vector<int32_t> starts(size_t(padded(rows, panel)), 0);
      for (long n = 0; n < rows; ++n)
        for (long k = 0; k < depth; ++k) starts[n] -= target_.int8_offset * matrix.bytes[n * depth + k];
      slot[3] = place(starts, {int64_t(starts.size())}, SLIMVEC_DTYPE_INT32);
    } else if (dtype_ == SLIMVEC_DTYPE_BFLOAT16) {
      slot[0] = pack(rounded(matrix.weight), rows, depth, 2, dtype_);
    } else {
      slot[0] = halves_ ? pack_halves(matrix) : pack(matrix.weight, rows, depth, 1, dtype_);
    }
  }

  void add(const Decoder& decoder, const Layer& layer) {
    slots.resize(slots.size() + SLIMVEC_NUM_SLOTS);
    SlimvecTensor* slot = &slots[slots.size() - SLIMVEC_NUM_SLOTS];
    slot[SLIMVEC_INPUT_NORM] = row(layer.input_norm);
    slot[SLIMVEC_QUERY_NORM] = row(layer.query_norm);
    slot[SLIMVEC_KEY_NORM] = row(layer.key_norm);
    slot[SLIMVEC_ATTENTION_NORM] = row(layer.attention_norm);
    slot[SLIMVEC_FEED_FORWARD_NORM] = row(layer.feed_forward_norm);
    slot[SLIMVEC_DOWN_NORM] = row(layer.down_norm);
    slot[SLIMVEC_OUTPUT_FACTORS] = row(layer.output.factors);
    matrix(slot + SLIMVEC_QKV, layer.qkv);
    matrix(slot + SLIMVEC_OUTPUT, layer.output);
    matrix(slot + SLIMVEC_GATE_UP, interleave(layer.gate, layer.up, target_.panel));
    matrix(slot + SLIMVEC_DOWN, layer.down);
    const int64_t half = decoder.head_dim / 2, positions = int64_t(decoder.cosine.size()) / half;
    slot[SLIMVEC_COSINE] = place(decoder.cosine, {positions, half}, SLIMVEC_DTYPE_FLOAT32);
    slot[SLIMVEC_SINE] = place(decoder.sine, {positions, half}, SLIMVEC_DTYPE_FLOAT32);
    windows_.push_back(layer.window);
  }

  const SlimvecTarget& target_;
  const int32_t dtype_;
  const bool halves_;
  std::deque<std::vector<char>> memory_;
  std::vector<int64_t> windows_;
};

}  // namespace handover
