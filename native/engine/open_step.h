// A step that is run phase by phase: between two phases its gradients can be read and written, and the memories are free.
//
// Made of a Step that is filled, on the environment's thread, where everything but execute() is called. It keeps what the step has of the
// plan and the columns; the memories it uses only from begin() to end_run().
#pragma once

#include <memory>
#include <vector>

#include "engine/plan.h"

namespace multigate {

class OpenStep {
 public:
  /// Computes the denominators. @throws Failure (argument) for a program with row outputs.
  explicit OpenStep(std::unique_ptr<Step> step);
  OpenStep(const OpenStep&) = delete;
  OpenStep& operator=(const OpenStep&) = delete;

  const Plan& plan() const noexcept { return *step_->plan_; }

  /// Of phases [first, last]: the next one and those after it. @throws Failure (argument, busy, disposed); then nothing has changed.
  void begin(int64_t first, int64_t last);
  /// What begin() has named, on any thread. @throws Failure: no later phase can be run.
  void execute();
  /// After execute(), whether it has thrown or not; execute() need not have been called.
  void end_run() noexcept;

  /// What losses are divided by, in the program's order.
  std::vector<double> denominators() const;
  /// Instead of those that the rows give. Before 'rows' is run. @throws Failure (argument, busy).
  void set_denominators(const double* values, int64_t count);
  /// Scalar outputs so far, then denominators. @throws Failure (busy).
  const std::vector<double>& results() const;

  // Rows of a stored buffer, between the phases 'rows' and 'tables'. Elements are of the backend's type.
  /// How many numbers the rows are. @throws Failure (argument, busy, disposed).
  int64_t stored_elements(int64_t buffer, int64_t first_row, int64_t rows) const;
  void read_stored(int64_t buffer, int64_t first_row, int64_t rows, void* to);
  void write_stored(int64_t buffer, int64_t first_row, int64_t rows, const void* from);

  /// @throws Failure (busy) while phases are run.
  void check_idle() const;

 private:
  void check_live() const;

  std::unique_ptr<Step> step_;
  mg_phase first_ = MG_PHASE_ROWS, last_ = MG_PHASE_ROWS;  // under way
  int next_ = MG_PHASE_ROWS;
  bool running_ = false, failed_ = false;
};

}  // namespace multigate
