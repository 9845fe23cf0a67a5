// Compiled once a target, with SLIMVEC_TARGET its name: checks what the interface is handed against the shapes of the
// model and this target's packing, and runs it.
#include "target.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <functional>
#include <numeric>
#include <string>

#include "attention_training.h"
#include "gradients.h"
#include "model.h"

namespace slimvec {
namespace {

// What was handed over does not fit.
struct Refusal {
  std::string reason;
};

[[noreturn]] __attribute__((format(printf, 1, 2))) void refuse(const char* format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  throw Refusal{text};
}

const char* name_of(int32_t dtype) {
  switch (dtype) {
    case SLIMVEC_DTYPE_FLOAT32: return "float32";
    case SLIMVEC_DTYPE_BFLOAT16: return "bfloat16";
    case SLIMVEC_DTYPE_INT8: return "int8";
    case SLIMVEC_DTYPE_INT32: return "int32";
    default: return "another dtype";
  }
}

template <class E>
constexpr int32_t DTYPE = SLIMVEC_DTYPE_FLOAT32;
template <>
constexpr int32_t DTYPE<bf16> = SLIMVEC_DTYPE_BFLOAT16;
template <>
constexpr int32_t DTYPE<byte> = SLIMVEC_DTYPE_INT8;
template <>
constexpr int32_t DTYPE<int32_t> = SLIMVEC_DTYPE_INT32;

#ifdef SLIMVEC_BF16
constexpr bool HAS_BF16 = true;
#else
constexpr bool HAS_BF16 = false;
#endif
#ifdef SLIMVEC_INT8
constexpr int32_t INT8_PACK = Element<byte>::PACK, INT8_OFFSET = Element<byte>::OFFSET;
constexpr int32_t INT8_BITS = 8 * sizeof(Element<byte>::Activation);
#else
constexpr int32_t INT8_PACK = 0, INT8_OFFSET = 0, INT8_BITS = 0;
#endif

using Sizes = std::vector<int64_t>;

std::string written(const int64_t* sizes, size_t count) {
  std::string text = "[";
  for (size_t i = 0; i < count; ++i) {
    char number[32];
    std::snprintf(number, sizeof number, i ? ", %" PRId64 : "%" PRId64, sizes[i]);
    text += number;
  }
  return text + "]";
}

template <class E>
const E* pointer(const SlimvecTensor& tensor, const char* name, const Sizes& sizes) {
  if (!tensor.data) refuse("%s is missing", name);
  if (tensor.dtype != DTYPE<E>) refuse("%s must be %s, got %s", name, name_of(DTYPE<E>), name_of(tensor.dtype));
  if (size_t(tensor.num_sizes) != sizes.size() || !std::equal(sizes.begin(), sizes.end(), tensor.sizes))
    refuse(
        "%s must have sizes %s, got %s", name, written(sizes.data(), sizes.size()).c_str(),
        written(tensor.sizes, size_t(std::clamp(tensor.num_sizes, 0, int32_t(SLIMVEC_MOST_SIZES)))).c_str());
  return static_cast<const E*>(tensor.data);
}

// Reads the tensors of one layer.
template <class E>
class LayerReader {
 public:
  explicit LayerReader(const SlimvecTensor* slots) : slots_(slots) {}

