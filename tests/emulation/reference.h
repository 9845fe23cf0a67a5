// A decoder in plain double precision, one token and one head at a time: what the kernels must compute.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace reference {

using Row = std::vector<double>;

// y = W x + bias, with W [rows, depth] in full or as signed bytes times a scale of each row.
struct Linear {
  long rows = 0, depth = 0;
  std::vector<float> weight;
  std::vector<float> bias;     // empty: none
  std::vector<int8_t> bytes;   // instead of weight
  std::vector<float> scales;   // [rows]
  std::vector<float> factors;  // [depth] of what enters, or empty
  double limit = 127;          // largest quantised activation

  Row operator()(Row x) const {
    double scale = 1;
    for (size_t k = 0; k < factors.size(); ++k) x[k] *= factors[k];
    if (!bytes.empty()) {
      double peak = 0;
      for (const double value : x) peak = std::max(peak, std::fabs(value));
      for (double& value : x) value = std::nearbyint(value * limit / peak);
      scale = peak / limit;
    }
    Row y(rows);
    for (long n = 0; n < rows; ++n) {
      double sum = 0;
      for (long k = 0; k < depth; ++k)
        sum += x[k] * (bytes.empty() ? double(weight[n * depth + k]) : double(bytes[n * depth + k]));
      y[n] = sum * (bytes.empty() ? 1 : scale * scales[n]) + (bias.empty() ? 0 : bias[n]);
    }
    return y;
  }
};

struct Layer {
  std::vector<float> input_norm, query_norm, key_norm, attention_norm, feed_forward_norm, down_norm;
  Linear qkv, output, gate, up, down;
  long window = 0;
};

struct Decoder {
  long width = 0, heads = 0, kv_heads = 0, head_dim = 0, hidden = 0;
  float epsilon = 1e-6f, score_scale = 1, embedding_scale = 1;
  bool causal = true, gelu = false;
  std::vector<Layer> layers;
  std::vector<float> embedding;     // [vocabulary, width]
  std::vector<float> final_norm;    // empty: none
  std::vector<float> cosine, sine;  // [positions, head_dim / 2]
};

inline Row normed(const Row& x, const std::vector<float>& weight, double epsilon) {
  if (weight.empty()) return x;
  double squares = 0;
  for (const double value : x) squares += value * value;
  Row y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / std::sqrt(squares / double(x.size()) + epsilon) * weight[i];
  return y;
}

inline void add(Row& x, const Row& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

inline Row rotated(const Decoder& d, const Row& head, long position) {
  const long half = d.head_dim / 2;
  Row turned(head.size());
  for (long i = 0; i < half; ++i) {
    const double c = d.cosine[position * half + i], s = d.sine[position * half + i];
    turned[i] = head[i] * c - head[half + i] * s;
    turned[half + i] = head[half + i] * c + head[i] * s;
  }
  return turned;
}

inline bool sees(const Decoder& d, long window, long query, long key) {
  if (d.causal) return key <= query && (!window || query - key < window);
  return !window || std::labs(query - key) <= window;
}

// What a query head takes from the keys and values of its key-value head.
inline Row attend(
    const Decoder& d, long window, const Row& query, long position, const std::vector<Row>& keys,
    const std::vector<Row>& values) {
  Row weights(keys.size(), 0);
  double most = -INFINITY, sum = 0;
  for (size_t t = 0; t < keys.size(); ++t) {
    if (!sees(d, window, position, long(t))) continue;
    double score = 0;
    for (long i = 0; i < d.head_dim; ++i) score += query[i] * keys[t][i];
    weights[t] = score * d.score_scale;
    most = std::max(most, weights[t]);
  }
  Row result(d.head_dim, 0);
  for (size_t t = 0; t < keys.size(); ++t) {
    if (!sees(d, window, position, long(t))) continue;
    const double power = std::exp(weights[t] - most);
    sum += power;
    for (long i = 0; i < d.head_dim; ++i) result[i] += power * values[t][i];
  }
  for (double& value : result) value /= sum;
  return result;
}

inline double activation(const Decoder& d, double x) {
  if (!d.gelu) return x / (1 + std::exp(-x));
  return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

inline void attention_part(const Decoder& d, const Layer& layer, std::vector<Row>& states) {
  std::vector<std::vector<Row>> heads(d.heads + 2 * d.kv_heads);  // [head][token][D]
  for (size_t t = 0; t < states.size(); ++t) {
    const Row all = layer.qkv(normed(states[t], layer.input_norm, d.epsilon));
    for (size_t h = 0; h < heads.size(); ++h) {
      const Row head(all.begin() + long(h) * d.head_dim, all.begin() + long(h + 1) * d.head_dim);
      const bool is_query = long(h) < d.heads, is_value = long(h) >= d.heads + d.kv_heads;
      const auto& norm = is_query ? layer.query_norm : layer.key_norm;
      heads[h].push_back(is_value ? head : rotated(d, normed(head, norm, d.epsilon), long(t)));
    }
  }
  for (size_t t = 0; t < states.size(); ++t) {
    Row attended;
    for (long h = 0; h < d.heads; ++h) {
      const long kv = d.heads + h / (d.heads / d.kv_heads);
      const Row one = attend(d, layer.window, heads[h][t], long(t), heads[kv], heads[kv + d.kv_heads]);
      attended.insert(attended.end(), one.begin(), one.end());
    }
    add(states[t], normed(layer.output(attended), layer.attention_norm, d.epsilon));
  }
}

// States of a text after all layers, [tokens][width].
inline std::vector<Row> decode(const Decoder& d, const std::vector<int64_t>& tokens) {
  std::vector<Row> states;
  for (const int64_t token : tokens) {
    Row row(d.width);
    for (long i = 0; i < d.width; ++i) row[i] = double(d.embedding[token * d.width + i]) * d.embedding_scale;
    states.push_back(row);
  }
  for (const Layer& layer : d.layers) {
    attention_part(d, layer, states);
    for (Row& x : states) {
      const Row entering = normed(x, layer.feed_forward_norm, d.epsilon);
      Row gate = layer.gate(entering);
      const Row up = layer.up(entering);
      for (long i = 0; i < d.hidden; ++i) gate[i] = activation(d, gate[i]) * up[i];
      add(x, normed(layer.down(gate), layer.down_norm, d.epsilon));
    }
  }
  for (Row& x : states) x = normed(x, d.final_norm, d.epsilon);
  return states;
}

}  // namespace reference
