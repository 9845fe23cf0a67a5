// The layers, over a chunk of tokens. The residual stream is fp32; what enters a product is rounded to the element
// type once. A block of rows goes through a whole half-layer while its activations are in the L2 cache.
#include <algorithm>
#include <atomic>

#include "attention.h"
#include "buffers.h"
#include "schedule.h"

namespace slimvec {
namespace {

template <class E>
class ChunkRunner {
 public:
  ChunkRunner(
      const Model<E>& model, const Batch<E>& batch, const PackedPrefix<E>& prefix, const Chunk& chunk, Team team,
      ChunkBuffers<E>& chunk_buffers, ThreadBuffers<E>& own, long rows)
      : model_(model), shape_(model.shape), batch_(batch), prefix_(prefix), chunk_(chunk), team_(team),
        shared_(chunk_buffers), own_(own), rows_(rows),
        hidden_(team.split == Split::columns ? shared_.hidden.at(0) : own.hidden.at(0)),
        branch_(team.split == Split::columns ? shared_.branch.at(0) : own.branch.at(0)) {}

  void run() {
    clear_padding();
    embed();
    team_.meet();
    for (size_t layer = 0; layer < model_.layers.size(); ++layer) {
      each_block([&](long first, long count) { project_heads(layer, first, count); });
      if (team_.rank == 0) shared_.stop = batch_.stopped();
      team_.meet();
      if (shared_.stop) return;
      attend(layer);
      team_.meet();
      each_block([&](long first, long count) { finish_layer(model_.layers[layer], first, count); });
    }
    write_states();
    team_.meet();
  }

 private:
  // Blocks of this thread's rows. Split by columns, the chunk is one block and every thread has all its rows.
  template <class Body>
  void each_block(const Body& body) {
    const Span mine = team_.rows(chunk_.num_tokens);
    for (long first = mine.begin; first < mine.end; first += rows_)
      body(first, mine.end - first < rows_ ? mine.end - first : rows_);
  }

  float* residual(long row) { return shared_.residual.at(row * shape_.width); }

  void clear_padding() {
    const long heads = shape_.kv_heads, blocks = chunk_.num_key_blocks * LANES;
    const Span mine = team_.split == Split::chunks ? Span{0, heads} : team_.slice(heads);
    const auto clear = [&](Buffer<E>& buffer, long per_head) {
      std::memset(buffer.at(mine.begin * per_head), 0, (mine.end - mine.begin) * per_head * sizeof(E));
    };
    clear(shared_.keys, blocks * shape_.head_dim);
    clear(shared_.values, blocks * shape_.padded_head());
  }

  void embed() {
    const Lanes scale = splat(shape_.embedding_scale);
    const Span mine = team_.split == Split::chunks ? Span{0, chunk_.num_tokens} : team_.slice(chunk_.num_tokens);
    for (long row = mine.begin; row < mine.end; ++row) {
      const long from = batch_.tokens[chunk_.first_token + row] * shape_.width;
      for (long column = 0; column < shape_.width; column += LANES) {
        const Tail end = tail(shape_.width - column);
        const Lanes value = model_.embedding ? Element<float>::load(model_.embedding + from + column, end)
                                              : load_half(model_.embedding_half + from + column, end);
        Element<float>::store(residual(row) + column, end, value * scale);
      }
    }
  }

  void norm_rows(const float* weight, long first, long count) {
    for (long row = 0; row < count; ++row)
      rms_norm(residual(first + row), weight, shape_.width, shape_.epsilon, own_.normed.at(row * shape_.width));
  }

  // Norm, the QKV product by groups of panels that hold whole heads, and each head finished while it is in cache.
  void project_heads(size_t index, long first, long count) {
    const Layer<E>& layer = model_.layers[index];
    const bool int8 = layer.int8_qkv.panels != nullptr;
    const Int8Rows rows = int8 ? quantise_rows(layer.input_norm, first, count) : Int8Rows{};
    if (!int8) norm_rows(layer.input_norm, first, count);
    const long group = group_panels(shape_.head_dim), stride = group * PANEL;
    const long panels = int8 ? layer.int8_qkv.num_panels() : layer.qkv.num_panels();
    const Span mine = team_.columns((panels + group - 1) / group);
    find_rows(first, count);
    for (long part = mine.begin; part < mine.end; ++part) {
      for (long i = 0; i < group && part * group + i < panels; ++i) {
        multiply_normed(layer.qkv, layer.int8_qkv, rows, count, part * group + i, [&](long row, auto& sums) {
          sums.each([&](int r, int v, Lanes sum) {
            store(own_.heads.at((row + r) * stride + i * PANEL + v * LANES), sum);
          });
        });
      }
      const long heads_per_part = stride / shape_.head_dim, all = shape_.heads + 2 * shape_.kv_heads;
      for (long i = 0; i < heads_per_part && part * heads_per_part + i < all; ++i)
        for (long row = 0; row < count; ++row)
          finish_one(index, part * heads_per_part + i, first + row, own_.heads.at(row * stride + i * shape_.head_dim));
    }
  }

