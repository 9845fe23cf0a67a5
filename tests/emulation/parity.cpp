// Small random decoders through the library's C interface, held against plain double precision (reference.h). The
// arguments name the targets that have to run here, so that none is left out unseen. Knows no processor: it runs
// wherever the library does, and tests/arm_check.py runs it on an emulated one.
#include <cstdio>
#include <random>

#include "attention.h"
#include "handover.h"
#include "rows.h"

namespace {

using handover::Handover;
using reference::Decoder;
using reference::Layer;
using reference::Linear;
using Texts = std::vector<std::vector<int64_t>>;

constexpr int64_t VOCABULARY = 50;

struct Case {
  const char* name;
  long width, heads, kv_heads, head_dim, hidden;
  std::vector<long> lengths, windows;
  bool causal = true, gelu = false, biases = false, head_norms = false, branch_norms = false, final_norm = true;
  long prefix = 0;
  int num_threads = 1;
};

const Case CASES[] = {
    {"whole vectors", 64, 4, 2, 16, 96, {1, 7, 30, 64}, {0, 0}},
    {"both ways, windows, tails", 38, 3, 1, 10, 54, {5, 40, 2, 23}, {5, 0}, false, true, true, true, true},
    {"causal, windows, tails, no final norm", 30, 4, 4, 6, 46, {33, 9}, {4, 17}, true, false, true, true, true, false},
    {"prefix and windows", 36, 6, 2, 12, 58, {3, 21, 1}, {0, 6}, true, true, true, true, true, true, 19},
    {"deep product", 24, 2, 1, 8, 2100, {6}, {0}, true, false, true},
    {"few tokens, three threads", 44, 4, 2, 10, 130, {2, 5}, {0, 3}, true, true, true, true, true, true, 7, 3},
    {"one long text, three threads", 32, 2, 1, 14, 40, {150, 3, 4}, {0, 40}, false, false, false, false, true, true, 0,
     3},
    {"chunks, three threads", 20, 2, 2, 10, 26, {40, 41, 39, 40, 40, 38}, {0}, true, false, false, true, false, true, 5,
     3},
};

class Chance {
 public:
  explicit Chance(unsigned seed) : numbers_(seed) {}
  float number(float largest) { return (float(numbers_() >> 8) / float(1 << 23) - 1.0f) * largest; }
  std::vector<float> row(long size, float middle, float largest) {
    std::vector<float> values(size);
    for (float& value : values) value = middle + number(largest);
    return values;
  }
  int64_t below(int64_t end) { return int64_t(numbers_() % uint64_t(end)); }

