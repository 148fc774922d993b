// A compiled program: the arena's layout, packed weights, gradient slots, and the ops with their views resolved.
//
// Block-major: a thread takes a block of rows and runs every rows op on it before it takes the next block. A fixed rule
// assigns blocks to slots. One thread processes a slot's blocks in order. Block rows and slots depend only on the program and
// the number of rows, so a result's bits never depend on threads.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "abi/multigate.h"
#include "cpu/kernels.h"
#include "cpu/team.h"

namespace mg {

// 64-byte aligned floats that only grow. Growing loses the contents.
class Floats {
 public:
  Floats() = default;
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  ~Floats();
  void reserve(int64_t count);
  float* data() const { return data_; }

 private:
  float* data_ = nullptr;
  int64_t count_ = 0;
};

// A resolved row view: the memory of its rows and their stride.
struct Rows {
  enum class Place { kNone, kInput, kOutput, kArena, kScratch, kStored };
  Place place = Place::kNone;
  int32_t buffer = -1;
  int64_t region = 0;  // floats per row before its region; for arena, stored and copied inputs
  int64_t stride = 0;  // floats between rows
  int64_t column = 0;
  int64_t width = 0;
  explicit operator bool() const { return place != Place::kNone; }
};

// The place in a slot of a combined weight matrix's gradient for one GRADIENT buffer.
struct SlotGradient {
  int32_t buffer;
  int64_t at;  // floats before it
};

// The same for one op: the first op of a block starts a slot's sums, later ops add. at -1: the op computes none.
struct GradientPlace {
  int64_t at;
  bool adds;
};

// A combined weight matrix with its packed copies and its places in a slot.
struct PlanWeights {
  Weights weights{};
  std::vector<WeightColumns> parts;
  bool forward = false, backward = false;
  std::vector<SlotGradient> gradients;                   // one per buffer
  int64_t forward_at = 0, backward_at = 0, bias_at = 0;  // in the packed floats
};

// A row input's place in the arena: used if a run picks rows by index, or `always`.
struct CopiedInput {
  int32_t buffer;
  int64_t region, stride;  // floats per row before it, floats between rows
  bool always;
};

// Ids, read by rows ops and step ops. Those of a data set are collected first, [rows, width] in batch order.
struct IdInput {
  int32_t buffer;
  int64_t width, region;  // ids per row, and ids per row before it
  const int32_t* ids;     // the run's ids
};

struct Plan;

// The work of one thread: some rows, its arena, its slot.
struct Block {
  const Plan& plan;
  const mg_run& run;
  int64_t first_row, rows;
  float* arena;
  float* slot;
  bool first_in_slot;
  double* losses;  // [scalar outputs] of this slot

  RowPointer at(const Rows& view) const;  // null data for an absent view; cast ids to int32_t*
  float* fixed(int64_t offset) const;
  WeightGradient gradient(const GradientPlace& place) const {
    if (place.at < 0) return {nullptr, false};
    return {slot + place.at, first_in_slot && !place.adds};
  }
};

class RowsOp {
 public:
  virtual ~RowsOp() = default;
  virtual void run(const Block& block) const = 0;
};

class StepOp {
 public:
  explicit StepOp(mg_phase of) : phase(of) {}
  virtual ~StepOp() = default;
  const mg_phase phase;
  virtual void reserve(const Plan&, int64_t /*rows*/) {}
  // Number of work units that may run during the rows phase.
  virtual int64_t early_units(const Plan&) const { return 0; }
  virtual void early(const Plan&, const mg_run&, int64_t /*unit*/) {}
  virtual void run(Plan& plan, const mg_run& run, Team& team) = 0;
};

struct Plan {
  const Kernels* kernels = nullptr;
  bool bfloat16 = false;
  std::vector<mg_buffer> buffers;
  uint32_t scalar_inputs = 0, scalar_outputs = 0;
  int32_t parameter_buffer = -1;
  bool has_gradients = false;  // a GRADIENT buffer

  std::vector<std::unique_ptr<RowsOp>> rows_ops;
  std::vector<std::unique_ptr<StepOp>> step_ops;
  std::vector<std::unique_ptr<PlanWeights>> weights;

