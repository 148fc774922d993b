/* The contract between the engine and a backend, in plain C.
 *
 * A backend turns a program (a flat list of ops over classed buffers, see ops.h) into a plan and runs it. It exports one
 * function that returns its mg_backend table. Nothing throws across this interface. Every call returns a status; if it is
 * not MG_OK, the call also gives a text for the user. Backends do not check views: the engine has validated the program.
 */
#ifndef MULTIGATE_ABI_H
#define MULTIGATE_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "abi/ops.h"

#ifdef __cplusplus
#define MG_NOEXCEPT noexcept
extern "C" {
#else
#define MG_NOEXCEPT
#endif

/* Raise it with every change of a struct, a field list or a meaning. docs/adr/0004 to 0006, 0008 and 0009 define a backend's duties. */
#define MG_ABI_VERSION 14u

typedef enum mg_status {
  MG_OK = 0,
  MG_INVALID = 1,     /* the program or an argument is wrong */
  MG_UNSUPPORTED = 2, /* valid, but this backend or machine cannot do it */
  MG_OUT_OF_MEMORY = 3,
  MG_DEVICE_LOST = 4, /* the device failed; all later calls on it fail too */
  MG_INTERNAL = 5
} mg_status;

typedef struct mg_error {
  char text[1024]; /* always null-terminated */
} mg_error;

typedef enum mg_dtype { MG_F32 = 0, MG_I32 = 1, MG_F64 = 2 } mg_dtype;

typedef enum mg_activation {
  MG_LINEAR = 0,
  MG_RELU = 1, /* gradient 0 at 0 */
  MG_TANH = 2,
  MG_SIGMOID = 3,
  MG_GELU = 4, /* 0.5 z (1 + erf(z / sqrt 2)) */
  MG_SWISH = 5 /* z sigmoid(z) */
} mg_activation;

/* What a gather makes of the ids of a row; see embedding_gather. Id 0 is padding, except for MG_SINGLE. */
typedef enum mg_combiner { MG_SINGLE = 0, MG_MEAN = 1, MG_SUM = 2, MG_CONCAT = 3 } mg_combiner;

/* The rules of optimize and embedding_update; see update_rule. */
typedef enum mg_rule { MG_SGD = 0, MG_ADAM = 1, MG_ADAGRAD = 2, MG_RMSPROP = 3, MG_FTRL = 4, MG_ROWWISE_ADAGRAD = 5 } mg_rule;
#define MG_RULE_COUNT 6

/* The losses of regression_loss; ops.h has the formulas. */
typedef enum mg_regression {
  MG_SQUARED = 0,
  MG_ABSOLUTE = 1,
  MG_HUBER = 2,
  MG_LOG_COSH = 3,
  MG_QUANTILE = 4,
  MG_POISSON = 5,
  MG_TWEEDIE = 6
} mg_regression;

/* What regression_predict makes of t = offset + scale z: t, e^t or e^t - 1. */
typedef enum mg_link { MG_LINK_IDENTITY = 0, MG_LINK_EXP = 1, MG_LINK_EXPM1 = 2 } mg_link;

/* Where a buffer lives and for how long. Row buffers have `width` elements per row and are contiguous. */
typedef enum mg_buffer_class {
  MG_ROW_INPUT = 0,  /* host memory, f32 or i32, read through mg_run.row_index */
  MG_ROW_OUTPUT = 1, /* host memory, the backend's element type */
  MG_ACTIVATION = 2, /* row activation in the backend's memory; it need not exist for all rows at once */
  MG_STORED = 3,     /* row activation in the backend's memory; a later step op reads all its rows */
  MG_PARAMETER = 4,  /* the flat store: `count` elements. At most one per program */
  MG_GRADIENT = 5,   /* as long as the flat store; any number per program */
  MG_STATE = 6,      /* optimizer moment of the flat store or of a table */
  MG_TABLE = 7       /* embedding table, [count, width] */
} mg_buffer_class;

typedef struct mg_buffer {
  int32_t buffer_class; /* mg_buffer_class */
  int32_t dtype;        /* row inputs: MG_F32 or MG_I32; others: MG_F32, which means the backend's element type */
  int64_t width;        /* row buffers and tables: elements per row; others: 1 */
  int64_t count;        /* row buffers: 0; tables: rows; others: elements */
} mg_buffer;

/* Row buffers: columns [offset, offset + width) of every row. Others: elements [offset, offset + width). A view of a table is
 * always whole: offset 0, width = its dim. */
typedef struct mg_view {
  int32_t buffer; /* -1: absent */
  int64_t offset;
  int64_t width;
} mg_view;

typedef struct mg_views {
  const mg_view* items;
  uint32_t count;
} mg_views;

typedef struct mg_ints {
  const int64_t* items;
  uint32_t count;
} mg_ints;

/* The phases of a step, in order; see ops.h. */
typedef enum mg_phase { MG_PHASE_ROWS = 0, MG_PHASE_GRADIENTS = 1, MG_PHASE_UPDATE = 2, MG_PHASE_TABLES = 3 } mg_phase;
#define MG_PHASE_COUNT 4

/* Descriptors: struct mg_dense_forward { mg_view x; ... }, one per op. */
#define MG_VIEW_(name) mg_view name;
#define MG_VIEWS_(name) mg_views name;
#define MG_INT_(name) int64_t name;
#define MG_INTS_(name) mg_ints name;
#define MG_FLOAT_(name) double name;
#define MG_DESCRIPTOR_(name, phase)                                              \
  typedef struct mg_##name {                                                     \
    MG_FIELDS_##name(MG_VIEW_, MG_VIEWS_, MG_INT_, MG_INTS_, MG_FLOAT_, MG_INT_) \
  } mg_##name;
