// Steps in phases; see open_step.h.
#include "engine/open_step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace multigate {

OpenStep::OpenStep(std::unique_ptr<Step> step) : step_(std::move(step)) {
  Plan& plan = *step_->plan_;
  if (!plan.facts_.row_outputs.empty()) {
    throw Failure(Code::argument, "this program has row outputs, expected none for a step in phases; use run()");
  }
  if (step_->row_index_ != nullptr) {  // the columns may be shuffled again before the last phase
    plan.row_index_.assign(step_->row_index_, step_->row_index_ + step_->rows_ + step_->next_rows());
    step_->row_index_ = plan.row_index_.data();
  }
  std::fill(plan.scalars_out_.begin(), plan.scalars_out_.end(), 0.0);
  step_->compute_denominators(plan.scalars_in_.data(), plan.scalars_out_.data() + plan.scalar_outputs_);
  step_->release();
}

void OpenStep::check_live() const {
  if (plan().retired()) throw Failure(Code::disposed, "the Plan of this Step was disposed");
}

void OpenStep::check_idle() const {
  if (running_) throw Failure(Code::busy, "this Step is running; wait for the run to end");
}

void OpenStep::begin(int64_t first, int64_t last) {
  check_live();
  check_idle();
  if (failed_) throw Failure(Code::argument, "a phase of this Step has failed, expected end()");
  if (next_ == MG_PHASE_COUNT) throw Failure(Code::argument, "all phases of this Step were run, expected end()");
  if (first != next_) {
    throw Failure(Code::argument, text_of("first is '", phase_name(first), "', expected '", phase_name(next_), "', the next phase of this Step"));
  }
  if (last < first) {
    throw Failure(Code::argument, text_of("last is '", phase_name(last), "', expected '", phase_name(first), "' or a phase after it"));
  }
  step_->check_memories();
  step_->hold();
  first_ = static_cast<mg_phase>(first), last_ = static_cast<mg_phase>(last);
  running_ = true;
  failed_ = true;  // until execute() succeeds
}

void OpenStep::execute() {
  Plan& plan = *step_->plan_;
  step_->run_phases(plan.scalars_in_.data(), plan.scalars_out_.data(), first_, last_);
  failed_ = false;
}

void OpenStep::end_run() noexcept {
  step_->release();
  running_ = false;
  next_ = last_ + 1;
}

std::vector<double> OpenStep::denominators() const {
  const Plan& plan = *step_->plan_;
  std::vector<double> values;
  for (const mg_denominator& d : plan.denominators_) values.push_back(plan.scalars_in_[static_cast<size_t>(d.scalar)]);
  return values;
}

void OpenStep::set_denominators(const double* values, int64_t count) {
  check_live();
  check_idle();
  Plan& plan = *step_->plan_;
  const auto expected = static_cast<int64_t>(plan.denominators_.size());
  if (count != expected) throw Failure(Code::argument, text_of("denominators has length ", count, ", expected ", expected));
  if (next_ != MG_PHASE_ROWS)
    throw Failure(Code::argument, "denominators were set after 'rows', expected before it; set them before the first phase runs");
  for (int64_t k = 0; k < count; ++k) {
    if (!(values[k] >= 0 && std::isfinite(values[k]))) {
      throw Failure(Code::argument, text_of("denominators[", k, "] is ", values[k], ", expected a finite number, 0 or more"));
    }
  }
  double* result = plan.scalars_out_.data() + plan.scalar_outputs_;
  for (const mg_denominator& d : plan.denominators_) plan.scalars_in_[static_cast<size_t>(d.scalar)] = *result++ = *values++;
}

void OpenStep::set_weights(int64_t first, const double* values, int64_t count) {
  check_live();
  check_idle();
  Plan& plan = *step_->plan_;
  const std::vector<int32_t>& weights = plan.facts_.task_weights;
  for (int64_t k = 0; k < count; ++k) {
    if (std::find(weights.begin(), weights.end(), first + k) == weights.end())
      throw Failure(Code::argument, text_of("scalar input ", first + k, " is no weight, expected those of tasks or of weighted sums"));
    if (!(std::abs(values[k]) <= std::numeric_limits<float>::max()))
      throw Failure(Code::argument, text_of("values[", k, "] is ", values[k], ", expected a weight, a finite float32"));
  }
  std::copy_n(values, count, plan.scalars_in_.begin() + first);
}

const std::vector<double>& OpenStep::results() const {
  check_idle();
  return step_->results();
}

int64_t OpenStep::stored_elements(int64_t buffer, int64_t first_row, int64_t rows) const {
  check_live();
  check_idle();
  const Plan& plan = *step_->plan_;
  const auto buffers = static_cast<int64_t>(plan.buffers_.size());
  if (buffer < 0 || buffer >= buffers) throw Failure(Code::argument, text_of("buffer is ", buffer, ", expected one in [0, ", buffers, ")"));
  const mg_buffer& spec = plan.buffers_[static_cast<size_t>(buffer)];
  if (!plan.facts_.stored[static_cast<size_t>(buffer)]) {
    throw Failure(Code::argument,
                  text_of("buffer ", buffer, " is of class ", class_name(spec.buffer_class), ", expected stored, with all columns written by ops"));
  }
  if (failed_ || next_ == MG_PHASE_ROWS || next_ == MG_PHASE_COUNT) {
    throw Failure(Code::argument, text_of("this Step is not between 'rows' and 'tables', expected it there: stored rows exist only then"));
  }
  if (first_row < 0 || rows < 1 || first_row > step_->rows_ || rows > step_->rows_ - first_row) {
    throw Failure(Code::argument,
                  text_of("firstRow and rows are ", first_row, " and ", rows, ", expected a range inside the step's ", step_->rows_, " rows"));
  }
  return rows * spec.width;
}

void OpenStep::read_stored(int64_t buffer, int64_t first_row, int64_t rows, void* to) {
  stored_elements(buffer, first_row, rows);
  Plan& plan = *step_->plan_;
  mg_error error{};
  check_status(plan.backend_.read_stored(plan.plan_, static_cast<int32_t>(buffer), first_row, rows, to, &error), error, Code::argument);
}

void OpenStep::write_stored(int64_t buffer, int64_t first_row, int64_t rows, const void* from) {
  stored_elements(buffer, first_row, rows);
  Plan& plan = *step_->plan_;
  mg_error error{};
  check_status(plan.backend_.write_stored(plan.plan_, static_cast<int32_t>(buffer), first_row, rows, from, &error), error, Code::argument);
}

}  // namespace multigate