  const float* vector(SlimvecSlot slot, const char* name, int64_t size, bool required = false) const {
    if (!slots_[slot].data && !required) return nullptr;
    return pointer<float>(slots_[slot], name, {size});
  }
  const float* table(SlimvecSlot slot, const char* name, int64_t rows, int64_t columns) const {
    const SlimvecTensor& tensor = slots_[slot];
    if (!tensor.data || tensor.num_sizes != 2 || tensor.sizes[0] < rows)
      refuse("%s must have %" PRId64 " rows or more", name, rows);
    return pointer<float>(tensor, name, {tensor.sizes[0], columns});
  }
  Matrix<E> matrix(SlimvecSlot slot, const char* name, int64_t depth, int64_t columns) const {
    Matrix<E> matrix;
    if (std::is_same_v<E, float> && slots_[slot].dtype == SLIMVEC_DTYPE_BFLOAT16)
      matrix.halves = halves(slot, name, depth, columns);
    else
      matrix.panels = panels<E>(slot, name, depth, columns, Element<E>::PACK);
    matrix.bias = vector(SlimvecSlot(slot + 1), name, round_up(columns, PANEL));
    matrix.depth = depth;
    matrix.columns = columns;
    return matrix;
  }
  // A matrix in full, or in 8 bits with scales and starts behind its bias.
  void matrix(
      SlimvecSlot slot, const char* name, int64_t depth, int64_t columns, Matrix<E>& full, Int8Matrix& int8) const {
    if (slots_[slot].dtype != SLIMVEC_DTYPE_INT8) {
      full = matrix(slot, name, depth, columns);
      return;
    }
    if (!INT8_PACK) refuse("no kernel for weights in int8 in this target");
    const int64_t padded = round_up(columns, PANEL);
    int8.panels = panels<byte>(slot, name, depth, columns, INT8_PACK);
    int8.bias = vector(SlimvecSlot(slot + 1), name, padded);
    int8.scales = vector(SlimvecSlot(slot + 2), name, padded, true);
    int8.starts = pointer<int32_t>(slots_[slot + 3], name, {padded});
    int8.depth = depth;
    int8.columns = columns;
  }

 private:
  const Halves* halves(SlimvecSlot slot, const char* name, int64_t depth, int64_t columns) const {
    const Sizes sizes = {(columns + PANEL - 1) / PANEL, depth, PANEL / 2, 2};
    return reinterpret_cast<const Halves*>(pointer<bf16>(slots_[slot], name, sizes));
  }

  template <class T>
  const T* panels(SlimvecSlot slot, const char* name, int64_t depth, int64_t columns, int64_t pack) const {
    return pointer<T>(slots_[slot], name, {(columns + PANEL - 1) / PANEL, (depth + pack - 1) / pack, PANEL, pack});
  }

