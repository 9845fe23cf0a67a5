// The library's interface: plain C, so that any torch, or none, can sit on the other side. Everything is passed as
// pointers to memory that the caller keeps alive for the call; nothing is copied and nothing is kept. Sizes are checked
// before memory is read, and what does not fit is refused in words.
#pragma once

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

// Changes with every change of this file; a caller asks for it before anything else.
enum { SLIMVEC_ABI_VERSION = 4 };

enum SlimvecDtype {
  SLIMVEC_DTYPE_FLOAT32 = 0,
  SLIMVEC_DTYPE_BFLOAT16 = 1,
  SLIMVEC_DTYPE_INT8 = 2,
  SLIMVEC_DTYPE_INT32 = 3,
};

enum SlimvecStatus {
  SLIMVEC_DONE = 0,
  SLIMVEC_REFUSED = 1,      // the error says what was found and what was expected
  SLIMVEC_INTERRUPTED = 2,  // `stop` was set; the results are not there
  SLIMVEC_FAILED = 3,       // no memory, or no threads
};

enum { SLIMVEC_MOST_SIZES = 4 };

// A contiguous array of up to four sizes; absent where `data` is null.
typedef struct {
  const void* data;
  int64_t sizes[SLIMVEC_MOST_SIZES];
  int32_t num_sizes;
  int32_t dtype;
} SlimvecTensor;

typedef struct {
  int64_t width, heads, kv_heads, head_dim, hidden;
  float epsilon, score_scale, embedding_scale;
  int32_t causal, gelu;
} SlimvecShape;

// Tensors of a layer, in this order; panels and what belongs to them are packed as the target says.
enum SlimvecSlot {
  SLIMVEC_INPUT_NORM,                     // [H]
  SLIMVEC_QKV, SLIMVEC_QKV_BIAS,          // panels of [H, (A + 2K) D] in full, or in int8 with
  SLIMVEC_QKV_SCALES, SLIMVEC_QKV_STARTS,
  SLIMVEC_QUERY_NORM, SLIMVEC_KEY_NORM,   // [D] or absent
  SLIMVEC_OUTPUT, SLIMVEC_OUTPUT_BIAS,    // panels of [A D, H] in full, or in int8 with
  SLIMVEC_OUTPUT_SCALES, SLIMVEC_OUTPUT_STARTS, SLIMVEC_OUTPUT_FACTORS,
  SLIMVEC_ATTENTION_NORM,                 // [H] or absent
  SLIMVEC_FEED_FORWARD_NORM,              // [H]
  SLIMVEC_GATE_UP, SLIMVEC_GATE_UP_BIAS,  // panels of [H, 2F] in full, or in int8 with
  SLIMVEC_GATE_UP_SCALES, SLIMVEC_GATE_UP_STARTS,
  SLIMVEC_DOWN, SLIMVEC_DOWN_BIAS,        // panels of [F, H] in full, or in int8 with
  SLIMVEC_DOWN_SCALES, SLIMVEC_DOWN_STARTS,
  SLIMVEC_DOWN_NORM,                      // [H] or absent
  SLIMVEC_COSINE, SLIMVEC_SINE,           // [positions or more, D/2]
  SLIMVEC_NUM_SLOTS,
};

typedef struct {
  SlimvecShape shape;
  int32_t dtype;            // float32 or bfloat16: of products that are not int8, and of keys and values
  SlimvecTensor embedding;  // [vocabulary, H], float32 or bfloat16
  SlimvecTensor final_norm; // [H]; or absent, and states are as the last layer leaves them
  int64_t num_layers, num_slots;
  const SlimvecTensor* slots;  // [layers, SLIMVEC_NUM_SLOTS]
  const int64_t* windows;      // [layers]; 0: none
} SlimvecModel;

typedef struct {
  int64_t num_tokens, num_texts;
  const int64_t* tokens;   // [T]
  const int64_t* lengths;  // [texts]
  // Of a shared prefix, [L, P, K, D]: contiguous in every layer, from layer to layer the strides. Or absent.
  SlimvecTensor prefix_keys, prefix_values;
  int64_t prefix_key_stride, prefix_value_stride;
  float* states;        // [T, H]
  void *keys, *values;  // [L, T, K, D] each, or null
  const int32_t* stop;  // looked at between layers: anything but 0 ends the call
} SlimvecBatch;

// Rows of a model in training. A norm has `first` x [rows, width] and `second` the weight [width] in float32; a gated
// activation has `first` the gate and `second` what it multiplies, of one size. With `gradient`, of the result and as
// large as `first`, the gradients are computed: of x; of the gate, and of what it multiplies.
typedef struct {
  int32_t norm, gelu;
  float epsilon;
  SlimvecTensor first, second, gradient;
  void *result, *second_result;
} SlimvecRows;

// Attention of a model in training over texts side by side: queries [T, A, D], keys and values [T, K, D], with K dividing A
// and D even. Without `gradient` the result is computed; with it, as large as the queries, the three gradients.
typedef struct {
  int64_t num_texts;
  const int64_t* lengths;  // [texts]
  int64_t window;          // 0: none; causal: the last tokens seen, itself included; else those on either side
  float scale;
  int32_t causal;
  SlimvecTensor query, key, value, gradient;
  void *result, *query_result, *key_result, *value_result;
} SlimvecAttention;

// What a target is, and how it wants matrices packed.
typedef struct {
  const char* name;
  const char* missing;  // instruction sets that this processor lacks for it; empty where it runs
  int32_t panel;        // columns of a panel
  int32_t bfloat16, int8;  // whether it computes in them
  int32_t int8_pack;    // values of a column side by side in int8 panels
  int32_t int8_bits;    // bits of an activation that is multiplied with int8 weights: 8 or 16
  int32_t int8_offset;  // added to activations in int8; sums start at the column's sum of weights times minus it
  int32_t halves;       // whether products in float32 take weights held in bfloat16, [panels, depth, panel / 2, 2]
} SlimvecTarget;

#if defined(__GNUC__)
#define SLIMVEC_EXPORT __attribute__((visibility("default")))
#else
#define SLIMVEC_EXPORT
#endif

SLIMVEC_EXPORT int32_t slimvec_abi_version(void);
// Hash of the sources and flags that the library was built from.
SLIMVEC_EXPORT const char* slimvec_sources(void);
// All targets of the library, best first.
SLIMVEC_EXPORT const SlimvecTarget* slimvec_targets(int32_t* count);
// Run a model over a batch; gives a SlimvecStatus, and for a refusal the reason in `error`.
SLIMVEC_EXPORT int32_t slimvec_decode(
    int32_t target, const SlimvecModel* model, const SlimvecBatch* batch, int32_t num_threads, char* error,
    int64_t error_size);
// Run rows; status and `error` as above.
SLIMVEC_EXPORT int32_t slimvec_run_rows(
    int32_t target, const SlimvecRows* rows, int32_t num_threads, char* error, int64_t error_size);
// Run attention; status and `error` as above.
SLIMVEC_EXPORT int32_t slimvec_run_attention(
    int32_t target, const SlimvecAttention* attention, int32_t num_threads, char* error, int64_t error_size);

#if defined(__cplusplus)
}
#endif
