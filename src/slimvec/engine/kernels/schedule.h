// Who does what: cutting a batch into chunks of whole texts, and a chunk's work over threads.
#pragma once

#include <vector>

#include "model.h"
#include "threads.h"

namespace slimvec {

// A text of a chunk.
struct Text {
  long first = 0;      // its first token, counted from the chunk's
  long length = 0;     // tokens
  long key_block = 0;  // its first block of LANES keys, counted from the chunk's
};

struct Chunk {
  long first_token = 0;
  long num_tokens = 0;
  long num_key_blocks = 0;
  std::vector<Text> texts;
};

enum class Split {
  chunks,   // every thread takes whole chunks through all layers and waits for no one
  rows,     // one chunk; every thread has a slice of its tokens and meets the others around attention
  columns,  // one chunk of few tokens; every thread has a slice of each matrix and meets the others after each
};

struct Schedule {
  Split split = Split::chunks;
  std::vector<Chunk> chunks;
};

Schedule make_schedule(const std::vector<long>& lengths, const Shape& shape, int num_threads);

// A slice of work: [begin, end).
struct Span {
  long begin, end;
};

// The threads at work on a chunk.
struct Team {
  int rank = 0;
  int size = 1;
  Split split = Split::chunks;
  Barrier* barrier = nullptr;

  Span slice(long count) const { return {count * rank / size, count * (rank + 1) / size}; }
  Span rows(long count) const { return split == Split::rows ? slice(count) : Span{0, count}; }
  Span columns(long count) const { return split == Split::columns ? slice(count) : Span{0, count}; }

  // Wait for all threads of the team: around attention, and after each product that is cut by columns.
  void meet() const {
    if (split != Split::chunks) barrier->wait();
  }
  void meet_columns() const {
    if (split == Split::columns) barrier->wait();
  }
};

}  // namespace slimvec