MG_OPS(MG_DESCRIPTOR_)

#define MG_KIND_(name, phase) MG_OP_##name,
typedef enum mg_op_kind { MG_OPS(MG_KIND_) MG_OP_COUNT } mg_op_kind;

#define MG_MEMBER_(name, phase) mg_##name name;
typedef struct mg_op {
  int32_t kind; /* mg_op_kind */
  union {
    MG_OPS(MG_MEMBER_)
  } fields;
} mg_op;

/* A scalar input that the engine computes while it assembles the batch: the divisor of a loss.
 * reduction 0 'valid': number of rows with a label; 1 'batch': number of rows; 2 'weighted': sum of the weights of rows with a label. */
typedef struct mg_denominator {
  int64_t scalar;
  mg_view label;
  mg_view weight; /* optional */
  int64_t reduction;
} mg_denominator;

typedef struct mg_program {
  const mg_buffer* buffers;
  uint32_t buffer_count;
  const mg_op* ops; /* sorted by phase */
  uint32_t op_count;
  uint32_t scalar_inputs;
  uint32_t scalar_outputs;
} mg_program;

typedef struct mg_plan mg_plan;

/* How products are computed. All other arithmetic, inputs and outputs are float32 (the reference: float64). */
typedef enum mg_precision {
  MG_PRECISION_F32 = 0,
  MG_PRECISION_BF16 = 1, /* x, the kernels of experts and dense layers, and dz are rounded to bfloat16 (to nearest, ties to even) before a
                            product. Sums, biases and the softmax layers of gates stay float32. */
  MG_PRECISION_TF32 = 2  /* GPUs only */
} mg_precision;

typedef struct mg_compile_options {
  const char* isa;   /* CPU: an ISA's name, or null for the best; other backends ignore it */
  int32_t precision; /* mg_precision */
} mg_compile_options;

/* Where a backend with its own memory reads the rows of a data set from. Other backends ignore it. */
typedef enum mg_data_place {
  MG_DATA_AUTO = 0,   /* a copy in device memory if that takes at most half of the free memory; else the host's */
  MG_DATA_DEVICE = 1, /* a copy in device memory, or MG_OUT_OF_MEMORY */
  MG_DATA_HOST = 2    /* the host's memory, batch by batch */
} mg_data_place;

/* One step, or its phases from first_phase to last_phase. A step starts with ROWS. The caller runs it in one call or in several: each call
 * continues with the phase after the last one, with the same rows and data, and the plan runs nothing else in between. The bits are the same either
 * way. After ROWS the plan keeps what later phases need: stored buffers, ids and unreduced gradients. */
typedef struct mg_run {
  int32_t first_phase, last_phase; /* mg_phase */
  int64_t rows;                    /* n >= 1 */
  void* const* data;               /* one per buffer; null for activations and stored buffers. Row outputs [n, width] */
  const int32_t* row_index;        /* row r of the run is row row_index[r] of each row input; null: row r */
  int64_t row_stride;              /* elements between rows, for all row inputs; 0: each input's width */
  int64_t first_row;               /* position of row 0 in the batch if a batch is run in parts; else 0 */
  uint64_t data_set;               /* 0: row inputs may change from run to run. Else they belong to this data set, whose rows do not change: a
                                      backend may keep copies, keyed by this number and the buffer's address, until forget(data_set) */
  int64_t data_set_rows;           /* rows in the whole data set */
  int64_t data_set_first;          /* without row_index: the row of the data set at which the data of row inputs begins */
  int32_t data_place;              /* mg_data_place */
  int64_t next_rows;               /* rows of the data set that a later run will probably read: the ones that follow in row_index (which lists
                                      them too) or in the data. A backend may prefetch them */
  const double* scalars_in;
  double* scalars_out;        /* ROWS writes them; the other phases add to them */
  uint64_t parameter_version; /* differs from the last run's if PARAMETER elements changed in between */
  int32_t threads;            /* at most; the result's bits never depend on it */
} mg_run;

