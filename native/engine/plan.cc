// Plans and steps; see plan.h.
#include "engine/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/denominators.h"
#include "engine/registry.h"

namespace multigate {
namespace {

/// The option, else the environment's, else null for the backend's best. Only the CPU has a choice.
const char* chosen_isa(const mg_backend& backend, const std::string& isa) {
  if (!isa.empty()) return isa.c_str();
  if (&backend != mg_cpu_backend()) return nullptr;
  const char* forced = std::getenv("MULTIGATE_CPU_ISA");
  return forced != nullptr && forced[0] != 0 ? forced : nullptr;
}

}  // namespace

Plan::Plan(const mg_backend& backend, const Program& program, const std::string& isa, mg_precision precision)
    : backend_(backend),
      buffers_(program.buffers),
      denominators_(program.denominators),
      facts_(validate(program)),
      scalar_inputs_(program.scalar_inputs),
      scalar_outputs_(program.scalar_outputs),
      memories_(program.buffers.size()),
      data_(program.buffers.size(), nullptr),
      complete_(program.buffers.size(), 0),
      held_(program.buffers.size()),
      copies_(program.buffers.size()) {
  const mg_program compiled = program.abi();
  const mg_compile_options options{chosen_isa(backend, isa), precision};
  mg_error error{};
  check_status(backend_.compile(&compiled, &options, &plan_, &error), error, Code::program);
  if (plan_ == nullptr) throw Failure(Code::internal, "the backend compiled nothing");
}

Plan::~Plan() {
  if (plan_ != nullptr) backend_.destroy(plan_);
}

void Plan::bind(int64_t buffer, std::shared_ptr<Memory> memory) {
  const auto buffers = static_cast<int64_t>(buffers_.size());
  if (buffer < 0 || buffer >= buffers) throw Failure(Code::argument, text_of("buffer is ", buffer, ", expected one in [0, ", buffers, ")"));
  const mg_buffer& target = buffers_[static_cast<size_t>(buffer)];
  if (is_row_class(target.buffer_class)) {
    throw Failure(Code::argument,
                  text_of("buffer ", buffer, " is of class ", class_name(target.buffer_class), ", expected parameter, gradient, state or table"));
  }
  if (memory->disposed()) throw Failure(Code::disposed, "this memory was disposed");
  if (&memory->backend() != &backend_) {
    throw Failure(Code::argument, text_of("the memory is of device '", memory->backend().name, "', expected '", backend_.name, "', the plan's"));
  }
  if (memory->elements() != element_count(target)) {
    throw Failure(Code::argument,
                  text_of("the memory has ", memory->elements(), " elements, expected ", element_count(target), " for buffer ", buffer));
  }
  for (const int32_t other : facts_.bound) {
    if (other != buffer && memories_[static_cast<size_t>(other)] == memory) {
      throw Failure(Code::argument, text_of("the memory is bound to buffer ", other, " of this plan, expected another memory for buffer ", buffer));
    }
  }
  if (busy_) throw Failure(Code::busy, "this plan is running; wait for the run to end");
  memories_[static_cast<size_t>(buffer)] = std::move(memory);
}

void Plan::check_rows(int64_t rows) const {
  // Keeps rows * elements per row * 8 bytes below 2^62 for any buffers that a backend makes.
  const int64_t most = facts_.row_elements == 0 ? kMaxRows : std::min<int64_t>(kMaxRows, kMaxElements / facts_.row_elements);
  if (rows < 1 || rows > most) throw Failure(Code::argument, text_of("rows is ", rows, ", expected 1 to ", most));
}

PlanInfo Plan::info(int64_t rows) const {
  check_rows(rows);
  mg_plan_info info{};
  backend_.info(plan_, rows, &info);
  return {info.block_rows, info.slots, info.arena_bytes, info.stored_bytes, info.emulated != 0, info.isa != nullptr ? info.isa : ""};
}

Step::Step(std::shared_ptr<Plan> plan, int64_t rows, int threads, int64_t steps)
    : plan_(std::move(plan)), rows_(rows), steps_(steps), threads_(threads) {
  plan_->check_rows(rows);
  if (steps > 1 && !plan_->facts_.row_outputs.empty()) {
    throw Failure(Code::argument, text_of("steps is ", steps, ", expected 1: this program has row outputs"));
  }
  if (plan_->busy_) throw Failure(Code::busy, "this plan is running; a plan runs one step at a time, wait for the run to end");
  check_memories();
  plan_->scalars_in_.resize(plan_->scalar_inputs_ * static_cast<size_t>(steps));
  plan_->scalars_out_.resize(plan_->results_of_step() * static_cast<size_t>(steps));
  // Nothing below throws: all marks are set, or none.
  plan_->busy_ = true;
  hold();
}

void Step::hold() noexcept {
  for (const int32_t number : plan_->facts_.bound) {
    const auto i = static_cast<size_t>(number);
    plan_->memories_[i]->begin_use(plan_->facts_.written[i]);
    plan_->held_[i] = plan_->memories_[i]->block();
    plan_->data_[i] = plan_->held_[i].get();
  }
  holds_ = true;
}

void Step::release() noexcept {
  if (!holds_) return;
  for (const int32_t number : plan_->facts_.bound) {
    const auto i = static_cast<size_t>(number);
    plan_->memories_[i]->end_use(plan_->facts_.written[i]);
    plan_->held_[i].reset();
    plan_->data_[i] = nullptr;
  }
  holds_ = false;
}

void Step::check_memories() const {
  for (const int32_t number : plan_->facts_.bound) {
    const auto i = static_cast<size_t>(number);
    const auto& memory = plan_->memories_[i];
    const auto where = [&] { return text_of("buffer ", number, " (", class_name(plan_->buffers_[i].buffer_class), ")"); };
    if (memory == nullptr) throw Failure(Code::argument, where() + " has no memory; bind() it first");
    if (memory->disposed()) throw Failure(Code::disposed, "the memory of " + where() + " was disposed");
    if (!memory->can_use(plan_->facts_.written[i])) {
      throw Failure(Code::busy, "the memory of " + where() + " is in use by another plan that is running; wait for the run to end");
    }
  }
}

Step::~Step() {
  release();
  // No pointer into a caller's array outlives the step.
  for (const int32_t number : plan_->facts_.row_inputs) {
    plan_->data_[static_cast<size_t>(number)] = nullptr;
    plan_->complete_[static_cast<size_t>(number)] = 0;
  }
  for (const int32_t number : plan_->facts_.row_outputs) plan_->data_[static_cast<size_t>(number)] = nullptr;
  if (columns_ != nullptr) columns_->end_use();
  plan_->busy_ = false;
}

void Step::borrow_input(int32_t buffer, const float* data) noexcept {
  plan_->data_[static_cast<size_t>(buffer)] = const_cast<float*>(data);  // backends read row inputs only
}

void Step::copy_input(int32_t buffer, const void* data, const std::string& name) {
  const auto i = static_cast<size_t>(buffer);
  const int64_t count = elements(buffer);
  void* copy = plan_->copies_[i].reserve(static_cast<size_t>(count) * 4);
  const mg_buffer& spec = plan_->buffers_[i];
  if (spec.dtype == MG_I32) {
    copy_ids(static_cast<const int32_t*>(data), static_cast<int32_t*>(copy), count, plan_->facts_.id_limit[i], spec.width, 0, name);
  } else {
    std::memcpy(copy, data, static_cast<size_t>(count) * 4);
  }
  plan_->data_[i] = copy;
}

void Step::use_columns(std::shared_ptr<Columns> columns, const std::vector<int64_t>& column_of, int64_t start, bool shuffled, mg_data_place place) {
  const auto& inputs = plan_->facts_.row_inputs;
  if (column_of.size() != inputs.size()) {
    throw Failure(Code::argument, text_of("columnOf has ", column_of.size(), " entries, expected ", inputs.size(), ", one per row input"));
  }
  if (start < 0 || start > columns->rows() || rows_ > (columns->rows() - start) / steps_) {
    throw Failure(Code::argument, text_of("start and rows are ", start, " and ", rows_, steps_ == 1 ? "" : text_of(" in ", steps_, " steps"),
                                          ", expected a range inside the columns' ", columns->rows(), " rows"));
  }
  if (shuffled && columns->order() == nullptr)
    throw Failure(Code::argument, "shuffled is true but the columns have no order, expected a call of shuffleAsync() first");
  for (size_t k = 0; k < inputs.size(); ++k) {
    const auto i = static_cast<size_t>(inputs[k]);
    const mg_buffer& spec = plan_->buffers_[i];
    const auto fail = [&](const std::string& found, const std::string& expected) {
      throw Failure(Code::argument, text_of("columnOf[", k, "] is ", column_of[k], found, ", expected ", expected));
    };
    if (column_of[k] < 0 || column_of[k] >= static_cast<int64_t>(columns->columns().size())) {
      fail("", text_of("a column in [0, ", columns->columns().size(), ")"));
    }
    const Column& column = columns->columns()[static_cast<size_t>(column_of[k])];
    if (column.dtype != spec.dtype) fail(column.dtype == MG_I32 ? ", an i32 column" : ", an f32 column", spec.dtype == MG_I32 ? "i32" : "f32");
    if (column.width != spec.width) fail(text_of(", a column ", column.width, " wide"), text_of(spec.width));
    const int64_t limit = plan_->facts_.id_limit[i];
    if (spec.dtype == MG_I32 && column.limit > limit) {
      fail(text_of(", a column of ids below ", column.limit), text_of("ids below ", limit, ", the rows of the table they are gathered from"));
    }
    plan_->data_[i] = columns->row(shuffled ? 0 : start) + column.offset * 4;
    plan_->complete_[i] = column.complete;
  }
  row_index_ = shuffled ? columns->order() + start : nullptr;
  first_of_columns_ = start, data_place_ = place;
  columns_ = std::move(columns);
  columns_->begin_use();
}

void Step::borrow_output(int32_t buffer, void* data) noexcept { plan_->data_[static_cast<size_t>(buffer)] = data; }

void Step::own_output(int32_t buffer) {
  const auto i = static_cast<size_t>(buffer);
  plan_->data_[i] = plan_->copies_[i].reserve(static_cast<size_t>(elements(buffer)) * element_bytes(plan_->backend_));
}

void Step::set_scalars(const double* values) {
  const size_t all = plan_->scalars_in_.size();
  for (const int32_t scalar : plan_->facts_.steps) {
    for (size_t i = static_cast<size_t>(scalar); i < all; i += plan_->scalar_inputs_) {
      if (!(values[i] >= 0 && values[i] <= kEndOfSteps && values[i] == std::floor(values[i]))) {
        throw Failure(Code::argument, text_of("scalars[", i, "] is ", values[i], ", expected a dropout step, an integer in [0, 2^53]"));
      }
    }
  }
  for (const int32_t scalar : plan_->facts_.task_weights) {
    for (size_t i = static_cast<size_t>(scalar); i < all; i += plan_->scalar_inputs_) {
      if (!(std::abs(values[i]) <= std::numeric_limits<float>::max())) {
        throw Failure(Code::argument, text_of("scalars[", i, "] is ", values[i], ", expected a task weight, a finite float32"));
      }
    }
  }
  if (!plan_->scalars_in_.empty()) std::memcpy(plan_->scalars_in_.data(), values, plan_->scalars_in_.size() * sizeof(double));
}

void Step::compute_denominators(double* scalars_in, double* results) noexcept {
  const auto column = [&](const mg_view& view) -> RowColumn {
    if (view.buffer < 0) return {nullptr, 0, nullptr, false};
    const auto i = static_cast<size_t>(view.buffer);
    const int64_t stride = columns_ != nullptr ? columns_->stride() : plan_->buffers_[i].width;
    return {static_cast<const float*>(plan_->data_[i]) + view.offset, stride, row_index_, plan_->complete_[i] != 0};
  };
  for (const mg_denominator& d : plan_->denominators_) {
    *results = denominator(d.reduction, rows_, column(d.label), column(d.weight));
    scalars_in[d.scalar] = *results++;
  }
}

/// Advances to the next step: its rows of the columns, and the weights that this step changed.
void Step::advance() noexcept {
  if (row_index_ != nullptr) {
    row_index_ += rows_;
  } else {
    for (const int32_t number : plan_->facts_.row_inputs) {
      const auto i = static_cast<size_t>(number);
      plan_->data_[i] = static_cast<char*>(plan_->data_[i]) + rows_ * columns_->stride() * 4;
    }
  }
  first_of_columns_ += rows_;
  for (const int32_t number : plan_->facts_.bound) {
    const auto i = static_cast<size_t>(number);
    if (plan_->facts_.written[i]) plan_->memories_[i]->bump_version();
  }
}

bool Step::over(std::chrono::steady_clock::duration taken) const noexcept {
  return taken >= limit_ || (taken >= kTurn && others_wait_.load(std::memory_order_relaxed));
}

void Step::execute() {
  const auto begin = std::chrono::steady_clock::now();
  int64_t done = 0;
  do {
    if (done > 0) advance();
    execute_one(done++);
  } while (done < steps_ && !over(std::chrono::steady_clock::now() - begin));
  plan_->scalars_out_.resize(plan_->results_of_step() * static_cast<size_t>(done));
}

void Step::clear_outputs() noexcept {
  for (const int32_t number : plan_->facts_.zeroed) {
    std::memset(plan_->data_[static_cast<size_t>(number)], 0, static_cast<size_t>(elements(number)) * element_bytes(plan_->backend_));
  }
}

void Step::execute_one(int64_t step) {
  double* const scalars_in = plan_->scalars_in_.data() + step * plan_->scalar_inputs_;
  double* const scalars_out = plan_->scalars_out_.data() + step * static_cast<int64_t>(plan_->results_of_step());
  clear_outputs();
  compute_denominators(scalars_in, scalars_out + plan_->scalar_outputs_);
  run_phases(scalars_in, scalars_out, MG_PHASE_ROWS, MG_PHASE_TABLES);
}

void Step::run_phases(double* scalars_in, double* scalars_out, mg_phase first, mg_phase last) {
  mg_run run{};
  run.first_phase = first, run.last_phase = last;
  run.rows = rows_;
  run.data = plan_->data_.data();
  run.row_index = row_index_;
  if (columns_ != nullptr) {
    run.row_stride = columns_->stride();
    run.data_set = columns_->number(), run.data_set_rows = columns_->rows(), run.data_set_first = first_of_columns_;
    run.data_place = data_place_, run.next_rows = next_rows();
  }
  run.scalars_in = scalars_in;
  run.scalars_out = scalars_out;
  run.parameter_version = plan_->facts_.parameter < 0 ? 0 : plan_->memories_[static_cast<size_t>(plan_->facts_.parameter)]->version();
  run.threads = threads_;
  mg_error error{};
  check_status(plan_->backend_.run(plan_->plan_, &run, &error), error, Code::argument);
}

}  // namespace multigate