  // Place of each row of the block in its text, so that heads can be rotated and keys packed.
  void find_rows(long first, long count) {
    text_of_row_.resize(count);
    size_t text = 0;
    for (long row = 0; row < count; ++row) {
      while (chunk_.texts[text].first + chunk_.texts[text].length <= first + row) ++text;
      text_of_row_[row] = &chunk_.texts[text];
    }
    block_first_ = first;
  }

  void finish_one(size_t index, long head, long row, float* raw) {
    const Layer<E>& layer = model_.layers[index];
    const Text& text = *text_of_row_[row - block_first_];
    const long place = row - text.first, dim = shape_.head_dim, group = shape_.group();
    const long turn = (batch_.prefix_length + place) * (dim / 2);
    const float *cosine = layer.cosine + turn, *sine = layer.sine + turn;
    if (head < shape_.heads) {
      E* to = shared_.queries.at((((head / group) * chunk_.num_tokens + row) * group + head % group) * dim);
      finish_head(raw, layer.query_norm, cosine, sine, dim, shape_.epsilon, to);
      return;
    }
    const bool is_key = head < shape_.heads + shape_.kv_heads;
    const long kv_head = (head - shape_.heads) % shape_.kv_heads;
    E* finished = own_.head.at(0);
    if (is_key) {
      finish_head(raw, layer.key_norm, cosine, sine, dim, shape_.epsilon, finished);
      pack_key(finished, place, dim, keys_of(text, kv_head));
    } else {
      convert_row(raw, dim, finished);
      pack_value(finished, place, dim, shape_.padded_head(), values_of(text, kv_head));
    }
    E* kept = is_key ? batch_.keys : batch_.values;
    if (!kept) return;
    const long token = long(index) * batch_.num_tokens + chunk_.first_token + row;
    std::memcpy(kept + (token * shape_.kv_heads + kv_head) * dim, finished, dim * sizeof(E));
  }

  E* keys_of(const Text& text, long kv_head) {
    return shared_.keys.at((kv_head * chunk_.num_key_blocks + text.key_block) * LANES * shape_.head_dim);
  }
  E* values_of(const Text& text, long kv_head) {
    return shared_.values.at((kv_head * chunk_.num_key_blocks + text.key_block) * LANES * shape_.padded_head());
  }

  // Tiles are dealt to the threads of a team in turn: in causal mode the later ones of a text cost more.
  void attend(size_t index) {
    long number = 0;
    for (const Text& text : chunk_.texts)
      for (long kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) number = attend_text(index, text, kv_head, number);
  }

  long attend_text(size_t index, const Text& text, long kv_head, long number) {
    const long group = shape_.group(), dim = shape_.head_dim, stride = shape_.heads * dim;
    const long prefix = batch_.prefix_length, slot = long(index) * shape_.kv_heads + kv_head;
    const KeyRun<E> runs[2] = {
        {keys_of(text, kv_head), values_of(text, kv_head), text.length, prefix},
        {prefix_.keys.at(slot * prefix_.head_keys), prefix_.values.at(slot * prefix_.head_values), prefix, 0},
    };
    AttentionTile<E> tile(
        shape_, model_.layers[index].window,
        shared_.queries.at((kv_head * chunk_.num_tokens + text.first) * group * dim), prefix, runs, prefix ? 2 : 1,
        own_.scores.at(0), own_.probabilities.at(0), own_.capacity,
        shared_.attended.at(text.first * stride + kv_head * group * dim), stride);
    const bool alone = team_.split == Split::chunks;
    each_tile(text.length * group, [&](long row, long count) {
      if (alone || number++ % team_.size == team_.rank) tile.attend(row, count);
    });
    return number;
  }

  void finish_layer(const Layer<E>& layer, long first, long count) {
    const long attended = shape_.heads * shape_.head_dim;
    add_attended(shared_.attended.at(first * attended), layer, first, count);
    gate_up(layer, first, count);
    team_.meet_columns();
    add_down(layer, first, count);
  }

  Int8Rows quantised(long depth) const { return {own_.quantised.at(0), own_.row_scales.at(0), int8_stride(depth)}; }

