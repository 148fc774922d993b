// A compiled program on the device: its buffers, combined weights, ops with their launches, and graphs.
//
// Op-major: each op is one or a few launches over all rows. A run is captured as a graph once per number of rows and set of memories, then
// replayed. So the host must not use values that change between runs while it captures. Kernels read scalars from device memory, and the
// graph's own copies read inputs from pinned memory.
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

// Row strides of the backend's own row buffers, and column counts of combined weights, are multiples of 4 floats: 16 bytes.
inline int64_t padded(int64_t count) { return (count + 3) / 4 * 4; }
inline int64_t blocks_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

// How a product is computed; see ops/product.h.
enum class Precision { kFloat32, kTf32, kBfloat16 };

// Rows of a view on the device: column 0 of row 0, and the elements between rows. data is null for an absent view.
struct RowPointer {
  float* data;
  int64_t stride;
};
struct IdPointer {
  const int32_t* data;
  int64_t stride;
};

// Consecutive columns of a combined weight matrix that are side by side in the flat store.
struct WeightColumns {
  int64_t column, count;
  int64_t offset, stride;  // offset of row 0 in the flat store, and elements between rows there
  int64_t bias;            // offset of the first column's bias; -1: none
  int64_t place = 0;       // place of the first column among the panels' columns, if there are panels
};

// A second copy of combined weights, for mixtures: panels of 8 columns as in ops/panels.h, first those in the plan's precision.
struct Panels {
  int64_t packed = -1;      // floats before it in the packed memory; -1: none
  int64_t rounded = 0;      // number of panels in the plan's precision
  int64_t parts_apart = 0;  // cores: other panels have several parts; the rounding remainder of a panel is this many panels later
  bool cores = false;       // made of cores, bfloat16
};

// The place of a gradient's splits for one GRADIENT buffer.
struct SplitGradient {
  int32_t buffer;
  int64_t first;  // floats before the first split in the memory of all splits
};

// The same for one op: the first op of a buffer writes the splits, later ops add.
struct GradientPlace {
  int64_t first;  // -1: the op computes none
  bool adds;
};

// A dense layer's weights, or those of all experts and gates of one stream, as one matrix. The packed copy on the device is
// [depth + 1, columns]; its last row is the bias, and columns without a part are zero. A gradient has up to `splits` matrices of that
// shape, each the sum over a share of the rows, because few tiles would leave multiprocessors idle.
struct Weights {
  int64_t depth, columns;  // columns: padded
  int64_t rounded;         // products with the first `rounded` columns use the plan's precision, the others float32
  std::vector<WeightColumns> parts;
  int64_t packed = 0;                    // floats before it in the packed memory
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

// A part of the combined weights, for kernels.
struct PackedPart {
  int64_t depth, columns, packed, split, splits;  // of its matrix, as in Weights; split: of a gradient
  WeightColumns part;
  Panels panels;
};

// The phases of a step that a run executes.
struct Phases {
  int32_t first, last;
  bool has(int32_t phase) const { return first <= phase && phase <= last; }
  bool operator==(const Phases& other) const { return first == other.first && last == other.last; }
};

// Partial sums [first, first + count) of plan.partials make a part of a scalar output, divided by a scalar input (-1: not divided).
struct ScalarSum {
  int64_t output, denominator, first, count;
  int32_t phase;  // phase of the op that writes them
};

class Op;
struct Pointwise;

struct Plan {
  int device = 0;
  std::string device_name;
  std::vector<mg_buffer> buffers;
  uint32_t scalar_inputs = 0, scalar_outputs = 0;
  int32_t parameter_buffer = -1;
  Precision precision = Precision::kFloat32;

  std::vector<std::unique_ptr<Op>> ops;
  std::vector<int32_t> phases;  // phases of the ops, ascending
  bool divisible = true;        // only scalars are summed over rows and nothing is updated: a large run may be split
  std::deque<Weights> weights;
  int64_t packed_floats = 0, split_floats = 0;
  Table<PackedPart> parts;  // parts of all weights
  int64_t part_count = 0;

  // Places in plan.scalars.
  size_t scalar_count() const { return size_t{scalar_inputs} + 1 + scalar_outputs; }