  int64_t block_rows = 0;          // maximum: the arena is laid out for it
  int64_t least_block_rows = 0;    // the smallest block for few rows; equal to block_rows: do not cut
  int64_t arena_row_floats = 0;    // per row of a block
  int64_t arena_fixed_floats = 0;  // per thread
  int64_t scratch_region = 0;
  int64_t stored_row_floats = 0;
  int64_t slot_floats = 0;
  std::vector<CopiedInput> copied_inputs;
  std::vector<IdInput> id_inputs;
  int64_t id_row_width = 0;       // sum over all
  std::vector<Rows> stored_rows;  // by buffer: the place of STORED ones
  int64_t rows = 0;               // of the last step that ran its rows

  std::vector<std::unique_ptr<Floats>> arenas;
  Floats packed, stored, slots, ids;
  std::vector<double> losses;  // [slots][scalar outputs]
  int64_t packed_floats = 0;
  const void* packed_from = nullptr;
  uint64_t packed_version = 0;
  bool is_packed = false;
  std::shared_ptr<Pool> pool;

  int64_t arena_floats() const { return arena_row_floats * block_rows + arena_fixed_floats; }
  int64_t block_rows_for(int64_t rows) const;
  int64_t block_count(int64_t rows) const { return (rows + block_rows_for(rows) - 1) / block_rows_for(rows); }
  int64_t slot_count(int64_t rows) const;
  const int32_t* ids_of(int32_t buffer) const;
};

// Allocates the arena and collects ops while a program is compiled.
class PlanBuilder {
 public:
  explicit PlanBuilder(Plan& plan);
  Rows rows(const mg_view& view);
  const mg_view& ids(const mg_view& view);  // a whole row input
  // The arena region of an opaque buffer (-1: a new one), with `width` floats per row instead of the buffer's width.
  Rows region(int32_t buffer, int64_t width);
  Rows scratch(int64_t width, int64_t in_front = 0);  // shared by all ops, valid within one; in_front: floats per row before it
  // Column counts of a combined weight matrix, total and rounded, are multiples of this.
  int64_t aligned(int64_t columns) const;
  int64_t fixed(int64_t floats);  // a thread's scratch that does not grow with rows
  // Products with the first `rounded` columns use the plan's precision; the others use float32.
  PlanWeights& weights(int64_t depth, int64_t columns, std::vector<WeightColumns> parts, int64_t rounded);
  GradientPlace need_gradient(PlanWeights& weights, const mg_view& gradients);
  // The place of a dropout's bits, and whether an earlier op with the same numbers drew them.
  std::pair<Rows, bool> dropout_bits(const mg_dropout& op);
  void add(std::unique_ptr<RowsOp> op) { plan.rows_ops.push_back(std::move(op)); }
  void add(std::unique_ptr<StepOp> op) { plan.step_ops.push_back(std::move(op)); }
  void finish();

  Plan& plan;

 private:
  std::vector<Rows> regions_;  // by buffer number
  std::vector<std::pair<mg_dropout, Rows>> dropouts_;
  std::unordered_multimap<int64_t, size_t> weights_at_;  // indices in plan.weights, by the store offset of their first columns
  int64_t scratch_width_ = 0;
};

inline float* bound(const mg_run& run, const mg_view& view) {
  return view.buffer < 0 ? nullptr : static_cast<float*>(run.data[view.buffer]) + view.offset;
}

// Cuts [0, count) into units of about `size` and returns the bounds of one.
inline std::pair<int64_t, int64_t> unit_range(int64_t unit, int64_t units, int64_t count) {
  return {unit * count / units, (unit + 1) * count / units};
}

// One function per op of the list; each adds its RowsOp or StepOp.
#define MG_DECLARE_COMPILE_(name, phase) void compile_op(PlanBuilder& builder, const mg_##name& op);
MG_OPS(MG_DECLARE_COMPILE_)
#undef MG_DECLARE_COMPILE_

// run() without the argument checks. Throws std::bad_alloc.
void execute(Plan& plan, const mg_run& run);

// Row `row` of a STORED buffer of the last step that began, and the floats between rows.
RowPointer stored_at(const Plan& plan, int32_t buffer, int64_t row);

}  // namespace mg
