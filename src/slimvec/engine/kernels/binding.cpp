// The border to torch: one operator, which checks every tensor before its memory is read.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>

#include "model.h"

namespace slimvec {
namespace {

using at::Tensor;
using std::optional;
using Tensors = c10::List<optional<Tensor>>;

constexpr int64_t SLOTS = 21;  // tensors a layer, in the order of `read_layer`

template <class E>
struct TypeOf;
template <>
struct TypeOf<float> {
  static constexpr at::ScalarType value = at::kFloat;
};
template <>
struct TypeOf<bf16> {
  static constexpr at::ScalarType value = at::kBFloat16;
};

void check(const Tensor& tensor, const char* name, at::ScalarType type, at::IntArrayRef sizes) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.is_contiguous(), name, " must be contiguous and on the CPU");
  TORCH_CHECK(tensor.scalar_type() == type, name, " must be ", type, ", got ", tensor.scalar_type());
  TORCH_CHECK(tensor.sizes() == sizes, name, " must have sizes ", sizes, ", got ", tensor.sizes());
}

template <>
struct TypeOf<byte> {
  static constexpr at::ScalarType value = at::kChar;
};
template <>
struct TypeOf<int32_t> {
  static constexpr at::ScalarType value = at::kInt;
};

template <class E>
const E* pointer(const Tensor& tensor, const char* name, at::IntArrayRef sizes) {
  check(tensor, name, TypeOf<E>::value, sizes);
  return static_cast<const E*>(tensor.const_data_ptr());
}

// Keys or values of a prefix: its tokens lie side by side, its layers may lie apart.
template <class E>
const E* prefix_pointer(const Tensor& tensor, const char* name, at::IntArrayRef sizes) {
  TORCH_CHECK(tensor.sizes() == sizes, name, " must have sizes ", sizes, ", got ", tensor.sizes());
  TORCH_CHECK(tensor.select(0, 0).is_contiguous(), name, " must be contiguous in every layer");
  check(tensor.select(0, 0), name, TypeOf<E>::value, sizes.slice(1));
  return static_cast<const E*>(tensor.const_data_ptr());
}

// Reads the tensors of one layer, in order.
template <class E>
class LayerReader {
 public:
  LayerReader(const Tensors& tensors, int64_t first) : tensors_(tensors), next_(first) {}

  const float* vector(const char* name, int64_t size, bool required = false) {
    const optional<Tensor> tensor = tensors_.get(next_++);
    TORCH_CHECK(tensor || !required, name, " is missing");
    return tensor ? pointer<float>(*tensor, name, {size}) : nullptr;
  }
  const float* table(const char* name, int64_t rows, int64_t columns) {
    const optional<Tensor> tensor = tensors_.get(next_++);
    TORCH_CHECK(tensor && tensor->dim() == 2 && tensor->size(0) >= rows, name, " must have ", rows, " rows or more");
    return pointer<float>(*tensor, name, {tensor->size(0), columns});
  }
  Matrix<E> matrix(const char* name, int64_t depth, int64_t columns) {
    Matrix<E> matrix;
    matrix.panels = panels<E>(name, depth, columns);
    matrix.bias = vector(name, round_up(columns, PANEL));
    matrix.depth = depth;
    matrix.columns = columns;
    return matrix;
  }
  // A matrix in full or in 8 bits: panels, bias, and for 8 bits scales and starts.
  void matrix(const char* name, int64_t depth, int64_t columns, Matrix<E>& full, Int8Matrix& int8) {
    const optional<Tensor> tensor = tensors_.get(next_);
    if (!tensor || tensor->scalar_type() != at::kChar) {
      full = matrix(name, depth, columns);
      next_ += 2;
      return;
    }
#ifndef __AVX512VNNI__
    TORCH_CHECK(false, "no kernel for weights in int8 on this processor");
#else
    const int64_t padded = round_up(columns, PANEL);
    int8.panels = panels<byte>(name, depth, columns);
    int8.bias = vector(name, padded);
    int8.scales = vector(name, padded, true);
    const optional<Tensor> starts = tensors_.get(next_++);
    TORCH_CHECK(starts, name, " has no starts");
    int8.starts = pointer<int32_t>(*starts, name, {padded});
    int8.depth = depth;
    int8.columns = columns;
#endif
  }

