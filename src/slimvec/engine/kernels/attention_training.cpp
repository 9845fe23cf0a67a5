#include "attention_training.h"

#include <algorithm>

#include "attention.h"
#include "buffers.h"
#include "threads.h"

namespace slimvec {
namespace {

// Rows whose probabilities are at hand at once: 96 x 64 keys are 24 kB, and dK and dV are read and written once for each.
constexpr long BLOCK_ROWS = 96;
// Multiply-adds that a thread takes at least.
constexpr long LEAST = 1 << 20;

using Tile = Lanes[TILE_ROWS][TILE_VECTORS];

// result [rows, vectors] = a [rows, steps] x b [steps, vectors]; the strides of `a` say how far its next row and step are,
// those of `b` how far its next step and vector are. A function of its own: what becomes of the sums must not compete with
// them for registers.
__attribute__((noinline)) void multiply_tile(
    Tile& result, long rows, long vectors, const float* a, long row_stride, long a_step, const float* b,
    long step_stride, long vector_stride, long steps) {
  with_rows(rows, [&](auto height) {
    with_vectors(vectors, [&](auto width) {
      Sums<height, width> sums;
      sums.clear();
      accumulate<float>(sums, a, row_stride, b, step_stride, vector_stride, steps, a_step);
      sums.each([&](int r, int v, Lanes sum) { result[r][v] = sum; });
    });
  });
}

// Call result(row, vector of columns, sum) for each of a product as above, of any size.
template <class Result>
void multiply(
    const float* a, long row_stride, long a_step, long rows, const float* b, long step_stride, long vector_stride,
    long vectors, long steps, const Result& result) {
  for (long first = 0; first < vectors; first += TILE_VECTORS) {
    const long width = std::min<long>(vectors - first, TILE_VECTORS);
    each_tile(rows, [&](long row, long height) {
      Tile sums;
      multiply_tile(
          sums, height, width, a + row * row_stride, row_stride, a_step, b + first * vector_stride, step_stride,
          vector_stride, steps);
      for (long r = 0; r < height; ++r)
        for (long v = 0; v < width; ++v) result(row + r, first + v, sums[r][v]);
    });
  }
}

inline void add_to(float* place, Lanes sum) { store(place, load(place) + sum); }

// One text and one key-value head, with the query heads that share it: rows are token by token, and in a token head by head.
template <class E>
class HeadOfText {
 public:
  HeadOfText(const TrainedAttention<E>& work, long longest)
      : work_(work), shape_(work.shape), dim_(shape_.head_dim), group_(shape_.group()), padded_(shape_.padded_head()),
        capacity_(round_up(longest, LANES)), scores_(BLOCK_ROWS * capacity_) {
    if (!work.gradient) {
      queries_ = Buffer<E>(longest * group_ * dim_);
      keys_ = Buffer<E>(capacity_ * dim_);
      values_ = Buffer<E>(capacity_ * padded_);
      probabilities_ = Buffer<E>(TILE_ROWS * capacity_);
      return;
    }
    slopes_ = Buffer<float>(BLOCK_ROWS * capacity_);
    query_rows_ = Buffer<float>(longest * group_ * padded_);
    gradient_rows_ = Buffer<float>(longest * group_ * padded_);
    for (Buffer<float>* rows : {&key_rows_, &key_sums_, &value_sums_}) *rows = Buffer<float>(longest * padded_);
    for (Buffer<float>* blocks : {&key_blocks_, &value_blocks_}) *blocks = Buffer<float>(capacity_ * dim_);
  }

  void attend(long first, long length, long kv_head) {
    std::memset(static_cast<void*>(keys_.at(0)), 0, capacity_ * dim_ * sizeof(E));
    std::memset(static_cast<void*>(values_.at(0)), 0, capacity_ * padded_ * sizeof(E));
    for (long token = 0; token < length; ++token) {
      std::memcpy(queries_.at(token * group_ * dim_), work_.query + query_place(first + token, kv_head), row_bytes());
      pack_key(work_.key + key_place(first + token, kv_head), token, dim_, keys_.at(0));
      pack_value(work_.value + key_place(first + token, kv_head), token, dim_, padded_, values_.at(0));
    }
    const KeyRun<E> run = {keys_.at(0), values_.at(0), length, 0};
    AttentionTile<E> tile(
        shape_, work_.window, queries_.at(0), 0, &run, 1, scores_.at(0), probabilities_.at(0), capacity_,
        work_.result + query_place(first, kv_head), shape_.heads * dim_);
    each_tile(length * group_, [&](long row, long count) { tile.attend(row, count); });
  }

