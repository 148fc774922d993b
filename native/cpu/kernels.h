// The table of kernels that each file of isa/ fills, and their arguments: plain structs of pointers, strides and counts.
//
// It separates the executor (C++, any library) from the kernels (one ISA each, no library). Row arguments point at the first
// row of a block. Kernels check nothing. "padded" counts are multiples of kPad.
#pragma once
#include <stdint.h>

#include "abi/multigate.h"

namespace mg {

constexpr int64_t kPad = 16;  // floats in the widest vector; row strides in the arena and in slots are multiples of it

inline int64_t padded(int64_t count) { return (count + kPad - 1) / kPad * kPad; }

// Consecutive columns of a combined weight matrix that lie side by side in the flat store.
struct WeightColumns {
  int64_t column;  // first column in the combined matrix
  int64_t count;
  int64_t offset;  // offset of row 0 in the flat store
  int64_t stride;  // floats between rows there
  int64_t bias;    // offset of the bias of the first column; -1: none
};

// A combined weight matrix [depth, columns]: one dense layer, or all experts and gates of one stream.
struct Weights {
  int64_t depth, columns;  // columns: padded
  const WeightColumns* parts;
  int64_t part_count;
  float* forward;         // panels of columns: [ceil(columns / panel)][forward_depth][panel]; null: no forward op uses it
  float* backward;        // panels of depth: [ceil(depth / panel)][columns][panel]; null: no dx is needed
  float* bias;            // [columns]
  int64_t rounded;        // number of first columns that are bfloat16 in products: all of a dense layer, or the experts; whole panels
  int64_t forward_depth;  // rows of a forward panel: at least depth
};

// Room for a block's operands as bfloat16 (see kernels/bfloat16.h): x [rows, padded depth], dz [rows, 2 rounded].
struct Narrowed {
  float *x, *dz;
};

// Gradient of one Weights within a slot: [depth + 1, columns]; the last row is the bias.
struct WeightGradient {
  float* data;
  bool first;  // overwrite instead of adding: the first block of a slot
};

// Parameters to update in a step: rows of a table, or any range of elements as one row.
struct Parameters {
  int64_t rows, width;
  const int32_t* ids;  // the table rows; null: the first ones
  float* w;
  float *moment1, *moment2, *moment3;  // laid out like w, or one number per row if the rule is one of rows; null: the rule has none
  int64_t moment_width;                // floats of a row in a moment
  float* average;                      // laid out like w; null: none is kept
  float* gradient;                     // [rows, width], without gaps
};

// Rows of a gradient, grouped by id: those of id i are rows[start[i] .. start[i + 1]).
struct SumRows {
  int64_t dim, count;
  const uint32_t *rows, *start;  // start [count + 1]
  uint32_t listed;               // readable length of `rows`, may exceed start[count]
  const float* x;
  int64_t x_row;
  const float* scale;  // per row; null: 1
  float* sum;          // [count, dim]
  bool accumulate;     // += instead of =
  Parameters wanted;   // the ids' parameters, to prefetch; w null: none
};

// A row view: column 0 of the block's first row, and the floats between rows.
struct RowPointer {
  float* data;
  int64_t stride;
};

struct DenseForward {
  int64_t rows;
  const float* x;
  int64_t x_row;
  Narrowed narrowed;  // dz unused
  const Weights* weights;
  int64_t out;  // columns of y and z
  float* y;
  int64_t y_row;
  float* z;  // nullable
  int64_t z_row;
  int64_t activation;
};

struct DenseBackward {
  int64_t rows;
  const float* x;
  int64_t x_row;
  Narrowed narrowed;
  const Weights* weights;
  WeightGradient gradient;
  int64_t out;
  const float *y, *z;  // z nullable
  int64_t y_row, z_row;
  const float* dy;
  int64_t dy_row;
  float* dz;  // scratch [rows, weights->columns]
  int64_t dz_row;
  float* dx;  // nullable
  int64_t dx_row, dx_columns;
  bool accumulate;
  int64_t activation;
};

// One stream of a mixture. Its columns: experts side by side, padded, then its gates' logits, padded.
struct MixtureStream {
  const float* x;
  int64_t x_row;
  const Weights* weights;
  int64_t column;          // first column in the activations
  int64_t expert_columns;  // padded
  int64_t logits;          // number of its gates' logits, which follow the experts
  int64_t first;           // number of logits of the streams before it, each with room for three more, padded
  WeightGradient gradient;
  float* dx;  // nullable
  int64_t dx_row, dx_columns;
  bool accumulate;
};

struct MixtureGate {
  int64_t logits;  // column of its first logit in the activations
  int64_t seen;
  int64_t first;          // its first logit among all, counted like its stream's `first`
  const int64_t* expert;  // columns of the seen experts in the activations
  float* output;          // forward
  const float* doutput;   // backward, nullable
  int64_t row;            // row stride of output or doutput
  float* probabilities;   // [rows, seen] in the gates view; forward writes it, backward reads it; nullable
  int64_t probabilities_row;
};

struct Mixture {
  int64_t rows, units, activation;
  float inverse_temperature;
  const MixtureStream* streams;
  int64_t stream_count;
  const MixtureGate* gates;
  int64_t gate_count;
  int64_t expert_count;
  const int64_t* expert_column;  // [experts]: each one's column in the activations
  const int64_t* seer_offset;    // [experts + 1]: ranges in seer of the gates that see each expert,
  const int64_t* seer;           // as pairs (gate, column of its logit for the expert in the activations)
  float* activations;            // [rows, columns]: z, then a and logits, then p; backward turns them into dz
  float* pre;                    // same shape: z of the experts; nullable
  int64_t columns, logits;       // logits: of all streams, counted like their `first`
  const float** gate_rows;       // scratch [gates]
  Narrowed narrowed;             // sized for the largest stream
  float* row_scratch;            // [logits, kPad]; backward has three of them
  bool recompute;                // backward: activations must be computed first
};

struct Gather {
  int64_t rows, length, dim, combiner;
  const int32_t* ids;  // [rows, length]
  const float* table;
  float* y;
  int64_t y_row;
};

struct Fusion {
  int64_t rows, width, count, kind;
  const RowPointer* inputs;
  // backward
  const RowPointer* dinputs;
  const int64_t* columns;  // of each dinput: 0 if it is absent, else at most `width`
  const int64_t* accumulate;
  RowPointer y;   // or dy
  float* prefix;  // scratch [count, kPad]
};

struct Dropout {
  int64_t rows, width;
  RowPointer x, y;
  uint32_t key[2], first_row, step, high;  // words of Philox, as in ops.h
  uint16_t limit;                          // an element is dropped if its number is below
  float scale;
  uint8_t* kept;     // a bit per element, a byte per call
  int64_t kept_row;  // bytes from row to row
  bool drawn;        // true: read `kept`; false: write it
};

struct GateNoise {
  int64_t rows, width;
  RowPointer x, y;
  uint32_t key[2], first_row, step, high;  // words of Philox, as in ops.h
  float deviation;
  uint32_t limit;  // an element is dropped if its word is below
};

// What all losses share. `z` and `dz` (data null: not needed) are the op's logits or predictions.
struct Loss {
  int64_t rows, classes;
  RowPointer label, weight;  // weight: data nullable
  RowPointer z, dz;
  float gradient_scale;  // task weight / denominator; 0 if the denominator is 0
  double* loss;          // += sum of w m l, unscaled
  int64_t kind;          // of a regression loss: an mg_regression
  double parameter;      // of a regression loss; gamma of a binary loss
};

// One logit or prediction per row becomes y.
struct Predict {
  int64_t rows, width;
  RowPointer z, y;
  int64_t link;          // of a regression: an mg_link
  double scale, offset;  // y = link(offset + scale z); of ordered buckets: y = offset + the sum of widths times probabilities
  const double* widths;
};

// A loss of several logits per row.
struct ProductLoss {
  Loss shared;  // z and dz unused; the factor of an order loss is its parameter
  int64_t count;
  const RowPointer *logits, *dlogits;  // dlogits null: not needed
  const int64_t* accumulate;
};

struct UpdateRule {
  int64_t rule, form, nesterov;
  float one_minus_beta1, one_minus_beta2;  // computed in double: 1 - 0.999f would be off by 1e-5
  float epsilon, momentum;
  float rate;        // learning rate; adam in Keras's form: times sqrt(1 - beta2^t) / (1 - beta1^t); torch's: / (1 - beta1^t)
  float root_scale;  // adam in torch's form: 1 / sqrt(1 - beta2^t); else 1
  float decay;       // learning rate times weight decay
  float clip;        // largest size of a gradient's element; infinity: any
  float scale;       // factor of the gradient, which limits its length; 1: none
  float average_scale;
  float ftrl_l1, ftrl_l2, ftrl_l2_shrinkage, ftrl_beta;
  float ftrl_power;  // power of the sum of squares: minus the learning rate power
};

// kernels never see more than one slot, one block or one range of elements at a time.
struct Kernels {
  const char* name;
  bool multiplies_bfloat16;  // false: rounded operands in float32
  int64_t panel;
  // Packs panel `index` of the forward copy (and, with index 0, the bias), or of the backward copy.
  void (*pack_forward)(const Weights*, const float* store, int64_t index);
  void (*pack_backward)(const Weights*, const float* store, int64_t index);
  void (*copy_columns)(int64_t rows, int64_t width, const float* x, int64_t x_row, float* y, int64_t y_row);
  void (*gather)(const Gather*);
  void (*dense_forward)(const DenseForward*);
  void (*dense_backward)(const DenseBackward*);
  void (*mixture_forward)(const Mixture*);
  void (*mixture_backward)(const Mixture*);
  void (*fusion_forward)(const Fusion*);
  void (*fusion_backward)(const Fusion*);
  void (*dropout)(const Dropout*);
  void (*gate_noise)(const GateNoise*);
  void (*binary_loss)(const Loss*);
  void (*binary_predict)(const Predict*);
  void (*product_loss)(const ProductLoss*);
  void (*product_predict)(int64_t rows, int64_t count, const RowPointer* logits, RowPointer y);
  void (*regression_loss)(const Loss*);
  void (*regression_predict)(const Predict*);
  void (*ziln_loss)(const Loss*);
  void (*ziln_predict)(const Predict*);
  void (*ordinal_loss)(const Loss*);
  void (*ordinal_predict)(const Predict*);
  void (*order_loss)(const ProductLoss*);
  void (*multiclass_loss)(const Loss*);
  void (*multiclass_predict)(const Predict*);
  // out[j] (= or, with add, +=) the sum over slots s of in[s * stride + j], in a fixed tree.
  void (*sum_slots)(int64_t slots, int64_t stride, const float* in, int64_t count, float* out, bool add);
  // The sum of a[i] b[i].
  double (*dot)(int64_t count, const float* a, const float* b);
  // y[i] = the sum over the lists of weights[k] from[k][i], in order.
  void (*weighted_sum)(int64_t count, int64_t lists, const float* const* from, const float* weights, float* y);
  // gradient += l1 sign(w) + 2 l2 w; returns l1 sum |w| + l2 sum w^2. gradient nullable.
  double (*penalty)(const Parameters*, float l1, float l2);
  void (*update)(const UpdateRule*, const Parameters*);
  void (*sum_rows)(const SumRows*);
  // Runs `steps` of independent multiply-adds and returns the FLOPs done. Measures the peak.
  double (*peak)(int64_t steps);
};

// Compilers that know the tile registers.
#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 11)
#define MG_HAS_AMX 1
#endif

extern const Kernels kScalarKernels, kAvx2Kernels, kAvx512Kernels, kAvx512Bf16Kernels, kAmxBf16Kernels, kNeonKernels;

}  // namespace mg