  // Normed rows of the residual stream in 8 bits, or 16.
  Int8Rows quantise_rows([[maybe_unused]] const float* weight, [[maybe_unused]] long first, [[maybe_unused]] long count) {
    const Int8Rows rows = quantised(shape_.width);
#ifdef SLIMVEC_INT8
    for (long row = 0; row < count; ++row)
      rows.scales[row] = quantise_normed(
          residual(first + row), weight, shape_.width, shape_.epsilon, rows.values + row * rows.stride);
#endif
    return rows;
  }

  // The product of a block's normed rows with one panel: in full, or of `rows` with the matrix in 8 bits.
  template <class Finish>
  void multiply_normed(
      const Matrix<E>& full, [[maybe_unused]] const Int8Matrix& int8, [[maybe_unused]] const Int8Rows& rows, long count,
      long panel, const Finish& finish) {
#ifdef SLIMVEC_INT8
    if (int8.panels) return multiply_panel(rows, count, int8, panel, finish);
#endif
    multiply_panel<E>(own_.normed.at(0), shape_.width, count, full, panel, 0, shape_.width, finish);
  }

  void add_attended(const E* attended, const Layer<E>& layer, long first, long count) {
    if (!layer.int8_output.panels) return add_product(attended, layer.output, layer.attention_norm, first, count);
#ifdef SLIMVEC_INT8
    const long depth = layer.int8_output.depth;
    const Int8Rows rows = quantised(depth);
    for (long row = 0; row < count; ++row)
      rows.scales[row] =
          quantise_scaled(attended + row * depth, layer.output_factors, depth, rows.values + row * rows.stride);
    add_int8(rows, layer.int8_output, layer.attention_norm, first, count);
#endif
  }

  void add_down(const Layer<E>& layer, long first, long count) {
    if (!layer.int8_down.panels) return add_product(hidden_, layer.down, layer.down_norm, first, count);
#ifdef SLIMVEC_INT8
    const Int8Rows rows = quantised(shape_.hidden);
    for (long row = 0; row < count; ++row)
      rows.scales[row] =
          quantise_plain(hidden_ + row * shape_.hidden, shape_.hidden, rows.values + row * rows.stride);
    add_int8(rows, layer.int8_down, layer.down_norm, first, count);
#endif
  }

  // hidden = activation(gate) * up, on the sums in registers: the first half of a panel are gates, the other
  // their ups.
  void gate_up(const Layer<E>& layer, long first, long count) {
    const bool int8 = layer.int8_gate_up.panels != nullptr;
    const Int8Rows rows = int8 ? quantise_rows(layer.feed_forward_norm, first, count) : Int8Rows{};
    if (!int8) norm_rows(layer.feed_forward_norm, first, count);
    const Span mine = team_.columns(int8 ? layer.int8_gate_up.num_panels() : layer.gate_up.num_panels());
    for (long panel = mine.begin; panel < mine.end; ++panel)
      multiply_normed(layer.gate_up, layer.int8_gate_up, rows, count, panel, activator(panel));
  }

  static constexpr int GATES = TILE_VECTORS / 2;

  auto activator(long panel) const {
    return [this, panel](long row, auto& sums) {
      sums.each([&](int r, int v, Lanes gate) {
        if (v >= GATES) return;
        const long column = panel * (PANEL / 2) + v * LANES;
        const Lanes active = shape_.gelu ? gelu_tanh(gate) : silu(gate);
        Element<E>::store(
            hidden_ + (row + r) * shape_.hidden + column, tail(clamp_to(shape_.hidden - column, 0, LANES)),
            active * sums.at[r][v + GATES]);
      });
    };
  }

  // residual += a x matrix, normed in between where the model does so.
  void add_product(const E* a, const Matrix<E>& matrix, const float* norm, long first, long count) {
    add_branch(matrix.num_panels(), norm, first, count, [&](long panel, float* target) {
      for (long from = 0; from < matrix.depth; from += DEPTH_BLOCK) {
        const long depth = matrix.depth - from < DEPTH_BLOCK ? matrix.depth - from : DEPTH_BLOCK;
        multiply_panel<E>(
            a, matrix.depth, count, matrix, panel, from, depth, adder(target, panel, target != branch_ || from));
      }
    });
  }

#ifdef SLIMVEC_INT8
  // The same of activations in 8 bits, or 16.
  void add_int8(const Int8Rows& rows, const Int8Matrix& matrix, const float* norm, long first, long count) {
    add_branch(matrix.num_panels(), norm, first, count, [&](long panel, float* target) {
      multiply_panel(rows, count, matrix, panel, adder(target, panel, target != branch_));
    });
  }
#endif