 private:
  std::mt19937 numbers_;
};

// How weights are held, what products are computed in, and how far from the reference they may be.
struct Precision {
  const char* name;
  int32_t dtype;
  bool halves, int8;  // weights are numbers of bfloat16; two products a layer are in int8
};

const Precision PRECISIONS[] = {
    {"float32", SLIMVEC_DTYPE_FLOAT32, false, false},
    {"float32, weights held in bfloat16", SLIMVEC_DTYPE_FLOAT32, true, false},
    {"float32 and int8", SLIMVEC_DTYPE_FLOAT32, false, true},
    {"bfloat16", SLIMVEC_DTYPE_BFLOAT16, true, false},
    {"bfloat16 and int8", SLIMVEC_DTYPE_BFLOAT16, true, true},
};

double tolerance(const Precision& precision, double int8_limit) {
  // What bfloat16 rounds lands on other steps of 8 bits than the reference's: about the error of 8 bits themselves.
  if (precision.dtype == SLIMVEC_DTYPE_BFLOAT16) return precision.int8 ? 6e-2 : 3e-2;
  if (precision.int8) return int8_limit > 127 ? 3e-4 : 1e-2;  // a value on the border of rounding is one step off
  return 1e-5;
}

Linear random_linear(Chance& chance, long rows, long depth, const Case& c, const Precision& precision) {
  Linear linear;
  linear.rows = rows, linear.depth = depth;
  linear.weight = chance.row(rows * depth, 0, std::sqrt(3.0f / float(depth)));
  if (precision.halves)
    for (float& value : linear.weight) value = handover::from_bf16(handover::to_bf16(value));
  if (c.biases) linear.bias = chance.row(rows, 0, 0.3f);
  return linear;
}

void quantise(Linear& linear, double limit) {
  linear.limit = limit;
  for (long n = 0; n < linear.rows; ++n) {
    float peak = 0;
    for (long k = 0; k < linear.depth; ++k) peak = std::max(peak, std::fabs(linear.weight[n * linear.depth + k]));
    linear.scales.push_back(peak / 127);
    for (long k = 0; k < linear.depth; ++k)
      linear.bytes.push_back(int8_t(std::lrint(linear.weight[n * linear.depth + k] * 127 / peak)));
  }
}

Layer random_layer(Chance& chance, const Case& c, const Precision& precision, long window, double int8_limit) {
  Layer layer;
  const auto norm = [&](bool there, long size) { return there ? chance.row(size, 1, 0.5f) : std::vector<float>(); };
  layer.input_norm = norm(true, c.width), layer.feed_forward_norm = norm(true, c.width);
  layer.query_norm = norm(c.head_norms, c.head_dim), layer.key_norm = norm(c.head_norms, c.head_dim);
  layer.attention_norm = norm(c.branch_norms, c.width), layer.down_norm = norm(c.branch_norms, c.width);
  const long attended = c.heads * c.head_dim;
  layer.qkv = random_linear(chance, (c.heads + 2 * c.kv_heads) * c.head_dim, c.width, c, precision);
  layer.output = random_linear(chance, c.width, attended, c, precision);
  layer.gate = random_linear(chance, c.hidden, c.width, c, precision);
  layer.up = random_linear(chance, c.hidden, c.width, c, precision);
  layer.down = random_linear(chance, c.width, c.hidden, c, precision);
  layer.window = window;
  if (precision.int8) {
    for (Linear* linear : {&layer.output, &layer.gate, &layer.up}) quantise(*linear, int8_limit);
    layer.output.factors = chance.row(attended, 1, 0.5f);
  }
  return layer;
}

Decoder random_decoder(Chance& chance, const Case& c, const Precision& precision, double int8_limit) {
  Decoder d;
  d.width = c.width, d.heads = c.heads, d.kv_heads = c.kv_heads, d.head_dim = c.head_dim, d.hidden = c.hidden;
  d.causal = c.causal, d.gelu = c.gelu;
  d.score_scale = 1 / std::sqrt(float(c.head_dim)), d.embedding_scale = c.gelu ? 3.0f : 1.0f;
  for (const long window : c.windows) d.layers.push_back(random_layer(chance, c, precision, window, int8_limit));
  d.embedding = chance.row(VOCABULARY * c.width, 0, 1);
  if (precision.halves)
    for (float& value : d.embedding) value = handover::from_bf16(handover::to_bf16(value));
  if (c.final_norm) d.final_norm = chance.row(c.width, 1, 0.5f);
  const long positions = c.prefix + *std::max_element(c.lengths.begin(), c.lengths.end());
  for (long position = 0; position < positions; ++position)
    for (long i = 0; i < c.head_dim / 2; ++i) {
      const double angle = double(position) * std::pow(1e4, -2.0 * double(i) / double(c.head_dim));
      d.cosine.push_back(float(std::cos(angle))), d.sine.push_back(float(std::sin(angle)));
    }
  return d;
}

std::vector<int64_t> random_text(Chance& chance, long length) {
  std::vector<int64_t> text(length);
  for (int64_t& token : text) token = chance.below(VOCABULARY - 1);  // the last one is for NaN
  return text;
}

struct Answer {
  int32_t status = 0;
  std::string error;
  std::vector<float> states;
  std::vector<char> keys, values;  // [L, T, K, D]
};

class Runner {
 public:
  Runner(int32_t target, const Decoder& decoder, const SlimvecModel& model, int num_threads)
      : target_(target), decoder_(decoder), model_(model), num_threads_(num_threads) {}

  // Texts behind a prefix, which is an answer whose keys and values were kept, or null.
  Answer run(const Texts& texts, const Answer* prefix = nullptr) const {
    std::vector<int64_t> tokens, lengths;
    for (const auto& text : texts) {
      tokens.insert(tokens.end(), text.begin(), text.end());
      lengths.push_back(int64_t(text.size()));
    }
    const size_t bytes = size_t(layers() * heads_bytes()) * tokens.size();
    Answer answer;
    answer.states.resize(tokens.size() * size_t(decoder_.width));
    answer.keys.resize(bytes), answer.values.resize(bytes);
    SlimvecBatch batch = {};
    batch.num_tokens = int64_t(tokens.size()), batch.num_texts = int64_t(texts.size());
    batch.tokens = tokens.data(), batch.lengths = lengths.data(), batch.states = answer.states.data();
    batch.keys = answer.keys.data(), batch.values = answer.values.data();
    if (prefix) {
      batch.prefix_keys = before(prefix->keys), batch.prefix_values = before(prefix->values);
      batch.prefix_key_stride = batch.prefix_value_stride =
          batch.prefix_keys.sizes[1] * decoder_.kv_heads * decoder_.head_dim;
    }
    char error[512] = "";
    answer.status = slimvec_decode(target_, &model_, &batch, num_threads_, error, sizeof error);
    answer.error = error;
    return answer;
  }

