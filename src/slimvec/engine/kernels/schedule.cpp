#include "schedule.h"

#include <algorithm>
#include <numeric>

namespace slimvec {
namespace {

// Tokens of a chunk that a thread takes through all layers: its activations fit the caches, and the weights, read once
// a chunk, cost little beside the products.
constexpr long CHUNK_TOKENS = 512;
// Below this many tokens a thread, reading the weights is what takes time, so they are read once by all together.
constexpr long COLUMN_TOKENS = 32;
// How much longer the busiest thread may work than the mean before one chunk is shared instead.
constexpr double IMBALANCE = 1.1;

Chunk make_chunk(const std::vector<long>& lengths, size_t begin, size_t end, long first_token) {
  Chunk chunk;
  chunk.first_token = first_token;
  for (size_t text = begin; text < end; ++text) {
    chunk.texts.push_back({chunk.num_tokens, lengths[text], chunk.num_key_blocks});
    chunk.num_tokens += lengths[text];
    chunk.num_key_blocks += (lengths[text] + LANES - 1) / LANES;
  }
  return chunk;
}

// Multiply-adds of a text in one layer.
double cost_of(long length, const Shape& shape) {
  const double linear = double(shape.width) * (shape.qkv_columns() + shape.heads * shape.head_dim + 3 * shape.hidden);
  const double attention = double(shape.heads * shape.head_dim) * length * (shape.causal ? 1 : 2);
  return length * (linear + attention);
}

// Cut texts, in their order, into `count` runs of nearly equal cost; fewer where texts are long.
std::vector<Chunk> cut(const std::vector<long>& lengths, const Shape& shape, long count) {
  double total = 0;
  for (const long length : lengths) total += cost_of(length, shape);
  std::vector<Chunk> chunks;
  double done = 0;
  long first_token = 0;
  size_t begin = 0;
  for (size_t text = 0; text < lengths.size(); ++text) {
    const double cost = cost_of(lengths[text], shape);
    const double border = total * double(chunks.size() + 1) / double(count);
    // Close the chunk before this text when the border is nearer to its start than to its end.
    if (text > begin && done + cost / 2 > border) {
      chunks.push_back(make_chunk(lengths, begin, text, first_token));
      first_token += chunks.back().num_tokens;
      begin = text;
    }
    done += cost;
  }
  chunks.push_back(make_chunk(lengths, begin, lengths.size(), first_token));
  return chunks;
}

// Work of the busiest thread over the mean, when threads take chunks from the longest on.
double imbalance(std::vector<Chunk>& chunks, const Shape& shape, int num_threads) {
  const auto cost = [&](const Chunk& chunk) {
    double sum = 0;
    for (const Text& text : chunk.texts) sum += cost_of(text.length, shape);
    return sum;
  };
  std::stable_sort(chunks.begin(), chunks.end(), [&](const Chunk& a, const Chunk& b) { return cost(a) > cost(b); });
  std::vector<double> load(num_threads, 0.0);
  for (const Chunk& chunk : chunks) *std::min_element(load.begin(), load.end()) += cost(chunk);
  const double total = std::accumulate(load.begin(), load.end(), 0.0);
  return *std::max_element(load.begin(), load.end()) * num_threads / total;
}

}  // namespace

Schedule make_schedule(const std::vector<long>& lengths, const Shape& shape, int num_threads) {
  const long total = std::accumulate(lengths.begin(), lengths.end(), 0L);
  Schedule schedule;
  if (num_threads > 1 && total < COLUMN_TOKENS * num_threads) {
    schedule.split = Split::columns;
  } else {
    const long rounds = (total + CHUNK_TOKENS * num_threads - 1) / (CHUNK_TOKENS * num_threads);
    schedule.chunks = cut(lengths, shape, rounds * num_threads);
    if (imbalance(schedule.chunks, shape, num_threads) <= IMBALANCE) return schedule;
    schedule.split = Split::rows;
  }
  schedule.chunks = {make_chunk(lengths, 0, lengths.size(), 0)};
  return schedule;
}

}  // namespace slimvec