  void differentiate(long first, long length, long kv_head) {
    read(first, length, kv_head);
    for (long row = 0; row < length * group_; row += BLOCK_ROWS)
      differentiate_rows(first, length, kv_head, row, std::min(BLOCK_ROWS, length * group_ - row));
    for (long token = 0; token < length; ++token) {
      const long place = key_place(first + token, kv_head);
      convert_row(key_sums_.at(token * padded_), dim_, work_.key_result + place);
      convert_row(value_sums_.at(token * padded_), dim_, work_.value_result + place);
    }
  }

 private:
  long query_place(long token, long kv_head) const { return (token * shape_.heads + kv_head * group_) * dim_; }
  long key_place(long token, long kv_head) const { return (token * shape_.kv_heads + kv_head) * dim_; }
  size_t row_bytes() const { return size_t(group_ * dim_) * sizeof(E); }

  // A row in fp32, with zeros up to whole vectors.
  void widen(const E* from, float* to) const {
    for (long column = 0; column < padded_; column += LANES)
      store(to + column, Element<E>::load(from + column, tail(clamp_to(dim_ - column, 0, LANES))));
  }

  void read(long first, long length, long kv_head) {
    for (Buffer<float>* sums : {&key_sums_, &value_sums_}) std::fill_n(sums->at(0), length * padded_, 0.0f);
    // What stands behind the last key of a block is multiplied, and must not be NaN.
    for (Buffer<float>* blocks : {&key_blocks_, &value_blocks_})
      std::fill_n(blocks->at(length / LANES * LANES * dim_), (round_up(length, LANES) - length / LANES * LANES) * dim_, 0.0f);
    for (long token = 0; token < length; ++token) {
      const long place = query_place(first + token, kv_head);
      for (long head = 0; head < group_; ++head) {
        widen(work_.query + place + head * dim_, query_rows_.at((token * group_ + head) * padded_));
        widen(work_.gradient + place + head * dim_, gradient_rows_.at((token * group_ + head) * padded_));
      }
      widen(work_.value + key_place(first + token, kv_head), key_rows_.at(token * padded_));
      pack_key(key_rows_.at(token * padded_), token, dim_, value_blocks_.at(0));
      widen(work_.key + key_place(first + token, kv_head), key_rows_.at(token * padded_));
      pack_key(key_rows_.at(token * padded_), token, dim_, key_blocks_.at(0));
    }
  }

  Reach keys_of(long row, long length) const {
    const Reach reach = reach_of(row / group_, work_.window, shape_.causal);
    return {clamp_to(reach.first, 0, length), clamp_to(reach.end, 0, length)};
  }

  void differentiate_rows(long first, long length, long kv_head, long row, long count) {
    const long from = keys_of(row, length).first / LANES * LANES, end = keys_of(row + count - 1, length).end;
    const long vectors = (end - from + LANES - 1) / LANES, block = dim_ * LANES, columns = padded_ / LANES;
    const float *queries = query_rows_.at(row * padded_), *gradients = gradient_rows_.at(row * padded_);
    multiply(queries, padded_, 1, count, key_blocks_.at(from * dim_), LANES, block, vectors, dim_,
             [&](long r, long v, Lanes sum) { store(scores_.at(r * capacity_ + v * LANES), sum); });
    multiply(gradients, padded_, 1, count, value_blocks_.at(from * dim_), LANES, block, vectors, dim_,
             [&](long r, long v, Lanes sum) { store(slopes_.at(r * capacity_ + v * LANES), sum); });
    for (long r = 0; r < count; ++r) differentiate_softmax(r, keys_of(row + r, length), from, vectors * LANES);
    multiply(slopes_.at(0), capacity_, 1, count, key_rows_.at(from * padded_), padded_, LANES, columns, end - from,
             [&](long r, long v, Lanes sum) {
               const long place = query_place(first + (row + r) / group_, kv_head) + (row + r) % group_ * dim_;
               Element<E>::store(
                   work_.query_result + place + v * LANES, tail(clamp_to(dim_ - v * LANES, 0, LANES)), sum);
             });
    multiply(slopes_.at(0), 1, capacity_, end - from, queries, padded_, LANES, columns, count,
             [&](long r, long v, Lanes sum) { add_to(key_sums_.at((from + r) * padded_ + v * LANES), sum); });
    multiply(scores_.at(0), 1, capacity_, end - from, gradients, padded_, LANES, columns, count,
             [&](long r, long v, Lanes sum) { add_to(value_sums_.at((from + r) * padded_ + v * LANES), sum); });
  }