 private:
  template <class T>
  const T* panels(const char* name, int64_t depth, int64_t columns) {
    constexpr int64_t pack = Element<T>::PACK;
    const optional<Tensor> tensor = tensors_.get(next_++);
    TORCH_CHECK(tensor, name, " is missing");
    return pointer<T>(*tensor, name, {(columns + PANEL - 1) / PANEL, (depth + pack - 1) / pack, PANEL, pack});
  }

  const Tensors& tensors_;
  int64_t next_;
};

template <class E>
Layer<E> read_layer(const Tensors& tensors, int64_t index, const Shape& s, int64_t window, int64_t positions) {
  LayerReader<E> reader(tensors, index * SLOTS);
  Layer<E> layer;
  layer.input_norm = reader.vector("input_norm", s.width, true);
  layer.qkv = reader.matrix("qkv", s.width, s.qkv_columns());
  layer.query_norm = reader.vector("query_norm", s.head_dim);
  layer.key_norm = reader.vector("key_norm", s.head_dim);
  const int64_t attended = s.heads * s.head_dim;
  reader.matrix("output", attended, s.width, layer.output, layer.int8_output);
  layer.output_factors = reader.vector("output_factors", attended, layer.int8_output.panels != nullptr);
  layer.attention_norm = reader.vector("attention_norm", s.width);
  layer.feed_forward_norm = reader.vector("feed_forward_norm", s.width, true);
  reader.matrix("gate_up", s.width, round_up(s.hidden, PANEL / 2) * 2, layer.gate_up, layer.int8_gate_up);
  layer.down = reader.matrix("down", s.hidden, s.width);
  layer.down_norm = reader.vector("down_norm", s.width);
  layer.cosine = reader.table("cosine", positions, s.head_dim / 2);
  layer.sine = reader.table("sine", positions, s.head_dim / 2);
  TORCH_CHECK(window >= 0, "a window must not be negative");
  layer.window = window;
  return layer;
}

Shape read_shape(at::IntArrayRef sizes, at::ArrayRef<double> scales) {
  TORCH_CHECK(sizes.size() == 7 && scales.size() == 3, "a shape has 7 sizes and 3 scales");
  Shape s;
  s.width = sizes[0], s.heads = sizes[1], s.kv_heads = sizes[2], s.head_dim = sizes[3], s.hidden = sizes[4];
  s.causal = sizes[5] != 0, s.gelu = sizes[6] != 0;
  s.epsilon = float(scales[0]), s.score_scale = float(scales[1]), s.embedding_scale = float(scales[2]);
  TORCH_CHECK(
      s.width > 0 && s.heads > 0 && s.kv_heads > 0 && s.head_dim > 0 && s.hidden > 0 && s.heads % s.kv_heads == 0 &&
          s.head_dim % 2 == 0 && s.width % 2 == 0 && s.hidden % 2 == 0,
      "sizes must be positive, widths even, and key-value heads must divide query heads; got ", sizes);
  return s;
}

std::vector<long> read_lengths(const Tensor& lengths, int64_t num_tokens) {
  check(lengths, "lengths", at::kLong, {lengths.numel()});
  const int64_t* from = lengths.const_data_ptr<int64_t>();
  std::vector<long> result(from, from + lengths.numel());
  for (const long length : result) TORCH_CHECK(length > 0, "every text needs a token");
  const long total = std::accumulate(result.begin(), result.end(), 0L);
  TORCH_CHECK(total == num_tokens && total > 0, "lengths add up to ", total, ", got ", num_tokens, " tokens");
  return result;
}

const int64_t* read_tokens(const Tensor& tokens, int64_t vocabulary) {
  check(tokens, "tokens", at::kLong, {tokens.numel()});
  const int64_t* from = tokens.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens.numel(); ++i)
    TORCH_CHECK(from[i] >= 0 && from[i] < vocabulary, "token ", from[i], " is not in the vocabulary of ", vocabulary);
  return from;
}

