// A compiled program on the device: where its buffers lie, its weights combined, its ops with their launches, its graphs.
//
// Op-major: each op is one or a few launches over all rows. A run is captured as a graph once per number of rows and set of memories,
// and replayed: nothing that changes between two such runs is known to the host while it captures; it is read from device memory
// (scalars) or from pinned memory that the graph's own copies read (inputs).
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "abi/multigate.h"
#include "cuda/device/runtime.h"

namespace mg_cuda {

// Floats between rows of the backend's own row buffers, and columns of combined weights, are multiples of 4: 16 bytes.
inline int64_t padded(int64_t count) { return (count + 3) / 4 * 4; }
inline int64_t blocks_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

// How a product is computed; see ops/product.h.
enum class Precision { kFloat32, kTf32, kBfloat16 };

// Rows of a view on the device: column 0 of row 0, and elements between rows. data is null for an absent view.
struct RowPointer {
  float* data;
  int64_t stride;
};
struct IdPointer {
  const int32_t* data;
  int64_t stride;
};

// Consecutive columns of a combined weight matrix that lie side by side in the flat store.
struct WeightColumns {
  int64_t column, count;
  int64_t offset, stride;  // of row 0 in the flat store, and between rows there
  int64_t bias;            // offset of the first column's bias; -1: none
  int64_t place = 0;       // of the first column among those of the panels, where there are some
};

// A second copy of combined weights, for mixtures: panels of 8 columns each as ops/panels.h has them, first those of the plan's precision.
struct Panels {
  int64_t packed = -1;      // floats in front of it in the packed memory; -1: none
  int64_t rounded = 0;      // how many are in the plan's precision
  int64_t parts_apart = 0;  // of cores: the others are several parts; what rounding left of one is in the panel that is so many behind
  bool cores = false;       // made of cores, bfloat16
};

// Where the splits of a gradient for one GRADIENT buffer lie.
struct SplitGradient {
  int32_t buffer;
  int64_t first;  // floats in front of the first split in the memory of all of them
};

// The same as an op sees it: the first op of a buffer writes the splits, those after it add.
struct GradientPlace {
  int64_t first;
  bool adds;
};

// A dense layer's weights, or those of all experts and gates of one stream, as one matrix. The packed copy is [depth + 1, columns] on
// the device, its last row the bias, zero where no part has a column; a gradient has up to `splits` of the same shape, each the
// sum over a share of the rows: few tiles would leave multiprocessors idle.
struct Weights {
  int64_t depth, columns;  // columns: padded
  int64_t rounded;         // products with the first so many columns are in the plan's precision, with the others float32
  std::vector<WeightColumns> parts;
  int64_t packed = 0;                    // floats in front of it in the packed memory
  std::vector<SplitGradient> gradients;  // one per buffer
  int64_t splits = 1;
  Panels panels;
  int64_t elements() const { return (depth + 1) * columns; }
};

// A constant table on the device, filled when a program is compiled.
template <class T>
class Table {
 public:
  void assign(const std::vector<T>& values) {
    if (values.empty()) return;
    memory_.reserve(values.size() * sizeof(T));
    copy_to_device(memory_.data(), values.data(), values.size() * sizeof(T));
  }
  const T* data() const { return memory_.template data<const T>(); }

 private:
  DeviceMemory memory_;
};

// A part of the combined weights, as kernels need it.
struct PackedPart {
  int64_t depth, columns, packed, split, splits;  // of its matrix, as in Weights; split: of a gradient
  WeightColumns part;
  Panels panels;
};

// Phases of a step that a run does.
struct Phases {
  int32_t first, last;
  bool has(int32_t phase) const { return first <= phase && phase <= last; }
  bool operator==(const Phases& other) const { return first == other.first && last == other.last; }
};

// Partial sums [first, first + count) of plan.partials add up to a part of a scalar output, divided by a scalar input (-1: by nothing).
struct ScalarSum {
  int64_t output, denominator, first, count;
  int32_t phase;  // of the op that leaves them
};

class Op;

struct Plan {
  int device = 0;
  std::string device_name;
  std::vector<mg_buffer> buffers;
  uint32_t scalar_inputs = 0, scalar_outputs = 0;
  int32_t parameter_buffer = -1;
  Precision precision = Precision::kFloat32;

  std::vector<std::unique_ptr<Op>> ops;
  std::vector<int32_t> phases;  // of the ops, in ascending order
  bool divisible = true;        // nothing is updated or summed over all rows but scalars: a large run is done in parts
  std::deque<Weights> weights;
  int64_t packed_floats = 0, split_floats = 0;
  Table<PackedPart> parts;  // of all weights
  int64_t part_count = 0;