 private:
  long layers() const { return long(decoder_.layers.size()); }
  long heads_bytes() const {
    return decoder_.kv_heads * decoder_.head_dim * (model_.dtype == SLIMVEC_DTYPE_BFLOAT16 ? 2 : 4);
  }
  SlimvecTensor before(const std::vector<char>& kept) const {
    const int64_t length = int64_t(kept.size()) / (layers() * heads_bytes());
    return {kept.data(), {layers(), length, decoder_.kv_heads, decoder_.head_dim}, 4, model_.dtype};
  }

  const int32_t target_;
  const Decoder& decoder_;
  const SlimvecModel& model_;
  const int num_threads_;
};

// Largest relative error of a token's state; infinite where a call fails or a state is NaN.
double largest_error(
    const Decoder& decoder, const Texts& texts, const std::vector<int64_t>& prefix, const Answer& found) {
  if (found.status != SLIMVEC_DONE) return INFINITY;
  double most = 0;
  const float* state = found.states.data();
  for (const auto& text : texts) {
    std::vector<int64_t> whole = prefix;
    whole.insert(whole.end(), text.begin(), text.end());
    const auto expected = reference::decode(decoder, whole);
    for (size_t t = prefix.size(); t < whole.size(); ++t) {
      double distance = 0, norm = 0;
      for (const double value : expected[t]) {
        distance += (*state - value) * (*state - value), norm += value * value;
        ++state;
      }
      const double error = std::sqrt(distance / norm);
      most = error <= most ? most : std::isnan(error) ? INFINITY : error;
    }
  }
  return most;
}

// A token whose embedding is NaN makes its own text's states NaN and leaves the other text's as they are.
bool nan_stays_in_its_text(const Runner& runner, Chance& chance, const Answer* prefix) {
  const auto text = random_text(chance, 3);
  const Answer clean = runner.run({text}, prefix), both = runner.run({{VOCABULARY - 1}, text}, prefix);
  const size_t width = clean.states.size() / text.size();
  for (size_t i = 0; i < both.states.size(); ++i)
    if (i < width ? !std::isnan(both.states[i]) : !(std::fabs(both.states[i] - clean.states[i - width]) < 1e-4))
      return false;
  return true;
}

bool check(int32_t number, const SlimvecTarget& target, const Case& c, const Precision& precision) {
  const double int8_limit = target.int8_pack == 2 ? INT16_MAX : 127;
  Chance chance(unsigned(&c - CASES) + 1);
  Decoder decoder = random_decoder(chance, c, precision, int8_limit);
  std::fill(decoder.embedding.end() - c.width, decoder.embedding.end(), NAN);
  Handover handed(decoder, target, precision.dtype, precision.halves);
  const Runner runner(number, decoder, handed.model, c.num_threads);
  Texts texts;
  for (const long length : c.lengths) texts.push_back(random_text(chance, length));
  const auto prefix = random_text(chance, c.prefix);
  const Answer before = c.prefix ? runner.run({prefix}) : Answer();
  const Answer* kept = c.prefix ? &before : nullptr;
  const Answer found = runner.run(texts, kept);
  const double error = largest_error(decoder, texts, prefix, found);
  const bool nan_stays = nan_stays_in_its_text(runner, chance, kept);
  handed.slots[SLIMVEC_DOWN].sizes[1] += 1;
  const bool refused = runner.run(texts, kept).status == SLIMVEC_REFUSED;
  const bool good = error < tolerance(precision, int8_limit) && nan_stays && refused;
  std::printf(
      "%s: %s, %s, %s: error %.1e%s%s %s\n", good ? "ok" : "FAILED", target.name, precision.name, c.name, error,
      nan_stays ? "" : ", NaN spreads or is lost", refused ? "" : ", a wrong size is not refused", found.error.c_str());
  return good;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> wanted(arguments + 1, arguments + count);
  int32_t num_targets = 0;
  const SlimvecTarget* targets = slimvec_targets(&num_targets);
  int failures = 0, ran = 0;
  for (int32_t number = 0; number < num_targets; ++number) {
    const SlimvecTarget& target = targets[number];
    const bool expected = std::find(wanted.begin(), wanted.end(), target.name) != wanted.end();
    if (expected == (*target.missing != 0)) {
      std::printf("FAILED: %s %s\n", target.name, expected ? "does not run here" : "runs here and was not named");
      ++failures;
    }
    if (*target.missing) continue;
    ++ran;
    failures += rows::failures(number, target) + attention::failures(number, target);
    for (const Precision& precision : PRECISIONS) {
      if (precision.dtype == SLIMVEC_DTYPE_BFLOAT16 && !target.bfloat16) continue;
      if (precision.int8 && !target.int8) continue;
      for (const Case& c : CASES) failures += !check(number, target, c, precision);
    }
  }
  if (ran != int(wanted.size())) ++failures;
  std::printf("%d of %zu targets ran, %d failures\n", ran, wanted.size(), failures);
  return failures ? 1 : 0;
}
