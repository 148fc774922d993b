// A program that the engine owns, and the facts that validate() learns from it.
//
// Kernels check nothing, so validate() refuses every program that could harm memory. After it, each view lies in a buffer of
// the right class and size, each list has the length that its op expects, and no op reads a row activation before one
// writes it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "abi/multigate.h"

namespace multigate {

constexpr int64_t kMaxRowWidth = int64_t{1} << 24;
constexpr int64_t kMaxElements = int64_t{1} << 58;  // elements * 8 stay far below 2^62
constexpr int64_t kMaxWeights = int64_t{1} << 50;   // read by all ops together: keeps packed and padded copies below 2^60 bytes
constexpr double kEndOfSteps = 0x1p53;
constexpr int64_t kMaxOps = 100'000;
constexpr int64_t kMaxBuffers = 100'000;
constexpr int64_t kMaxScalars = 100'000;
constexpr int64_t kMostGradients = 64;  // of a Gram matrix or a weighted sum
constexpr int64_t kMaxListEntries = 1 << 16;
constexpr int64_t kMaxRows = INT32_MAX;  // row_index is int32

class Program {
 public:
  std::vector<mg_buffer> buffers;
  std::vector<mg_op> ops;
  std::vector<mg_denominator> denominators;
  uint32_t scalar_inputs = 0;
  uint32_t scalar_outputs = 0;

  /// Lists live as long as the program, because descriptors point into them.
  mg_views keep(std::vector<mg_view> views);
  mg_ints keep(std::vector<int64_t> integers);

  mg_program abi() const;

 private:
  std::deque<std::vector<mg_view>> views_;
  std::deque<std::vector<int64_t>> integers_;
};

/// Facts of a valid program that a run needs.
struct ProgramFacts {
  std::vector<int32_t> row_inputs;  // buffer numbers, ascending
  std::vector<int32_t> row_outputs;
  std::vector<int32_t> bound;         // buffers that need memory: parameter, gradient, state, table
  std::vector<int64_t> id_limit;      // per buffer: ids must be below it (rows of the smallest table gathered)
  std::vector<bool> written;          // per buffer: some op writes its memory
  std::vector<int32_t> zeroed;        // row outputs with columns that no op writes: cleared first
  std::vector<int32_t> steps;         // scalar inputs that count steps
  std::vector<int32_t> task_weights;  // scalar inputs that are task weights
  std::vector<int32_t> gradients;     // the GRADIENT buffers
  std::vector<bool> stored;           // per buffer: class stored, and ops write all its columns
  int32_t parameter = -1;
  int64_t weights = 0;       // elements of the parameter views of all ops together
  int64_t row_elements = 0;  // elements per row of all row buffers together
};

/// @throws Failure (program) naming the op, the field, the value found and the value expected.
ProgramFacts validate(const Program& program);

/// "rowInput", as in JavaScript.
const char* class_name(int32_t buffer_class) noexcept;

/// "rows", as in JavaScript.
const char* phase_name(int64_t phase) noexcept;

/// Number of elements of a buffer that has bound memory.
inline int64_t element_count(const mg_buffer& buffer) { return buffer.width * buffer.count; }

inline bool is_row_class(int32_t buffer_class) { return buffer_class <= MG_STORED; }

}  // namespace multigate