  // Number of gradient splits that a run of this many rows fills: for these weights, or the maximum. Depends only on the plan and the rows.
  int64_t splits(const Weights& weights, int64_t rows) const { return std::min(weights.splits, most_splits(rows)); }
  int64_t most_splits(int64_t rows) const;
  // The number of rows that a run of `rows` computes. If rows have nothing in common, the next of a few numbers, so that runs of all sizes share
  // graphs: the rows that are added have inputs of the last row, and no outputs.
  int64_t computed_rows(int64_t rows) const;
  int64_t stride(int32_t buffer) const;
  size_t row_bytes(size_t buffer) const { return static_cast<size_t>(stride(static_cast<int32_t>(buffer))) * sizeof(float); }
  // The stride of a row input's rows on the host.
  size_t host_row_bytes(const mg_run& run, size_t buffer) const {
    return run.row_stride != 0 ? static_cast<size_t>(run.row_stride) * 4 : row_bytes(buffer);
  }
  bool is_input(size_t buffer) const { return buffers[buffer].buffer_class == MG_ROW_INPUT; }
  bool is_output(size_t buffer) const { return buffers[buffer].buffer_class == MG_ROW_OUTPUT; }
  // Whether the buffer has rows in device memory: a row buffer that ops read or write.
  bool has_rows(size_t buffer) const { return buffers[buffer].buffer_class <= MG_STORED && !unused[buffer]; }
  std::vector<bool> unused;  // by buffer

  // Reserves `count` partial sums of a scalar output and returns the first one's place. Op::add_sums calls it.
  int64_t add_sum(int64_t output, int64_t denominator, int64_t count);
  int32_t summing_phase = 0;  // phase of the current op

  // Device memory for `capacity` rows, one allocation per buffer.
  int64_t capacity = 0;
  std::vector<std::unique_ptr<DeviceMemory>> regions;                 // by buffer; null without has_rows
  std::vector<std::unique_ptr<PinnedMemory>> staging;                 // by buffer: row outputs
  DeviceMemory packed, splits_memory, scratch, scalars, scalars_out;  // scalars: inputs, first_row, then what outputs begin with
  std::vector<ScalarSum> sums;
  Table<ScalarSum> sums_table;
  DeviceMemory partials;
  int64_t partial_count = 0;
  DeviceMemory row_numbers;  // int32 [rows]: row numbers in a data set on the device
  PinnedMemory staged_scalars, staged_scalars_out, staged_row_numbers;
  uint64_t packed_version = 0;
  const void* packed_from = nullptr;

  // Double buffer for rows from the host: one batch is processed while the next one arrives. See data_sets.h.
  struct Arrival {
    PinnedMemory staged;
    DeviceMemory device;    // the inputs one after another, as staged
    uint64_t data_set = 0;  // the data set of these rows; 0: they may change
    std::vector<const void*> columns;
    std::vector<int64_t> numbers;
  };
  Arrival arrivals[2];
  int arrived = 0;                    // the arrival that a run reads
  uint64_t not_kept = 0;              // a data set that did not fit on the device
  std::vector<const void*> row_from;  // where the device reads this run's rows: the kept column of each input, or the arrival

  // Addresses of parameters, moments and tables that ops and graphs use.
  std::vector<void*> memories;

  struct Captured {
    int64_t rows;
    bool packs;
    Phases phases;
    bool resident;  // rows are gathered from kept columns; else placed from an arrival
    std::vector<const void*> row_from;
    Graph graph;
  };
  std::vector<Captured> graphs;  // the last one was used last
  std::unique_ptr<Stream> stream, side, copies;  // side: work that starts early; copies: arriving rows
};

// The context that an op needs to launch its kernels for one number of rows.
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
  // Elements of a parameter, gradient, state or table view; null for an absent view.
  float* elements(const mg_view& view) const { return view.buffer < 0 ? nullptr : static_cast<float*>(data_[view.buffer]) + view.offset; }

  const float* packed(const Weights& weights) const { return plan.packed.data<float>() + weights.packed; }
  const float* panels(const Weights& weights) const { return plan.packed.data<float>() + weights.panels.packed; }
  // The first split of a gradient. Splits are elements() of its weights apart.
  float* splits(const GradientPlace& gradient) const { return plan.splits_memory.data<float>() + gradient.first; }

