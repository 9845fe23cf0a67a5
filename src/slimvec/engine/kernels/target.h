// What each target gives the interface. A target is all computing code compiled once more with other flags; of its
// object only the one symbol below is seen by the others, so that nothing compiled for a newer processor is ever
// called on an older one, not even a function of the standard library.
#pragma once

#include "api.h"

struct TargetEntry {
  SlimvecTarget facts;
  int32_t (*decode)(const SlimvecModel*, const SlimvecBatch*, int32_t num_threads, char* error, int64_t error_size);
  int32_t (*run_rows)(const SlimvecRows*, int32_t num_threads, char* error, int64_t error_size);
  int32_t (*run_attention)(const SlimvecAttention*, int32_t num_threads, char* error, int64_t error_size);
};
