// A step that runs phase by phase. Between phases the caller can read and write its gradients, and the memories are free.
//
// Made from a filled Step. Call everything but execute() on the environment's thread. It holds the step's plan and columns
// throughout, but the memories only from begin() to end_run().
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

  /// Begins phases [first, last]; first must be the next one. @throws Failure (argument, busy, disposed) and changes nothing then.
  void begin(int64_t first, int64_t last);
  /// Runs the phases that begin() named, on any thread. @throws Failure; then no later phase can run.
  void execute();
  /// Call it after execute(), even if that threw or was never called.
  void end_run() noexcept;

  /// The divisors of losses, in the program's order.
  std::vector<double> denominators() const;
  /// Replaces those computed from the rows. Call it before 'rows' runs. @throws Failure (argument, busy).
  void set_denominators(const double* values, int64_t count);
  /// Replaces the scalar inputs from `first` on, which must be weights, for the phases to come. @throws Failure (argument, busy).
  void set_weights(int64_t first, const double* values, int64_t count);
  /// Scalar outputs so far, then denominators. @throws Failure (busy).
  const std::vector<double>& results() const;

  // Rows of a stored buffer, between the phases 'rows' and 'tables'. Elements have the backend's type.
  /// The number of elements in the rows. @throws Failure (argument, busy, disposed).
  int64_t stored_elements(int64_t buffer, int64_t first_row, int64_t rows) const;
  void read_stored(int64_t buffer, int64_t first_row, int64_t rows, void* to);
  void write_stored(int64_t buffer, int64_t first_row, int64_t rows, const void* from);

  /// @throws Failure (busy) while phases run.
  void check_idle() const;

 private:
  void check_live() const;

  std::unique_ptr<Step> step_;
  mg_phase first_ = MG_PHASE_ROWS, last_ = MG_PHASE_ROWS;  // running now
  int next_ = MG_PHASE_ROWS;
  bool running_ = false, failed_ = false;
};

}  // namespace multigate
