// A compiled program with the memory bound to it, and one step of it, or some that follow each other.
//
// A Plan runs one Step at a time: made and destroyed on the environment's thread (where it marks plan,
// memories and columns as in use), filled from host arrays, and executed on any one thread. Between making and destroying
// nothing else may use the plan's scratch buffers, which is why they need no lock and are never allocated per step.
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
  bool emulated;  // of the precision
  std::string isa;
};

class Plan {
 public:
  /// Validates and compiles. isa: empty for MULTIGATE_CPU_ISA, or the best where that is not set.
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

  /// Its owner lets go of it: a step that is open goes no further.
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

  // Scratch of the step under way.
  std::vector<void*> data_;                  // per buffer: what mg_run.data is
  std::vector<char> complete_;               // per buffer: its rows are known to have no NaN
  std::vector<std::shared_ptr<void>> held_;  // per buffer: the block, while the step needs it
  std::vector<AlignedBuffer> copies_;        // per buffer: copied inputs and native outputs
  std::vector<double> scalars_in_;           // step after step
  std::vector<double> scalars_out_;          // the same; of a step the program's, then its denominators
  std::vector<int32_t> row_index_;           // of a step that is open
};

class Step {
 public:
  /// Marks everything in use. steps: how many follow each other, each of `rows` rows of columns; programs with row outputs do one at a time.
  /// @throws Failure (argument, busy, disposed).
  Step(std::shared_ptr<Plan> plan, int64_t rows, int threads, int64_t steps = 1);
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  ~Step();

  int64_t rows() const noexcept { return rows_; }
  /// Elements of a row buffer for this step's rows.
  int64_t elements(int32_t buffer) const { return rows_ * plan_->buffer(buffer).width; }

  // Every row input by one of: a float array read in place until execute() returns, a copy, or all from columns.
  void borrow_input(int32_t buffer, const float* data) noexcept;
  void copy_input(int32_t buffer, const void* data, const std::string& name);
  void use_columns(std::shared_ptr<Columns> columns, const std::vector<int64_t>& column_of, int64_t start, bool shuffled, mg_data_place place);

  // Every row output by one of: an array written in place, or a native buffer to copy from afterwards.
  void borrow_output(int32_t buffer, void* data) noexcept;
  void own_output(int32_t buffer);
  const void* output(int32_t buffer) const noexcept { return plan_->data_[static_cast<size_t>(buffer)]; }

  /// All scalar inputs, step after step.
  /// @throws Failure where one that counts a dropout's steps is no whole number of them.
  void set_scalars(const double* values);
  /// Of the steps that were done, one after the other: scalar outputs, then denominators, each in the program's order, a loss beside what
  /// it was divided by.
  const std::vector<double>& results() const noexcept { return plan_->scalars_out_; }

  /// No step begins later than this after the first one.
  void set_limit(std::chrono::milliseconds limit) noexcept { limit_ = limit; }
  /// From any thread: others wait. No step begins later than kTurn after the first one.
  void give_way() noexcept { others_wait_.store(true, std::memory_order_relaxed); }

  /// Runs the steps on this thread, the first one in any case. @throws Failure.
  void execute();

 private:
  friend class OpenStep;

  static constexpr std::chrono::milliseconds kTurn{10};

  /// Of the memories that are bound. @throws Failure (argument, busy, disposed).
  void check_memories() const;
  /// Marks them as in use, or no longer. Where check_memories() has passed.
  void hold() noexcept;
  void release() noexcept;
  bool over(std::chrono::steady_clock::duration taken) const noexcept;
  void execute_one(int64_t step);
  /// Of the columns, that follow this step's.
  int64_t next_rows() const noexcept { return std::min(rows_, columns_->rows() - first_of_columns_ - rows_); }
  /// What no op writes of row outputs is zero.
  void clear_outputs() noexcept;
  /// Phases [first, last] of a step whose denominators are there.
  void run_phases(double* scalars_in, double* scalars_out, mg_phase first, mg_phase last);
  void compute_denominators(double* scalars_in, double* results) noexcept;
  void advance() noexcept;

  std::shared_ptr<Plan> plan_;
  std::shared_ptr<Columns> columns_;
  int64_t rows_;
  int64_t steps_;
  int threads_;
  bool holds_ = false;  // the memories
  std::chrono::milliseconds limit_ = std::chrono::hours(24);
  std::atomic<bool> others_wait_{false};
  int64_t first_of_columns_ = 0;
  mg_data_place data_place_ = MG_DATA_AUTO;
  const int32_t* row_index_ = nullptr;
};

}  // namespace multigate
