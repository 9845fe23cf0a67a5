// Attention of training through the library's C interface, with its gradients, held against plain double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "rows.h"

namespace attention {

struct Case {
  const char* name;
  std::vector<int64_t> lengths;
  long heads, kv_heads, dim, window;
  bool causal;
};

const Case CASES[] = {
    {"attention", {7, 1, 40}, 6, 2, 10, 0, false},
    {"causal attention", {37, 2}, 4, 4, 16, 0, true},
    {"attention in a window", {50, 3}, 3, 1, 6, 9, false},
    {"causal attention in a window", {120}, 2, 1, 64, 20, true},
};

// Texts and heads as they lie in memory.
struct Layout {
  long tokens, heads, dim;
  long size() const { return tokens * heads * dim; }
  long place(long token, long head) const { return (token * heads + head) * dim; }
  SlimvecTensor tensor(rows::Held& held, int32_t dtype) const { return {held.data(), {tokens, heads, dim}, 3, dtype}; }
};

struct Doubles {
  std::vector<double> out, query, key, value;
};

inline bool sees(const Case& c, long token, long other) {
  const long distance = token - other;
  if (c.causal) return distance >= 0 && (!c.window || distance < c.window);
  return !c.window || std::labs(distance) <= c.window;
}

// One query row: O, and its part of the gradients.
inline void add_row(
    const Case& c, double scale, const Layout& wide, const Layout& narrow, long first, long length, long token, long head,
    const rows::Held& query, const rows::Held& key, const rows::Held& value, const rows::Held& gradient, Doubles& to) {
  const long q = wide.place(first + token, head), kv_head = head / (c.heads / c.kv_heads);
  const auto k = [&](long other) { return narrow.place(first + other, kv_head); };
  std::vector<double> share(length), dp(length);
  double most = -INFINITY, sum = 0, mean = 0;
  for (long other = 0; other < length; ++other) {
    share[other] = sees(c, token, other) ? 0 : -INFINITY;
    for (long i = 0; i < c.dim; ++i) share[other] += scale * query[q + i] * key[k(other) + i];
    most = std::max(most, share[other]);
  }
  for (double& one : share) sum += one = std::exp(one - most);
  for (long other = 0; other < length; ++other) {
    share[other] /= sum;
    for (long i = 0; i < c.dim; ++i) dp[other] += gradient[q + i] * value[k(other) + i];
    mean += share[other] * dp[other];
  }
  for (long other = 0; other < length; ++other)
    for (long i = 0; i < c.dim; ++i) {
      const double slope = scale * share[other] * (dp[other] - mean);
      to.out[q + i] += share[other] * value[k(other) + i];
      to.query[q + i] += slope * key[k(other) + i];
      to.key[k(other) + i] += slope * query[q + i];
      to.value[k(other) + i] += share[other] * gradient[q + i];
    }
}

inline bool check(int32_t number, const SlimvecTarget& target, const Case& c, int32_t dtype) {
  std::mt19937 generator(11);
  std::normal_distribution<float> normal(0, 1);
  long tokens = 0;
  for (const int64_t length : c.lengths) tokens += length;
  const Layout wide = {tokens, c.heads, c.dim}, narrow = {tokens, c.kv_heads, c.dim};
  const auto drawn = [&](const Layout& layout) {
    rows::Values values(layout.size());
    for (float& one : values) one = normal(generator);
    return rows::Held(std::move(values), dtype);
  };
  const auto empty = [&](const Layout& layout) { return rows::Held(rows::Values(layout.size()), dtype); };
  rows::Held query = drawn(wide), key = drawn(narrow), value = drawn(narrow), gradient = drawn(wide);
  rows::Held out = empty(wide), dq = empty(wide), dk = empty(narrow), dv = empty(narrow);
  const double scale = 1 / std::sqrt(double(c.dim));
  SlimvecAttention call = {};
  call.num_texts = int64_t(c.lengths.size()), call.lengths = c.lengths.data();
  call.window = c.window, call.scale = float(scale), call.causal = c.causal;
  call.query = wide.tensor(query, dtype), call.key = narrow.tensor(key, dtype), call.value = narrow.tensor(value, dtype);
  call.result = out.data(), call.query_result = dq.data(), call.key_result = dk.data(), call.value_result = dv.data();
  char said[300] = "";
  bool done = slimvec_run_attention(number, &call, 1, said, sizeof said) == SLIMVEC_DONE;
  call.gradient = wide.tensor(gradient, dtype);
  done = done && slimvec_run_attention(number, &call, 1, said, sizeof said) == SLIMVEC_DONE;

  const auto zeros = [](const Layout& layout) { return std::vector<double>(layout.size()); };
  Doubles expected = {zeros(wide), zeros(wide), zeros(narrow), zeros(narrow)};
  long first = 0;
  for (const int64_t length : c.lengths) {
    for (long token = 0; token < length; ++token)
      for (long head = 0; head < c.heads; ++head)
        add_row(c, scale, wide, narrow, first, length, token, head, query, key, value, gradient, expected);
    first += length;
  }
  double worst = done ? 0 : INFINITY;
  const double rounding = dtype == SLIMVEC_DTYPE_FLOAT32 ? 5e-6 : 1.0 / 128;
  const auto compare = [&](const rows::Held& found, const std::vector<double>& wanted) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double error = std::fabs(found[long(i)] - wanted[i]) / (rounding * (std::fabs(wanted[i]) + 0.5));
      worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
    }
  };
  compare(out, expected.out), compare(dq, expected.query), compare(dk, expected.key), compare(dv, expected.value);
  return rows::report(target, dtype, c.name, worst, said);
}

inline int failures(int32_t number, const SlimvecTarget& target) {
  return rows::count_failures(CASES, check, number, target);
}

}  // namespace attention
