// A compiled program: the arena's layout, packed weights, gradient slots, and the ops with their views resolved.
//
// Block-major: a thread takes a block of rows and runs every rows op on it before it takes the next block. Blocks are dealt
// to slots by a fixed rule; a slot's blocks are worked in order by one thread. Block rows and slots depend on the program and
// the number of rows: so the bits of a result never depend on threads.
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

// 64-byte aligned floats that only grow; what they held is lost when they do.
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

// A row view, resolved: which memory its rows lie in and how far apart they are.
struct Rows {
  enum class Place { kNone, kInput, kOutput, kArena, kScratch, kStored };
  Place place = Place::kNone;
  int32_t buffer = -1;
  int64_t region = 0;  // floats per row in front of its region: arena and stored, and inputs once they are copied
  int64_t stride = 0;  // floats between rows
  int64_t column = 0;
  int64_t width = 0;
  explicit operator bool() const { return place != Place::kNone; }
};

// Where the gradient of a combined weight matrix for one GRADIENT buffer lies in a slot.
struct SlotGradient {
  int32_t buffer;
  int64_t at;  // floats in front of it
};

// The same as an op sees it: the first op of a block begins a slot's sums, those after it add.
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

// A row input's place in the arena: taken where a run picks rows by index, or `always`.
struct CopiedInput {
  int32_t buffer;
  int64_t region, stride;  // floats per row in front of it, floats between rows
  bool always;
};

// Ids are read by rows ops and by step ops. Those of a data set are brought together first, [rows, width] in the order of the batch.
struct IdInput {
  int32_t buffer;
  int64_t width, region;  // ids per row, and those in front of it
  const int32_t* ids;     // of the run
};

struct Plan;

// What one thread works on: some rows, its arena, its slot.
struct Block {
  const Plan& plan;
  const mg_run& run;
  int64_t first_row, rows;
  float* arena;
  float* slot;
  bool first_in_slot;
  double* losses;  // [scalar outputs] of this slot

  RowPointer at(const Rows& view) const;  // null data for an absent view; ids: to be cast to int32_t*
  float* fixed(int64_t offset) const;
  WeightGradient gradient(const GradientPlace& place) const { return {slot + place.at, first_in_slot && !place.adds}; }
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
  // Work that may be done while rows are being worked on: units of it.
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

  int64_t block_rows = 0;          // at most: the arena is laid out for so many
  int64_t least_block_rows = 0;    // few rows are cut into blocks of as few; block_rows: into none
  int64_t arena_row_floats = 0;    // per row of a block
  int64_t arena_fixed_floats = 0;  // per thread
  int64_t scratch_region = 0;
  int64_t stored_row_floats = 0;
  int64_t slot_floats = 0;
  std::vector<CopiedInput> copied_inputs;
  std::vector<IdInput> id_inputs;
  int64_t id_row_width = 0;       // of all of them
  std::vector<Rows> stored_rows;  // by buffer: where STORED ones lie
  int64_t rows = 0;               // of the step whose rows were worked on last

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

// Hands out the arena and collects ops while a program is compiled.
class PlanBuilder {
 public:
  explicit PlanBuilder(Plan& plan);
  Rows rows(const mg_view& view);
  const mg_view& ids(const mg_view& view);  // a whole row input
  // The arena region that an opaque buffer names (-1: a new one), `width` floats per row instead of the buffer's own.
  Rows region(int32_t buffer, int64_t width);
  Rows scratch(int64_t width, int64_t in_front = 0);  // shared by all ops, holds its values within one; floats per row before it
  // Columns of a combined weight matrix come in multiples of so many, and so do those that are rounded.
  int64_t aligned(int64_t columns) const;
  int64_t fixed(int64_t floats);  // scratch of a thread that does not grow with rows
  // The first `rounded` columns take part in products in the plan's precision; the others in float32.
  PlanWeights& weights(int64_t depth, int64_t columns, std::vector<WeightColumns> parts, int64_t rounded);
  GradientPlace need_gradient(PlanWeights& weights, const mg_view& gradients);
  // Where a dropout keeps its bits, and whether an op before it with the same numbers has drawn them.
  std::pair<Rows, bool> dropout_bits(const mg_dropout& op);
  void add(std::unique_ptr<RowsOp> op) { plan.rows_ops.push_back(std::move(op)); }
  void add(std::unique_ptr<StepOp> op) { plan.step_ops.push_back(std::move(op)); }
  void finish();

  Plan& plan;

 private:
  std::vector<Rows> regions_;  // by buffer number
  std::vector<std::pair<mg_dropout, Rows>> dropouts_;
  std::unordered_multimap<int64_t, size_t> weights_at_;  // numbers in plan.weights, by where their first columns lie in the store
  int64_t scratch_width_ = 0;
};

inline float* bound(const mg_run& run, const mg_view& view) {
  return view.buffer < 0 ? nullptr : static_cast<float*>(run.data[view.buffer]) + view.offset;
}

// Cuts [0, count) into units of about `size`; the bounds of one.
inline std::pair<int64_t, int64_t> unit_range(int64_t unit, int64_t units, int64_t count) {
  return {unit * count / units, (unit + 1) * count / units};
}

// One per op of the list; each adds its RowsOp or StepOp.
#define MG_DECLARE_COMPILE_(name, phase) void compile_op(PlanBuilder& builder, const mg_##name& op);
MG_OPS(MG_DECLARE_COMPILE_)
#undef MG_DECLARE_COMPILE_

// Everything of run() but the argument checks; throws std::bad_alloc.
void execute(Plan& plan, const mg_run& run);

// Row `row` of a STORED buffer of the step that was begun last, and the floats between rows.
RowPointer stored_at(const Plan& plan, int32_t buffer, int64_t row);

}  // namespace mg
