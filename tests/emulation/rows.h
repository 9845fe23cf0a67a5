// Norms and gated activations of training through the library's C interface, with their gradients, held against plain
// double precision.
#pragma once

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "handover.h"

namespace rows {

constexpr long ROWS = 5, WIDTH = 45;
constexpr double EPSILON = 1e-5;
using Values = std::vector<float>;

// Values in the dtype of a call, and as they are read there.
class Held {
 public:
  Held(Values values, int32_t dtype) : values_(std::move(values)), dtype_(dtype) {
    if (dtype_ == SLIMVEC_DTYPE_FLOAT32) return;
    for (float& value : values_) {
      halves_.push_back(handover::to_bf16(value));
      value = handover::from_bf16(halves_.back());
    }
  }
  void* data() { return dtype_ == SLIMVEC_DTYPE_FLOAT32 ? static_cast<void*>(values_.data()) : halves_.data(); }
  SlimvecTensor tensor() { return {data(), {ROWS, WIDTH}, 2, dtype_}; }
  double operator[](long i) const {
    return dtype_ == SLIMVEC_DTYPE_FLOAT32 ? values_[i] : handover::from_bf16(halves_[i]);
  }

 private:
  Values values_;
  std::vector<uint16_t> halves_;
  int32_t dtype_;
};

// Say what share of the allowed error a case has; whether it is below all of it.
inline bool report(const SlimvecTarget& target, int32_t dtype, const char* name, double worst, const char* said) {
  const bool good = worst < 1;
  const char* held = dtype == SLIMVEC_DTYPE_FLOAT32 ? "float32" : "bfloat16";
  std::printf("%s: %s, %s, %s: %.2f of what is allowed %s\n", good ? "ok" : "FAILED", target.name, held, name, worst, said);
  return good;
}

// How many of all cases fail, in every dtype that the target has.
template <class Cases, class Check>
int count_failures(const Cases& cases, const Check& check, int32_t number, const SlimvecTarget& target) {
  int failed = 0;
  for (const auto& c : cases) {
    failed += !check(number, target, c, SLIMVEC_DTYPE_FLOAT32);
    if (target.bfloat16) failed += !check(number, target, c, SLIMVEC_DTYPE_BFLOAT16);
  }
  return failed;
}

struct Case {
  const char* name;
  bool norm, gelu, gradient;
};

constexpr Case CASES[] = {
    {"norm", true, false, false},       {"norm's gradient", true, false, true},
    {"SiLU gate", false, false, false}, {"SiLU gate's gradients", false, false, true},
    {"GELU gate", false, true, false},  {"GELU gate's gradients", false, true, true},
};

// a(g) and a'(g).
inline void activate(double gate, bool gelu, double& value, double& slope) {
  const double root = std::sqrt(2 / std::acos(-1.0));
  const double z = gelu ? 2 * root * (gate + 0.044715 * gate * gate * gate) : gate;
  const double inner = gelu ? 2 * root * (1 + 3 * 0.044715 * gate * gate) : 1;
  const double share = 1 / (1 + std::exp(-z));
  value = gate * share, slope = share + gate * share * (1 - share) * inner;
}

inline bool check(int32_t number, const SlimvecTarget& target, const Case& c, int32_t dtype) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal(0, 2);
  const auto drawn = [&](long size) {
    Values values(size);
    for (float& value : values) value = normal(generator);
    return values;
  };
  Held x(drawn(ROWS * WIDTH), dtype), second(drawn(ROWS * WIDTH), dtype), dy(drawn(ROWS * WIDTH), dtype);
  Held result(Values(ROWS * WIDTH), dtype), second_result(Values(ROWS * WIDTH), dtype);
  Values weight = drawn(WIDTH);
  SlimvecRows call = {};
  call.norm = c.norm, call.gelu = c.gelu, call.epsilon = float(EPSILON);
  call.first = x.tensor();
  call.second = c.norm ? SlimvecTensor{weight.data(), {WIDTH}, 1, SLIMVEC_DTYPE_FLOAT32} : second.tensor();
  if (c.gradient) call.gradient = dy.tensor();
  call.result = result.data(), call.second_result = second_result.data();
  char said[300] = "";
  double worst = slimvec_run_rows(number, &call, 1, said, sizeof said) == SLIMVEC_DONE ? 0 : INFINITY;
  const double rounding = dtype == SLIMVEC_DTYPE_FLOAT32 ? 2e-6 : 1.0 / 256;
  const auto compare = [&](double found, double expected, double sums) {
    const double error = std::fabs(found - expected) / (rounding * std::fabs(expected) + 1e-5 * (1 + sums));
    worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
  };
  for (long row = 0; row < ROWS; ++row) {
    double squares = 0, products = 0;
    for (long i = row * WIDTH; i < (row + 1) * WIDTH; ++i) {
      squares += x[i] * x[i];
      products += x[i] * dy[i] * weight[i % WIDTH];
    }
    const double factor = 1 / std::sqrt(squares / WIDTH + EPSILON);
    const double along = factor * factor * factor * products / WIDTH;
    for (long i = row * WIDTH; i < (row + 1) * WIDTH; ++i) {
      double value, slope;
      activate(x[i], c.gelu, value, slope);
      if (c.norm && !c.gradient) compare(result[i], x[i] * factor * weight[i % WIDTH], 1);
      if (c.norm && c.gradient) compare(result[i], factor * weight[i % WIDTH] * dy[i] - x[i] * along, 10);
      if (!c.norm && !c.gradient) compare(result[i], value * second[i], 10);
      if (!c.norm && c.gradient) {
        compare(result[i], dy[i] * second[i] * slope, 10);
        compare(second_result[i], dy[i] * value, 10);
      }
    }
  }
  return report(target, dtype, c.name, worst, said);
}

inline int failures(int32_t number, const SlimvecTarget& target) { return count_failures(CASES, check, number, target); }

}  // namespace rows