  // Of plan.scalars.
  size_t scalar_count() const { return size_t{scalar_inputs} + 1 + scalar_outputs; }

  // How many splits of a gradient a run of so many rows fills: of these weights, or at most. Depends on the plan and the number of rows alone.
  int64_t splits(const Weights& weights, int64_t rows) const { return std::min(weights.splits, most_splits(rows)); }
  int64_t most_splits(int64_t rows) const;
  int64_t stride(int32_t buffer) const;
  size_t row_bytes(size_t buffer) const { return static_cast<size_t>(stride(static_cast<int32_t>(buffer))) * sizeof(float); }
  // From a row of a row input on the host to its next.
  size_t host_row_bytes(const mg_run& run, size_t buffer) const {
    return run.row_stride != 0 ? static_cast<size_t>(run.row_stride) * 4 : row_bytes(buffer);
  }
  bool is_input(size_t buffer) const { return buffers[buffer].buffer_class == MG_ROW_INPUT; }
  bool is_output(size_t buffer) const { return buffers[buffer].buffer_class == MG_ROW_OUTPUT; }
  // Whether rows of it lie in device memory: a row buffer, and not one that ops name and leave alone.
  bool has_rows(size_t buffer) const { return buffers[buffer].buffer_class <= MG_STORED && !unused[buffer]; }
  std::vector<bool> unused;  // by buffer

  // Room for `count` partial sums of a scalar output; returns the first one's place. Called by Op::add_sums.
  int64_t add_sum(int64_t output, int64_t denominator, int64_t count);
  int32_t summing_phase = 0;  // of the op that is asked

  // Device memory for `capacity` rows, one allocation per buffer.
  int64_t capacity = 0;
  std::vector<std::unique_ptr<DeviceMemory>> regions;                 // by buffer; null without has_rows
  std::vector<std::unique_ptr<PinnedMemory>> staging;                 // by buffer: row outputs
  DeviceMemory packed, splits_memory, scratch, scalars, scalars_out;  // scalars: inputs, first_row, then what outputs begin with
  std::vector<ScalarSum> sums;
  Table<ScalarSum> sums_table;
  DeviceMemory partials;
  int64_t partial_count = 0;
  DeviceMemory row_numbers;  // int32 [rows]: of a data set that is on the device
  PinnedMemory staged_scalars, staged_scalars_out, staged_row_numbers;
  uint64_t packed_version = 0;
  const void* packed_from = nullptr;

  // Rows from the host, by turns: one batch is worked on while the next one comes. See data_sets.h.
  struct Arrival {
    PinnedMemory staged;
    DeviceMemory device;    // the inputs one after another, as they were staged
    uint64_t data_set = 0;  // of which it has these rows; 0: they may change
    std::vector<const void*> columns;
    std::vector<int32_t> numbers;
  };
  Arrival arrivals[2];
  int arrived = 0;        // the one that a run reads
  uint64_t not_kept = 0;  // a data set that did not fit on the device

  // Of parameters, moments and tables, as ops and graphs know them.
  std::vector<void*> memories;

  struct Captured {
    int64_t rows;
    bool packs;
    Phases phases;
    uint64_t data_set;  // whose rows are gathered on the device; 0: rows come from the host
    int arrived;        // then: where they have arrived
    Graph graph;
  };
  std::vector<Captured> graphs;
  std::unique_ptr<Stream> stream, side, copies;  // side: of what starts early; copies: of rows that arrive
};

// What an op needs to launch its kernels for one number of rows.
class Context {
 public:
  Context(Plan& plan, const mg_run& run) : plan(plan), stream(*plan.stream), rows(run.rows), data_(run.data) {}
  // The same, on another stream.
  Context(const Context& other, Stream& stream) : plan(other.plan), stream(stream), rows(other.rows), data_(other.data_) {}

  Plan& plan;
  Stream& stream;
  int64_t rows;

  RowPointer at(const mg_view& view) const;
  IdPointer ids(const mg_view& view) const;
  // Elements of a parameter, gradient, state or table view; null for an absent one.
  float* elements(const mg_view& view) const { return view.buffer < 0 ? nullptr : static_cast<float*>(data_[view.buffer]) + view.offset; }

  const float* packed(const Weights& weights) const { return plan.packed.data<float>() + weights.packed; }
  const float* panels(const Weights& weights) const { return plan.packed.data<float>() + weights.panels.packed; }
  // Of a gradient; elements() of its weights apart.
  float* splits(const GradientPlace& gradient) const { return plan.splits_memory.data<float>() + gradient.first; }