  // residual += what multiply(panel, target) writes or adds there.
  template <class Multiply>
  void add_branch(long num_panels, const float* norm, long first, long count, const Multiply& multiply) {
    const Span mine = team_.columns(num_panels);
    for (long panel = mine.begin; panel < mine.end; ++panel) multiply(panel, norm ? branch_ : residual(first));
    team_.meet_columns();
    if (!norm) return;
    const Span rows = team_.split == Split::columns ? team_.slice(count) : Span{0, count};
    for (long row = rows.begin; row < rows.end; ++row)
      add_normed(branch_ + row * shape_.width, norm, shape_.width, shape_.epsilon, residual(first + row));
    team_.meet_columns();
  }

  // Takes the sums of a panel to rows of `target`, added to what is there or in its place.
  auto adder(float* target, long panel, bool add) const {
    return [this, target, panel, add](long row, auto& sums) {
      sums.each([&](int r, int v, Lanes sum) {
        const long column = panel * PANEL + v * LANES;
        const Tail end = tail(clamp_to(shape_.width - column, 0, LANES));
        float* to = target + (row + r) * shape_.width + column;
        Element<float>::store(to, end, add ? Element<float>::load(to, end) + sum : sum);
      });
    };
  }

  void write_states() {
    const Span mine = team_.split == Split::chunks ? Span{0, chunk_.num_tokens} : team_.slice(chunk_.num_tokens);
    for (long row = mine.begin; row < mine.end; ++row) {
      float* to = batch_.states + (chunk_.first_token + row) * shape_.width;
      if (model_.final_norm)
        rms_norm(residual(row), model_.final_norm, shape_.width, shape_.epsilon, to);
      else
        std::memcpy(to, residual(row), shape_.width * sizeof(float));
    }
  }

  const Model<E>& model_;
  const Shape& shape_;
  const Batch<E>& batch_;
  const PackedPrefix<E>& prefix_;
  const Chunk& chunk_;
  const Team team_;
  ChunkBuffers<E>& shared_;
  ThreadBuffers<E>& own_;
  const long rows_;
  E* const hidden_;
  float* const branch_;
  std::vector<const Text*> text_of_row_;
  long block_first_ = 0;
};

template <class E>
bool has_int8(const Model<E>& model) {
  return std::any_of(model.layers.begin(), model.layers.end(), [](const Layer<E>& layer) {
    return layer.int8_qkv.panels || layer.int8_output.panels || layer.int8_gate_up.panels || layer.int8_down.panels;
  });
}

}  // namespace

template <class E>
void run_decoder(const Model<E>& model, const Batch<E>& batch, int num_threads) {
  const Shape& shape = model.shape;
  const Schedule schedule = make_schedule(batch.lengths, shape, num_threads);
  const PackedPrefix<E> prefix = pack_prefix(model, batch, num_threads);
  const bool alone = schedule.split == Split::chunks, by_columns = schedule.split == Split::columns;
  long most_tokens = 0, most_blocks = 0, longest = 0;
  for (const Chunk& chunk : schedule.chunks) {
    most_tokens = chunk.num_tokens > most_tokens ? chunk.num_tokens : most_tokens;
    most_blocks = chunk.num_key_blocks > most_blocks ? chunk.num_key_blocks : most_blocks;
  }
  for (const long length : batch.lengths) longest = length > longest ? length : longest;
  const long most_keys = round_up(longest, LANES) + round_up(batch.prefix_length, LANES);
  const long rows = by_columns ? most_tokens : block_rows<E>(shape) < most_tokens ? block_rows<E>(shape) : most_tokens;
  // All memory is taken here, where running out of it can still be reported.
  std::vector<ChunkBuffers<E>> shared;
  std::vector<ThreadBuffers<E>> own;
  for (int thread = 0; thread < num_threads; ++thread) {
    if (alone || thread == 0) shared.emplace_back(model, most_tokens, most_blocks, by_columns);
    own.emplace_back(shape, rows, most_keys, has_int8(model));
  }
  std::atomic<size_t> next{0};
  Barrier barrier(num_threads);
  parallel(num_threads, [&](int rank) {
    const Team team{alone ? 0 : rank, alone ? 1 : num_threads, schedule.split, &barrier};
    const size_t count = schedule.chunks.size();
    for (size_t i = alone ? next++ : 0; i < count && !(alone && batch.stopped()); i = alone ? next++ : count)
      ChunkRunner<E>(
          model, batch, prefix, schedule.chunks[i], team, shared[alone ? rank : 0], own[rank], rows).run();
  });
}

template void run_decoder<float>(const Model<float>&, const Batch<float>&, int);
#ifdef SLIMVEC_BF16
template void run_decoder<bf16>(const Model<bf16>&, const Batch<bf16>&, int);
#endif

}  // namespace slimvec