  // Only kernels may read and write these: a replayed graph has other values.
  const double* scalars() const { return plan.scalars.data<double>(); }
  const double* first_row() const { return plan.scalars.data<double>() + plan.scalar_inputs; }
  const double* scalars_before() const { return first_row() + 1; }
  double* scalars_out() const { return plan.scalars_out.data<double>(); }
  double* partials() const { return plan.partials.data<double>(); }

  // The plan's scratch, as large as this op's scratch_bytes. Its values are lost after the op.
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
  // Takes over the work of `next`, the following op, and returns true; or returns false.
  virtual bool join(Op& /*next*/) { return false; }
  // The same for work on single elements.
  virtual bool fuse(const Pointwise& /*next*/) { return false; }
  // Called outside a capture when row buffers, packed weights, scratch, parameters or tables have new addresses, or rows may have grown.
  // An op with more pointers than a launch takes as arguments writes them into its tables here.
  virtual void bind(const Context&) {}
  // Calls plan.add_sum for each scalar output that it adds to, for at most `rows` rows. Called before bind.
  virtual void add_sums(Plan&, int64_t /*rows*/) {}
  // Bytes it needs of the scratch that all ops share.
  virtual size_t scratch_bytes(const Plan&, int64_t /*rows*/) const { return 0; }
  // Whether a step op has work that needs only the row inputs. launch_early queues it in parallel to the row ops. It cannot use the scratch.
  virtual bool starts_early() const { return false; }
  virtual void launch_early(const Context&) const {}
  // Queues the op's kernels. Called during a capture: do not read host values that change between runs.
  virtual void launch(const Context& context) const = 0;
};

// Collects ops and weights during compilation.
class PlanBuilder {
 public:
  PlanBuilder(Plan& plan, const mg_program& program);

  // Marks a view that the op will not read or write. An activation without other views gets no memory.
  void unused(const mg_view& view);

  // Packs the same weights only once. `rounded`: see Weights.
  Weights& weights(int64_t depth, int64_t columns, std::vector<WeightColumns> parts, int64_t rounded);
  GradientPlace need_gradient(Weights& weights, const mg_view& gradients);
  // Also panels: this many floats.
  void need_panels(Weights& weights, Panels panels, int64_t floats);
  void add(std::unique_ptr<Op> op);
  // Whether the op before does the work too.
  bool fuse(const Pointwise& work);
  // Whether nothing reads the view after the op that is being compiled.
  bool is_last_use(const mg_view& view) const;
  int32_t phase = MG_PHASE_ROWS;  // phase of the op that is being compiled
  uint32_t number = 0;            // of that op in the program
  // Call it once, after the last op.
  void finish();

  Plan& plan;

 private:
  std::vector<int64_t> views_;      // per buffer: number of views in all ops
  std::vector<uint32_t> last_use_;  // per buffer: number of the last op with a view
};

// Copies of program lists that an op keeps: the program is gone when the plan runs.
inline std::vector<mg_view> kept(const mg_views& list) { return {list.items, list.items + list.count}; }
inline std::vector<int64_t> kept(const mg_ints& list) { return {list.items, list.items + list.count}; }

inline bool same_view(const mg_view& a, const mg_view& b) { return a.buffer == b.buffer && a.offset == b.offset && a.width == b.width; }

// Whether they share an element. Not for tables.
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

// One function per op of the list; each adds an Op, or none if there is nothing to do.
#define MG_DECLARE_COMPILE_(name, phase) void compile_op(PlanBuilder& builder, const mg_##name& op);
MG_OPS(MG_DECLARE_COMPILE_)
#undef MG_DECLARE_COMPILE_

// The whole of run(). Throws Fault.
void execute(Plan& plan, const mg_run& run);

// Rows of a STORED buffer, [rows, width] without gaps, of a step that has run its rows phase.
void read_stored(Plan& plan, int32_t buffer, int64_t first_row, int64_t rows, float* to);
void write_stored(Plan& plan, int32_t buffer, int64_t first_row, int64_t rows, const float* from);

// Times the ops of the last run on the device in milliseconds, without copies from or to the host. Writes `repeats` times into
// `milliseconds`; a short time is the mean of several replays in a row. Returns the number of launches, including memory fills.
size_t time_ops(Plan& plan, const mg_run& run, int repeats, double* milliseconds);

// Times every kernel of the same ops by itself, in launch order.
std::vector<KernelTime> profile_ops(Plan& plan, const mg_run& run);

}  // namespace mg_cuda