  // Read and written by kernels: a graph is replayed with other values.
  const double* scalars() const { return plan.scalars.data<double>(); }
  const double* first_row() const { return plan.scalars.data<double>() + plan.scalar_inputs; }
  const double* scalars_before() const { return first_row() + 1; }
  double* scalars_out() const { return plan.scalars_out.data<double>(); }
  double* partials() const { return plan.partials.data<double>(); }

  // The plan's scratch, as large as this op's scratch_bytes; its values are gone after the op.
  template <class T = void>
  T* scratch() const {
    return plan.scratch.data<T>();
  }

 private:
  void* const* data_;
};

class Op {
 public:
  virtual ~Op() = default;
  // Takes over what `next`, the op after it in the program, does, and returns true; or leaves it alone.
  virtual bool join(Op& /*next*/) { return false; }
  // Called outside a capture whenever row buffers, packed weights, scratch, parameters or tables have got new addresses, or there may be
  // more rows: an op with more pointers than a launch takes as arguments writes them into its tables here.
  virtual void bind(const Context&) {}
  // Asks plan.add_sum for what it adds to scalar outputs, for `rows` rows or fewer. Before bind.
  virtual void add_sums(Plan&, int64_t /*rows*/) {}
  // Of the scratch that all ops share.
  virtual size_t scratch_bytes(const Plan&, int64_t /*rows*/) const { return 0; }
  // Whether a step op has work that needs the row inputs alone; launch_early queues it, beside the row ops. It cannot use the scratch.
  virtual bool starts_early() const { return false; }
  virtual void launch_early(const Context&) const {}
  // Queues the op's kernels. Called while a graph is captured: no host value that changes from run to run may be looked at.
  virtual void launch(const Context& context) const = 0;
};

// Collects ops and weights while a program is compiled.
class PlanBuilder {
 public:
  PlanBuilder(Plan& plan, const mg_program& program);

  // An op's view that it will not read or write. An activation that has no other views gets no memory.
  void unused(const mg_view& view);

  // The same weights are packed once, whoever asks. `rounded`: see Weights.
  Weights& weights(int64_t depth, int64_t columns, std::vector<WeightColumns> parts, int64_t rounded);
  GradientPlace need_gradient(Weights& weights, const mg_view& gradients);
  // Panels too: so many floats of them.
  void need_panels(Weights& weights, Panels panels, int64_t floats);
  void add(std::unique_ptr<Op> op);
  int32_t phase = MG_PHASE_ROWS;  // of the op that is compiled
  // Once, after the last op.
  void finish();

  Plan& plan;

 private:
  std::vector<int64_t> views_;  // of each buffer, of all ops
};

// Lists of a program that an op keeps: they are gone when the plan runs.
inline std::vector<mg_view> kept(const mg_views& list) { return {list.items, list.items + list.count}; }
inline std::vector<int64_t> kept(const mg_ints& list) { return {list.items, list.items + list.count}; }

// Whether they have an element in common. Not for tables.
inline bool overlap(const mg_view& a, const mg_view& b) {
  return a.buffer >= 0 && a.buffer == b.buffer && a.offset < b.offset + b.width && b.offset < a.offset + a.width;
}
template <class Some, class Others>
bool meet(const Some& some, const Others& others) {
  for (const mg_view& a : some)
    for (const mg_view& b : others)
      if (overlap(a, b)) return true;
  return false;
}

// One per op of the list; each adds an Op, or none where there is nothing to do.
#define MG_DECLARE_COMPILE_(name, phase) void compile_op(PlanBuilder& builder, const mg_##name& op);
MG_OPS(MG_DECLARE_COMPILE_)
#undef MG_DECLARE_COMPILE_

// Everything of run(); throws Fault.
void execute(Plan& plan, const mg_run& run);

// Rows of a STORED buffer, [rows, width] without gaps; of a step whose rows have been worked on.
void read_stored(Plan& plan, int32_t buffer, int64_t first_row, int64_t rows, float* to);
void write_stored(Plan& plan, int32_t buffer, int64_t first_row, int64_t rows, const float* from);

// Milliseconds that the device takes for the ops of the run that came last, without copies from or to the host: `repeats` times into
// `milliseconds`, short ones as the mean of a group of replays that follow one another. Returns how many launches they are, fills of memory among
// them.
size_t time_ops(Plan& plan, const mg_run& run, int repeats, double* milliseconds);

// Of the same ops, every kernel by itself, in the order of the launches.
std::vector<KernelTime> profile_ops(Plan& plan, const mg_run& run);

}  // namespace mg_cuda