  const SlimvecTensor* slots_;
};

template <class E>
Layer<E> read_layer(const SlimvecTensor* slots, const Shape& s, int64_t window, int64_t positions) {
  const LayerReader<E> reader(slots);
  const int64_t attended = s.heads * s.head_dim;
  Layer<E> layer;
  layer.input_norm = reader.vector(SLIMVEC_INPUT_NORM, "input_norm", s.width, true);
  reader.matrix(SLIMVEC_QKV, "qkv", s.width, s.qkv_columns(), layer.qkv, layer.int8_qkv);
  layer.query_norm = reader.vector(SLIMVEC_QUERY_NORM, "query_norm", s.head_dim);
  layer.key_norm = reader.vector(SLIMVEC_KEY_NORM, "key_norm", s.head_dim);
  reader.matrix(SLIMVEC_OUTPUT, "output", attended, s.width, layer.output, layer.int8_output);
  layer.output_factors =
      reader.vector(SLIMVEC_OUTPUT_FACTORS, "output_factors", attended, layer.int8_output.panels != nullptr);
  layer.attention_norm = reader.vector(SLIMVEC_ATTENTION_NORM, "attention_norm", s.width);
  layer.feed_forward_norm = reader.vector(SLIMVEC_FEED_FORWARD_NORM, "feed_forward_norm", s.width, true);
  const int64_t both = round_up(s.hidden, PANEL / 2) * 2;
  reader.matrix(SLIMVEC_GATE_UP, "gate_up", s.width, both, layer.gate_up, layer.int8_gate_up);
  reader.matrix(SLIMVEC_DOWN, "down", s.hidden, s.width, layer.down, layer.int8_down);
  layer.down_norm = reader.vector(SLIMVEC_DOWN_NORM, "down_norm", s.width);
  layer.cosine = reader.table(SLIMVEC_COSINE, "cosine", positions, s.head_dim / 2);
  layer.sine = reader.table(SLIMVEC_SINE, "sine", positions, s.head_dim / 2);
  if (window < 0) refuse("a window must not be negative");
  layer.window = window;
  return layer;
}

Shape read_shape(const SlimvecShape& from) {
  const int64_t sizes[] = {from.width, from.heads, from.kv_heads, from.head_dim, from.hidden};
  const bool in_range = std::all_of(std::begin(sizes), std::end(sizes), [](int64_t size) {
    return size > 0 && size < (int64_t(1) << 24);
  });
  if (!in_range || from.heads % from.kv_heads || from.head_dim % 2 || from.width % 2 || from.hidden % 2)
    refuse(
        "sizes must be positive, widths even, and key-value heads must divide query heads; got %s",
        written(sizes, 5).c_str());
  Shape s;
  s.width = from.width, s.heads = from.heads, s.kv_heads = from.kv_heads;
  s.head_dim = from.head_dim, s.hidden = from.hidden;
  s.epsilon = from.epsilon, s.score_scale = from.score_scale, s.embedding_scale = from.embedding_scale;
  s.causal = from.causal != 0, s.gelu = from.gelu != 0;
  return s;
}

template <class E>
void read_embedding(const SlimvecTensor& tensor, Model<E>& model) {
  if (tensor.num_sizes != 2) refuse("embedding must be a matrix");
  const Sizes sizes = {tensor.sizes[0], model.shape.width};
  if (tensor.dtype == SLIMVEC_DTYPE_BFLOAT16)
    model.embedding_half = pointer<bf16>(tensor, "embedding", sizes);
  else
    model.embedding = pointer<float>(tensor, "embedding", sizes);
}

void read_lengths(const int64_t* from, int64_t num_texts, int64_t num_tokens, std::vector<long>& lengths) {
  if (num_texts < 1 || num_tokens < 1 || !from) refuse("a batch has texts and tokens");
  int64_t total = 0;
  for (int64_t i = 0; i < num_texts; ++i) {
    if (from[i] < 1) refuse("every text needs a token");
    total += std::min(from[i], num_tokens + 1);  // no overflow, whatever is handed over
    lengths.push_back(long(from[i]));
  }
  if (total != num_tokens) refuse("lengths add up to %" PRId64 ", got %" PRId64 " tokens", total, num_tokens);
}

void read_texts(const SlimvecBatch& from, int64_t vocabulary, std::vector<long>& lengths) {
  read_lengths(from.lengths, from.num_texts, from.num_tokens, lengths);
  if (!from.tokens || !from.states) refuse("a batch has tokens and room for their states");
  for (int64_t i = 0; i < from.num_tokens; ++i)
    if (from.tokens[i] < 0 || from.tokens[i] >= vocabulary)
      refuse("token %" PRId64 " is not in the vocabulary of %" PRId64, from.tokens[i], vocabulary);
}

template <class E>
void read_prefix(const SlimvecBatch& from, int64_t layers, const Shape& shape, Batch<E>& batch) {
  if (!from.prefix_keys.data && !from.prefix_values.data) return;
  if (!shape.causal || !from.prefix_keys.data || !from.prefix_values.data)
    refuse("a prefix has keys and values, and needs a causal model");
  batch.prefix_length = from.prefix_keys.num_sizes == 4 ? from.prefix_keys.sizes[1] : 0;
  const Sizes sizes = {layers, batch.prefix_length, shape.kv_heads, shape.head_dim};
  batch.prefix_keys = pointer<E>(from.prefix_keys, "prefix_keys", sizes);
  batch.prefix_values = pointer<E>(from.prefix_values, "prefix_values", sizes);
  batch.prefix_key_stride = from.prefix_key_stride;
  batch.prefix_value_stride = from.prefix_value_stride;
}

template <class E>
int32_t decode_as(const SlimvecModel& from, const SlimvecBatch& texts, int32_t num_threads) {
  Model<E> model;
  model.shape = read_shape(from.shape);
  read_embedding(from.embedding, model);
  if (from.final_norm.data) model.final_norm = pointer<float>(from.final_norm, "final_norm", {model.shape.width});
  Batch<E> batch;
  read_texts(texts, from.embedding.sizes[0], batch.lengths);
  batch.tokens = texts.tokens;
  batch.num_tokens = texts.num_tokens;
  batch.states = texts.states;
  batch.keys = static_cast<E*>(texts.keys);
  batch.values = static_cast<E*>(texts.values);
  batch.stop = texts.stop;
  if (!batch.keys != !batch.values) refuse("keys and values are kept together or not at all");
  read_prefix(texts, from.num_layers, model.shape, batch);
  const int64_t positions = batch.prefix_length + *std::max_element(batch.lengths.begin(), batch.lengths.end());
  for (int64_t i = 0; i < from.num_layers; ++i)
    model.layers.push_back(
        read_layer<E>(from.slots + i * SLIMVEC_NUM_SLOTS, model.shape, from.windows[i], positions));
  run_decoder(model, batch, num_threads);
  return batch.stopped() ? SLIMVEC_INTERRUPTED : SLIMVEC_DONE;
}

int32_t decode_checked(const SlimvecModel& model, const SlimvecBatch& batch, int32_t num_threads) {
  if (model.num_layers < 1 || !model.slots || !model.windows) refuse("a decoder needs a layer");
  if (model.num_slots != model.num_layers * SLIMVEC_NUM_SLOTS)
    refuse("expected %" PRId64 " tensors, got %" PRId64, model.num_layers * SLIMVEC_NUM_SLOTS, model.num_slots);
  if (model.dtype == SLIMVEC_DTYPE_FLOAT32) return decode_as<float>(model, batch, num_threads);
#ifdef SLIMVEC_BF16
  if (model.dtype == SLIMVEC_DTYPE_BFLOAT16) return decode_as<bf16>(model, batch, num_threads);
#endif
  refuse("no kernel for products in %s in this target", name_of(model.dtype));
}

template <class E>
void run_rows_as(const SlimvecRows& from, int32_t num_threads) {
  const int32_t num_sizes = std::clamp(from.first.num_sizes, 0, int32_t(SLIMVEC_MOST_SIZES));
  const Sizes sizes(from.first.sizes, from.first.sizes + num_sizes);
  const int64_t size = std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
  const E* first = pointer<E>(from.first, "first", sizes);
  const E* gradient = from.gradient.data ? pointer<E>(from.gradient, "gradient", sizes) : nullptr;
  if (sizes.empty() || size < 1 || !from.result) refuse("rows have a size, and room for the result");
  if (from.norm) {
    const float* weight = pointer<float>(from.second, "weight", {sizes.back()});
    run_norm<E>(
        {size / sizes.back(), sizes.back(), first, weight, gradient, static_cast<E*>(from.result), from.epsilon},
        num_threads);
    return;
  }
  if (gradient && !from.second_result) refuse("a gate has two gradients");
  run_gate<E>(
      {size, first, pointer<E>(from.second, "second", sizes), gradient, static_cast<E*>(from.result),
       static_cast<E*>(from.second_result), from.gelu != 0},
      num_threads);
}

int32_t run_rows_checked(const SlimvecRows& rows, int32_t num_threads) {
#ifdef SLIMVEC_BF16
  if (rows.first.dtype == SLIMVEC_DTYPE_BFLOAT16) return run_rows_as<bf16>(rows, num_threads), SLIMVEC_DONE;
#endif
  if (rows.first.dtype != SLIMVEC_DTYPE_FLOAT32)
    refuse("no kernel for rows in %s in this target", name_of(rows.first.dtype));
  return run_rows_as<float>(rows, num_threads), SLIMVEC_DONE;
}

template <class E>
void run_attention_as(const SlimvecAttention& from, int32_t num_threads) {
  if (from.query.num_sizes != 3 || from.key.num_sizes != 3) refuse("queries and keys have three sizes");
  const int64_t tokens = from.query.sizes[0], heads = from.query.sizes[1], dim = from.query.sizes[2];
  TrainedAttention<E> work;
  work.shape = read_shape({heads * dim, heads, from.key.sizes[1], dim, 2, 0, from.scale, 1, from.causal, 0});
  read_lengths(from.lengths, from.num_texts, tokens, work.lengths);
  if (from.window < 0) refuse("a window must not be negative");
  work.window = from.window;
  const Sizes sizes = {tokens, heads, dim}, fewer = {tokens, work.shape.kv_heads, dim};
  work.query = pointer<E>(from.query, "query", sizes);
  work.key = pointer<E>(from.key, "key", fewer);
  work.value = pointer<E>(from.value, "value", fewer);
  if (from.gradient.data) work.gradient = pointer<E>(from.gradient, "gradient", sizes);
  work.result = static_cast<E*>(from.result);
  work.query_result = static_cast<E*>(from.query_result);
  work.key_result = static_cast<E*>(from.key_result);
  work.value_result = static_cast<E*>(from.value_result);
  if (work.gradient ? !work.query_result || !work.key_result || !work.value_result : !work.result)
    refuse("attention has room for its result, or for its three gradients");
  run_trained_attention(work, num_threads);
}

int32_t run_attention_checked(const SlimvecAttention& attention, int32_t num_threads) {
#ifdef SLIMVEC_BF16
  if (attention.query.dtype == SLIMVEC_DTYPE_BFLOAT16)
    return run_attention_as<bf16>(attention, num_threads), SLIMVEC_DONE;
#endif
  if (attention.query.dtype != SLIMVEC_DTYPE_FLOAT32)
    refuse("no kernel for attention in %s in this target", name_of(attention.query.dtype));
  return run_attention_as<float>(attention, num_threads), SLIMVEC_DONE;
}

// Call what is checked, and put what it throws into words.
template <class Call>
int32_t guarded(const Call& call, char* error, int64_t error_size) {
  try {
    return call();
  } catch (const Refusal& refusal) {
    std::snprintf(error, size_t(error_size), "%s", refusal.reason.c_str());
    return SLIMVEC_REFUSED;
  } catch (const std::exception& failure) {
    std::snprintf(error, size_t(error_size), "%s", failure.what());
    return SLIMVEC_FAILED;
  }
}

int32_t decode(
    const SlimvecModel* model, const SlimvecBatch* batch, int32_t num_threads, char* error, int64_t error_size) {
  return guarded([&] { return decode_checked(*model, *batch, num_threads); }, error, error_size);
}

int32_t run_rows(const SlimvecRows* rows, int32_t num_threads, char* error, int64_t error_size) {
  return guarded([&] { return run_rows_checked(*rows, num_threads); }, error, error_size);
}

int32_t run_attention(const SlimvecAttention* attention, int32_t num_threads, char* error, int64_t error_size) {
  return guarded([&] { return run_attention_checked(*attention, num_threads); }, error, error_size);
}

}  // namespace
}  // namespace slimvec

#define SLIMVEC_JOIN(a, b) a##b
#define SLIMVEC_SYMBOL(name) SLIMVEC_JOIN(slimvec_target_, name)
#define SLIMVEC_QUOTE(name) #name
#define SLIMVEC_NAME(name) SLIMVEC_QUOTE(name)

extern "C" TargetEntry SLIMVEC_SYMBOL(SLIMVEC_TARGET);
TargetEntry SLIMVEC_SYMBOL(SLIMVEC_TARGET) = {
    {SLIMVEC_NAME(SLIMVEC_TARGET), "", slimvec::PANEL, slimvec::HAS_BF16, slimvec::INT8_PACK > 0, slimvec::INT8_PACK,
     slimvec::INT8_BITS, slimvec::INT8_OFFSET, 1},
    slimvec::decode,
    slimvec::run_rows,
    slimvec::run_attention,
};
