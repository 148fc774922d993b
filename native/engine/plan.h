// A compiled program with the memory bound to it, and its steps: one, or several in a row.
//
// A Plan runs one Step at a time. A Step is made and destroyed on the environment's thread, where it marks plan, memories and
// columns as in use. It is filled from host arrays and executed on any one thread. While it exists nothing else may use the
// plan's scratch buffers, so they need no lock and no step allocates them.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/aligned.h"
#include "engine/columns.h"
#include "engine/failure.h"
#include "engine/memory.h"
#include "engine/program.h"

namespace multigate {

struct PlanInfo {
  int64_t block_rows, slots, arena_bytes, stored_bytes;
  bool emulated;  // the precision is emulated
  std::string isa;
};

class Plan {
 public:
  /// Validates and compiles. isa: empty for MULTIGATE_CPU_ISA, or for the best if that is not set.
  Plan(const mg_backend& backend, const Program& program, const std::string& isa, mg_precision precision);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  const mg_backend& backend() const noexcept { return backend_; }
  const ProgramFacts& facts() const noexcept { return facts_; }
  const mg_buffer& buffer(int32_t number) const { return buffers_[static_cast<size_t>(number)]; }
  uint32_t scalar_inputs() const noexcept { return scalar_inputs_; }

  void bind(int64_t buffer, std::shared_ptr<Memory> memory);
  PlanInfo info(int64_t rows) const;
  void check_rows(int64_t rows) const;

  /// Its owner releases it: an open step cannot continue.
  void retire() noexcept { retired_ = true; }
  bool retired() const noexcept { return retired_; }

 private:
  friend class Step;
  friend class OpenStep;

  size_t results_of_step() const noexcept { return scalar_outputs_ + denominators_.size(); }

  const mg_backend& backend_;
  std::vector<mg_buffer> buffers_;
  std::vector<mg_denominator> denominators_;
  ProgramFacts facts_;
  uint32_t scalar_inputs_, scalar_outputs_;
  mg_plan* plan_ = nullptr;
  std::vector<std::shared_ptr<Memory>> memories_;  // per buffer
  bool busy_ = false, retired_ = false;

  // Scratch of the current step.
  std::vector<void*> data_;                  // per buffer: mg_run.data
  std::vector<char> complete_;               // per buffer: its rows are known to have no NaN
  std::vector<std::shared_ptr<void>> held_;  // per buffer: the block, while the step needs it
  std::vector<AlignedBuffer> copies_;        // per buffer: copied inputs and native outputs
  std::vector<double> scalars_in_;           // of all steps, in order
  std::vector<double> scalars_out_;          // of all steps; for each the program's, then its denominators
  std::vector<int32_t> row_index_;           // of an open step
};

class Step {
 public:
  /// Marks everything as in use. steps: number of steps in a row, each of `rows` rows of columns; 1 for programs with row outputs.
  /// @throws Failure (argument, busy, disposed).
  Step(std::shared_ptr<Plan> plan, int64_t rows, int threads, int64_t steps = 1);
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  ~Step();

  int64_t rows() const noexcept { return rows_; }
  /// Elements of a row buffer for this step's rows.
  int64_t elements(int32_t buffer) const { return rows_ * plan_->buffer(buffer).width; }

  // Set every row input: a float array read in place until execute() returns, a copy, or all from columns.
  void borrow_input(int32_t buffer, const float* data) noexcept;
  void copy_input(int32_t buffer, const void* data, const std::string& name);
  void use_columns(std::shared_ptr<Columns> columns, const std::vector<int64_t>& column_of, int64_t start, bool shuffled, mg_data_place place);

  // Set every row output: an array written in place, or a native buffer to copy from afterwards.
  void borrow_output(int32_t buffer, void* data) noexcept;
  void own_output(int32_t buffer);
  const void* output(int32_t buffer) const noexcept { return plan_->data_[static_cast<size_t>(buffer)]; }

  /// All scalar inputs of all steps, in order.
  /// @throws Failure if a dropout's step is not an integer.
  void set_scalars(const double* values);
  /// For each step that ran: scalar outputs, then denominators, each in the program's order. So each loss comes with its
  /// divisor.
  const std::vector<double>& results() const noexcept { return plan_->scalars_out_; }

  /// No step begins later than this after the first one.
  void set_limit(std::chrono::milliseconds limit) noexcept { limit_ = limit; }
  /// Call it from any thread to say that others wait. Then no step begins later than kTurn after the first one.
  void give_way() noexcept { others_wait_.store(true, std::memory_order_relaxed); }

  /// Runs the steps on this thread, always at least the first. @throws Failure.
  void execute();

 private:
  friend class OpenStep;

  static constexpr std::chrono::milliseconds kTurn{10};

  /// Checks the bound memories. @throws Failure (argument, busy, disposed).
  void check_memories() const;
  /// Marks them as in use or free, after check_memories().
  void hold() noexcept;
  void release() noexcept;
  bool over(std::chrono::steady_clock::duration taken) const noexcept;
  void execute_one(int64_t step);
  /// Rows of the columns that follow this step's.
  int64_t next_rows() const noexcept { return std::min(rows_, columns_->rows() - first_of_columns_ - rows_); }
  /// Clears the columns of row outputs that no op writes.
  void clear_outputs() noexcept;
  /// Runs phases [first, last] of a step whose denominators are known.
  void run_phases(double* scalars_in, double* scalars_out, mg_phase first, mg_phase last);
  void compute_denominators(double* scalars_in, double* results) noexcept;
  void advance() noexcept;

  std::shared_ptr<Plan> plan_;
  std::shared_ptr<Columns> columns_;
  int64_t rows_;
  int64_t steps_;
  int threads_;
  bool holds_ = false;  // whether it holds the memories
  std::chrono::milliseconds limit_ = std::chrono::hours(24);
  std::atomic<bool> others_wait_{false};
  int64_t first_of_columns_ = 0;
  mg_data_place data_place_ = MG_DATA_AUTO;
  const int32_t* row_index_ = nullptr;
};

}  // namespace multigate