typedef struct mg_plan_info {
  int64_t block_rows;   /* rows that a thread processes at a time; 0 if the backend has no blocks */
  int64_t slots;        /* gradient slots for `rows` rows; 0 without gradients */
  int64_t arena_bytes;  /* per thread; does not depend on rows */
  int64_t stored_bytes; /* size of the buffers that hold all rows, for `rows` rows */
  int32_t emulated;     /* 1: no instructions for the precision; operands are rounded: correct, but no faster */
  const char* isa;      /* the ISA or device that the plan runs on */
} mg_plan_info;

typedef struct mg_device_info {
  char name[128];       /* the processor's name, for display; may be empty */
  char capability[32];  /* GPUs: compute capability, "9.0"; may be empty */
  int64_t memory_bytes; /* the device's own memory; 0: unknown */
  int64_t free_bytes;   /* free device memory now; 0: unknown, as long as this process has not used the device */
} mg_device_info;

typedef struct mg_backend {
  uint32_t abi_version;
  int32_t element; /* MG_F32, or MG_F64 for the reference */
  const char* name;

  /* MG_OK if this machine can run the backend; else the error says why not. Takes no memory of the device. */
  mg_status (*available)(mg_error* error) MG_NOEXCEPT;
  /* Describes the device. Call it only if the backend is available. */
  void (*describe)(mg_device_info* info) MG_NOEXCEPT;

  /* Memory for MG_PARAMETER .. MG_TABLE buffers: zeroed, 64-byte aligned, counted in elements. write and read do not convert:
   * the caller passes the backend's element type. */
  mg_status (*allocate)(int64_t elements, void** data, mg_error* error) MG_NOEXCEPT;
  void (*release)(void* data) MG_NOEXCEPT;
  mg_status (*write)(void* data, int64_t offset, const void* from, int64_t elements, mg_error* error) MG_NOEXCEPT;
  mg_status (*read)(const void* data, int64_t offset, void* to, int64_t elements, mg_error* error) MG_NOEXCEPT;

  /* The plan copies what it needs of the program. It runs one step at a time. */
  mg_status (*compile)(const mg_program* program, const mg_compile_options* options, mg_plan** plan, mg_error* error) MG_NOEXCEPT;
  mg_status (*run)(mg_plan* plan, const mg_run* run, mg_error* error) MG_NOEXCEPT;

  /* Rows [first_row, first_row + rows) of a STORED buffer that ops write, [rows, width] without gaps. Valid after the step's ROWS and
   * before its TABLES. Machines that share a step exchange the row gradients of embeddings this way. */
  mg_status (*read_stored)(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, void* to, mg_error* error) MG_NOEXCEPT;
  mg_status (*write_stored)(mg_plan* plan, int32_t buffer, int64_t first_row, int64_t rows, const void* from, mg_error* error) MG_NOEXCEPT;
  void (*info)(const mg_plan* plan, int64_t rows, mg_plan_info* info) MG_NOEXCEPT;
  void (*destroy)(mg_plan* plan) MG_NOEXCEPT;

  /* Drops the copies of a data set (mg_run.data_set). No run may be using it. */
  void (*forget)(uint64_t data_set) MG_NOEXCEPT;
} mg_backend;

/* The backends that are linked in. The CUDA plug-in exports mg_cuda_backend(device): one table per GPU, null if the number does not
 * exist. Number 0 always exists: its available() says why there is no GPU. */
const mg_backend* mg_cpu_backend(void) MG_NOEXCEPT;
const mg_backend* mg_reference_backend(void) MG_NOEXCEPT;

/* ISAs of the CPU backend that this machine can run, best first, null-terminated. */
const char* const* mg_cpu_isas(void) MG_NOEXCEPT;

/* Measures the multiply-add peak of an ISA in GFLOP/s with all threads at once (about 0.1 s). Negative if this machine cannot
 * run the ISA. */
double mg_cpu_peak(const char* isa, int32_t threads) MG_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
