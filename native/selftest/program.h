// A program with its data, built line by line, and the results of a run.
#pragma once
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "abi/multigate.h"

namespace selftest {

constexpr mg_view kAbsent{-1, 0, 0};

/// GRADIENT buffer `number` of a program, for rows ops. It exists only after close_store().
constexpr mg_view gradients_of(int32_t number) { return {-2 - number, 0, 0}; }
constexpr mg_view kGradients = gradients_of(0);

/// A derivative to compare with finite differences: `gradient` holds the objective's derivative by a row input, or by its first columns.
struct Derivative {
  int32_t input, gradient;  // buffers: row input, row output
};

class Program {
 public:
  explicit Program(std::string program_name) : name(std::move(program_name)) {}

  // Buffers. All except inputs and outputs are named as in the ops.
  mg_view input(int64_t width, std::vector<float> values);
  mg_view ids(int64_t width, std::vector<int32_t> values);
  mg_view output(int64_t width) { return buffer(MG_ROW_OUTPUT, width, 0); }
  mg_view activation(int64_t width) { return buffer(MG_ACTIVATION, width, 0); }
  mg_view stored(int64_t width) { return buffer(MG_STORED, width, 0); }
  /// The next `values` of the flat store.
  mg_view parameter(const std::vector<float>& values);
  mg_view state(std::vector<float> values);
  mg_view table(int64_t dim, std::vector<float> values);
  int64_t scalar(double value);
  int64_t scalar_output() { return scalar_outputs++; }
  mg_views list(std::vector<mg_view> views);
  mg_ints list(std::vector<int64_t> ints);

#define SELFTEST_ADD(op, phase)     \
  void add(const mg_##op& fields) { \
    mg_op added{};                  \
    added.kind = MG_OP_##op;        \
    added.fields.op = fields;       \
    ops.push_back(added);           \
  }
  MG_OPS(SELFTEST_ADD)
#undef SELFTEST_ADD

  /// Closes the flat store: its length is final. Adds this many GRADIENT buffers, each with a reduce_gradients, and then `combined` ones, without.
  void close_store(int gradients, int combined = 0);
  mg_view gradients(int32_t number = 0) const { return {gradient_buffer + number, 0, store_length}; }
  mg_view parameters() const { return {parameter_buffer, 0, store_length}; }

  std::string name;
  int64_t rows = 0;
  std::vector<mg_op> ops;
  std::vector<mg_buffer> buffers;
  std::vector<std::vector<float>> floats;  // by buffer: contents before a run
  std::vector<std::vector<int32_t>> ints;  // by buffer: ids
  std::vector<double> scalars;
  int64_t scalar_outputs = 0;
  int32_t parameter_buffer = -1, gradient_buffer = -1;  // gradient_buffer: the first one
  int64_t store_length = 0;

  // Finite differences use: objective = sum over pairs of (row output . row input of weights) + scalar outputs.
  std::vector<std::pair<int32_t, int32_t>> weighted_outputs;
  bool losses_count = false;
  std::vector<Derivative> derivatives;
  std::vector<int32_t> moved_tables;  // from which a run subtracts the objective's derivative
  bool smooth = true;                 // no kink that a small step could cross
  int depth = 1;                      // products that follow one another

 private:
  mg_view buffer(mg_buffer_class kind, int64_t width, int64_t count, mg_dtype dtype = MG_F32);

  std::deque<std::vector<mg_view>> view_lists_;
  std::deque<std::vector<int64_t>> int_lists_;
};

/// Every buffer that a run writes, in double, by buffer number; empty for the others. Then the scalar outputs.
struct Result {
  std::vector<std::vector<double>> buffers;
  std::vector<double> scalars;
  std::string failure;  // of compile or run; empty if it went well
};

struct Place {
  std::string name;
  const mg_backend* backend;
  std::string isa;  // empty: no choice
  mg_precision precision = MG_PRECISION_F32;
  std::vector<int> threads = {2, 3, 5, 8};  // must give the bits of 1 thread; a device without this choice runs twice
};

/// A step between two of its phases.
struct Between {
  const mg_backend* backend;
  mg_plan* plan;
  const std::vector<void*>& data;  // by buffer: the bound memory
  int next;                        // the next phase

  // All of a bound buffer, or rows of a STORED one, as doubles. They throw the backend's error.
  std::vector<double> read(const mg_buffer& buffer, int32_t number) const;
  void write(int32_t number, const std::vector<double>& values) const;
  std::vector<double> read_stored(const mg_buffer& buffer, int32_t number, int64_t first, int64_t rows) const;
  void write_stored(const mg_buffer& buffer, int32_t number, int64_t first, const std::vector<double>& values) const;
};

struct RunOptions {
  int threads = 2;
  const int32_t* row_index = nullptr;
  bool side_by_side = false;                         // the inputs of a row, as in a data set
  std::vector<int> cuts = {};                        // phases before which the step is cut: {1, 2, 3} runs each by itself
  std::function<void(const Between&)> between = {};  // called at each cut
};

Result run(const Program& program, const Place& place, const RunOptions& options = {});

}  // namespace selftest
