// Exact attention over packed texts, one tile at a time: 6 rows (neighbouring tokens x the query heads that share a
// key-value head) against all keys they may see.
//
// A tile is two products of the kind in product.h with a softmax between: scores [6, keys] = queries x packed keys,
// then probabilities x packed values. Scores of a tile stay in the L1 or L2 cache (6 x 4 bytes a key), so no
// running maximum is needed. Short texts are the rule: keys are padded to blocks of one vector and never to the longest text,
// and grouping the heads makes tiles tall even where a text has two tokens.
#pragma once

#include <limits>

#include "rows.h"

namespace slimvec {

// A run of keys with their values, as packed by rows.h.
template <class E>
struct KeyRun {
  const E* keys = nullptr;
  const E* values = nullptr;
  long length = 0;
  long position = 0;  // of the first key
};

struct Reach {
  long first, end;  // positions
};

// Positions a token may see: in causal mode itself and the window - 1 before it, else `window` on either side.
inline Reach reach_of(long position, long window, bool causal) {
  if (causal) return {window ? position - window + 1 : 0, position + 1};
  if (window) return {position - window, position + window + 1};
  return {0, std::numeric_limits<long>::max()};
}

template <class E>
class AttentionTile {
 public:
  // queries [tokens * group, D] of one text and key-value head; `first_position` is that of its first token;
  // output rows: token stride `output_stride`, head stride D. Scratch: scores and probabilities [6, `capacity`].
  AttentionTile(
      const Shape& shape, long window, const E* queries, long first_position, const KeyRun<E>* runs, int num_runs,
      float* scores, E* probabilities, long capacity, E* output, long output_stride)
      : shape_(shape), window_(window), queries_(queries), first_position_(first_position), runs_(runs),
        num_runs_(num_runs), scores_(scores), probabilities_(probabilities), capacity_(capacity), output_(output),
        output_stride_(output_stride) {}

  void attend(long row, long count) {
    choose_keys(row, count);
    with_rows(count, [&](auto height) {
      multiply_keys<height>(row);
      for (int r = 0; r < height; ++r) softmax(r, position(row + r));
      multiply_values<height>(row);
    });
  }

 private:
  static constexpr int PACK = Element<E>::PACK;

  struct Columns {
    long from, end, start;  // keys [from, end) of a run, from a multiple of LANES, begin at score column `start`
  };

  long position(long row) const { return first_position_ + row / shape_.group(); }

  void choose_keys(long row, long count) {
    const long first = reach_of(position(row), window_, shape_.causal).first;
    const long end = reach_of(position(row + count - 1), window_, shape_.causal).end;
    long start = 0;
    for (int i = 0; i < num_runs_; ++i) {
      const KeyRun<E>& run = runs_[i];
      const long from = clamp_to(first - run.position, 0, run.length) / LANES * LANES;
      const long to = clamp_to(end - run.position, 0, run.length);
      columns_[i] = {from, to < from ? from : to, start};
      start += round_up(columns_[i].end - from, LANES);
    }
  }

  template <int R>
  void multiply_keys(long row) {
    const E* rows = queries_ + row * shape_.head_dim;
    const long block = shape_.head_dim * LANES;
    for (int i = 0; i < num_runs_; ++i) {
      const auto [from, end, start] = columns_[i];
      for (long key = from; key < end; key += PANEL) {
        const long vectors = (end - key + LANES - 1) / LANES;
        with_vectors(vectors < TILE_VECTORS ? vectors : TILE_VECTORS, [&](auto width) {
          Sums<R, width> sums;
          sums.clear();
          accumulate<E>(
              sums, rows, shape_.head_dim, runs_[i].keys + key / LANES * block, LANES * PACK, block,
              shape_.head_dim / PACK);
          sums.each([&](int r, int v, Lanes sum) {
            store(scores_ + r * capacity_ + start + key - from + v * LANES, sum);
          });
        });
      }
    }
  }

  // Mask of the keys of a vector from `key` on that lie in [low, high).
  static Mask between(long key, long low, long high) {
    return lanes_between(clamp_to(low - key, 0, LANES), clamp_to(high - key, 0, LANES));
  }

  template <class Body>
  void each_vector(long position, const Body& body) const {
    const Reach reach = reach_of(position, window_, shape_.causal);
    for (int i = 0; i < num_runs_; ++i) {
      const long low = clamp_to(reach.first - runs_[i].position, 0, runs_[i].length);
      const long high = clamp_to(reach.end - runs_[i].position, 0, runs_[i].length);
      for (long key = columns_[i].from; key < columns_[i].end; key += LANES)
        body(columns_[i].start + key - columns_[i].from, between(key, low, high));
    }
  }

  void softmax(int r, long position) {
    const float* scores = scores_ + r * capacity_;
    E* probabilities = probabilities_ + r * capacity_;
    Lanes most = splat(-std::numeric_limits<float>::infinity());
    each_vector(position, [&](long column, Mask mask) {
      most = maximum_where(most, mask, load(scores + column));
    });
    const Lanes scale = splat(shape_.score_scale * LOG2_E);
    const Lanes offset = splat(max_lanes(most)) * scale;
    Lanes sum = zeros();
    each_vector(position, [&](long column, Mask mask) {
      const Lanes power = exp2_lanes(multiply_subtract(load(scores + column), scale, offset));
      const Lanes kept = keep(mask, power);
      sum = sum + kept;
      Element<E>::store(probabilities + column, tail(LANES), kept);
    });
    inverse_sums_[r] = 1.0f / sum_lanes(sum);
  }

  template <int R>
  void multiply_values(long row) {
    const long padded = shape_.padded_head(), group = shape_.group(), dim = shape_.head_dim;
    for (long column = 0; column < padded; column += PANEL) {
      const long vectors = (padded - column) / LANES;
      with_vectors(vectors < TILE_VECTORS ? vectors : TILE_VECTORS, [&](auto width) {
        Sums<R, width> sums;
        sums.clear();
        for (int i = 0; i < num_runs_; ++i) {
          const auto [from, end, start] = columns_[i];
          accumulate<E>(
              sums, probabilities_ + start, capacity_, runs_[i].values + (from * padded + column * PACK),
              padded * PACK, LANES * PACK, (end - from + PACK - 1) / PACK);
        }
        Sums<R, width> found = sums;  // the loop above keeps its registers
        found.each([&](int r, int v, Lanes sum) {
          const long token = (row + r) / group, head = (row + r) % group, first = column + v * LANES;
          Element<E>::store(
              output_ + token * output_stride_ + head * dim + first, tail(clamp_to(dim - first, 0, LANES)),
              sum * splat(inverse_sums_[r]));
        });
      });
    }
  }

  const Shape& shape_;
  const long window_;
  const E* const queries_;
  const long first_position_;
  const KeyRun<E>* const runs_;
  const int num_runs_;
  float* const scores_;
  E* const probabilities_;
  const long capacity_;
  E* const output_;
  const long output_stride_;
  Columns columns_[2] = {};
  float inverse_sums_[TILE_ROWS] = {};
};

}  // namespace slimvec