  // Turn scores into P and dP into dS, in place: zero where a key is not seen.
  void differentiate_softmax(long r, Reach seen, long from, long size) {
    float *scores = scores_.at(r * capacity_), *slopes = slopes_.at(r * capacity_);
    const auto mask_of = [&](long column) {
      return lanes_between(
          clamp_to(seen.first - from - column, 0, LANES), clamp_to(seen.end - from - column, 0, LANES));
    };
    Lanes most = splat(-std::numeric_limits<float>::infinity());
    for (long column = 0; column < size; column += LANES)
      most = maximum_where(most, mask_of(column), load(scores + column));
    const Lanes scale = splat(shape_.score_scale * LOG2_E);
    const Lanes offset = splat(max_lanes(most)) * scale;
    Lanes sum = zeros(), product = zeros();
    for (long column = 0; column < size; column += LANES) {
      const Lanes power = exp2_lanes(multiply_subtract(load(scores + column), scale, offset));
      const Lanes kept = keep(mask_of(column), power);
      store(scores + column, kept);
      sum = sum + kept;
      product = multiply_add(kept, load(slopes + column), product);
    }
    const float inverse = 1.0f / sum_lanes(sum);
    const Lanes share = splat(inverse), mean = splat(inverse * sum_lanes(product));
    const Lanes factor = splat(shape_.score_scale);
    for (long column = 0; column < size; column += LANES) {
      const Lanes probability = load(scores + column) * share;
      store(scores + column, probability);
      store(slopes + column, factor * probability * (load(slopes + column) - mean));
    }
  }

  const TrainedAttention<E>& work_;
  const Shape& shape_;
  const long dim_, group_, padded_, capacity_;
  Buffer<float> scores_, slopes_;                      // [rows of a block or tile, capacity]
  Buffer<E> queries_, keys_, values_, probabilities_;  // forward, packed as AttentionTile reads them
  Buffer<float> query_rows_, gradient_rows_;           // backward: [L G, padded D]
  Buffer<float> key_rows_, key_sums_, value_sums_;     // [L, padded D]
  Buffer<float> key_blocks_, value_blocks_;            // as pack_key has them
};

}  // namespace

template <class E>
void run_trained_attention(const TrainedAttention<E>& work, int num_threads) {
  struct Part {
    long first, length, kv_head;
    double before;  // cost of the parts before it
  };
  std::vector<Part> parts;
  double cost = 0;
  long first = 0, longest = 0;
  for (const long length : work.lengths) {
    for (long kv_head = 0; kv_head < work.shape.kv_heads; ++kv_head) {
      parts.push_back({first, length, kv_head, cost});
      cost += double(length) * double(length + 16) * double(work.shape.group() * work.shape.head_dim);
    }
    first += length;
    longest = std::max(longest, length);
  }
  const int threads = int(std::clamp(cost / LEAST, 1.0, double(num_threads)));
  std::vector<HeadOfText<E>> scratch;
  for (int rank = 0; rank < threads; ++rank) scratch.emplace_back(work, longest);
  parallel(threads, [&](int rank) {
    HeadOfText<E>& one = scratch[size_t(rank)];
    for (const Part& part : parts) {
      if (int(part.before / cost * threads) != rank) continue;
      if (work.gradient)
        one.differentiate(part.first, part.length, part.kv_head);
      else
        one.attend(part.first, part.length, part.kv_head);
    }
  });
}

template void run_trained_attention<float>(const TrainedAttention<float>&, int);
#ifdef SLIMVEC_BF16
template void run_trained_attention<bf16>(const TrainedAttention<bf16>&, int);
#endif

}  // namespace slimvec