template <class E>
std::tuple<Tensor, Tensor, Tensor> decode_as(
    const Tensor& tokens, const Tensor& lengths, const Tensor& embedding, const Tensor& final_norm,
    const Tensors& layers, at::IntArrayRef windows, const Shape& shape, const optional<Tensor>& prefix_keys,
    const optional<Tensor>& prefix_values, bool return_kv) {
  const int64_t depth = int64_t(windows.size()), num_tokens = tokens.numel();
  TORCH_CHECK(int64_t(layers.size()) == depth * SLOTS, "expected ", depth * SLOTS, " tensors, got ", layers.size());
  TORCH_CHECK(embedding.dim() == 2, "embedding must be a matrix");
  Model<E> model;
  model.shape = shape;
  if (embedding.scalar_type() == at::kBFloat16) {
    check(embedding, "embedding", at::kBFloat16, {embedding.size(0), shape.width});
    model.embedding_half = static_cast<const bf16*>(embedding.const_data_ptr());
  } else {
    model.embedding = pointer<float>(embedding, "embedding", {embedding.size(0), shape.width});
  }
  model.final_norm = pointer<float>(final_norm, "final_norm", {shape.width});
  Batch<E> batch;
  batch.lengths = read_lengths(lengths, num_tokens);
  batch.tokens = read_tokens(tokens, embedding.size(0));
  batch.num_tokens = num_tokens;
  if (prefix_keys) {
    TORCH_CHECK(shape.causal && prefix_values, "a prefix has keys and values, and needs a causal model");
    batch.prefix_length = prefix_keys->dim() == 4 ? prefix_keys->size(1) : 0;
    const std::array<int64_t, 4> sizes = {depth, batch.prefix_length, shape.kv_heads, shape.head_dim};
    batch.prefix_keys = prefix_pointer<E>(*prefix_keys, "prefix_keys", sizes);
    batch.prefix_values = prefix_pointer<E>(*prefix_values, "prefix_values", sizes);
    batch.prefix_key_stride = prefix_keys->stride(0);
    batch.prefix_value_stride = prefix_values->stride(0);
  }
  const int64_t positions = batch.prefix_length + *std::max_element(batch.lengths.begin(), batch.lengths.end());
  for (int64_t i = 0; i < depth; ++i)
    model.layers.push_back(read_layer<E>(layers, i, shape, windows[i], positions));
  const auto options = embedding.options().dtype(TypeOf<E>::value);
  Tensor states = at::empty({num_tokens, shape.width}, options.dtype(at::kFloat));
  const int64_t kept = return_kv ? num_tokens : 0;
  Tensor keys = at::empty({depth, kept, shape.kv_heads, shape.head_dim}, options);
  Tensor values = at::empty_like(keys);
  batch.states = states.data_ptr<float>();
  if (return_kv) {
    batch.keys = static_cast<E*>(keys.data_ptr());
    batch.values = static_cast<E*>(values.data_ptr());
  }
  run_decoder(model, batch, at::get_num_threads());
  return {states, keys, values};
}

std::tuple<Tensor, Tensor, Tensor> decode(
    const Tensor& tokens, const Tensor& lengths, const Tensor& embedding, const Tensor& final_norm,
    const Tensors& layers, at::IntArrayRef windows, at::IntArrayRef sizes, at::ArrayRef<double> scales,
    const optional<Tensor>& prefix_keys, const optional<Tensor>& prefix_values, bool return_kv) {
  const Shape shape = read_shape(sizes, scales);
  const auto run = [&](auto decode_type) {
    return decode_type(
        tokens, lengths, embedding, final_norm, layers, windows, shape, prefix_keys, prefix_values, return_kv);
  };
  const optional<Tensor> qkv = layers.size() > 1 ? layers.get(1) : std::nullopt;
  TORCH_CHECK(qkv, "a decoder needs a layer");
  if (qkv->scalar_type() == at::kFloat) return run(decode_as<float>);
#ifdef __AVX512BF16__
  if (qkv->scalar_type() == at::kBFloat16) return run(decode_as<bf16>);
#endif
  TORCH_CHECK(false, "no kernel for weights in ", qkv->scalar_type(), " on this processor");
}

}  // namespace

TORCH_LIBRARY(slimvec, library) {
  library.def(
      "decode(Tensor tokens, Tensor lengths, Tensor embedding, Tensor final_norm, Tensor?[] layers, int[] windows, "
      "int[] sizes, float[] scales, Tensor? prefix_keys, Tensor? prefix_values, bool return_kv) "
      "-> (Tensor states, Tensor keys, Tensor values)");
}

TORCH_LIBRARY_IMPL(slimvec, CPU, library) { library.impl("decode", decode); }

}  // namespace slimvec
