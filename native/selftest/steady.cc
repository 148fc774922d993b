#include "selftest/steady.h"

#include <chrono>
#include <ctime>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

#include "abi/aligned.h"
#include "engine/plan.h"
#include "selftest/allocations.h"
#include "selftest/random.h"
#include "selftest/timing/program_file.h"

namespace selftest {
namespace {

constexpr int64_t kRows = 1037;

/// A plan on the CPU with memory, a data set and arrays.
class Loaded {
 public:
  explicit Loaded(const Workload& workload)
      : workload_(workload), plan_(std::make_shared<multigate::Plan>(*mg_cpu_backend(), workload.program, "", MG_PRECISION_F32)) {
    Random random(1);
    std::vector<multigate::Column> columns;
    std::vector<const void*> values;
    const auto& facts = plan_->facts();
    for (const int32_t number : facts.bound) {
      const mg_buffer& buffer = plan_->buffer(number);
      plan_->bind(number, std::make_shared<multigate::Memory>(*mg_cpu_backend(), buffer.width * buffer.count));
    }
    for (const int32_t number : facts.row_inputs) {
      const mg_buffer& buffer = plan_->buffer(number);
      const int64_t limit = facts.id_limit[static_cast<size_t>(number)];
      ids_.emplace_back();
      for (int64_t i = 0; buffer.dtype == MG_I32 && i < kRows * buffer.width; i++)
        ids_.back().push_back(static_cast<int32_t>(random.between(0, limit - 1)));
      floats_.emplace_back(buffer.dtype == MG_I32 ? 0 : kRows * buffer.width, 0.5f);
      column_of_.push_back(static_cast<int64_t>(column_of_.size()));
      columns.push_back({buffer.dtype, buffer.width, limit});
      values.push_back(ids_.back().empty() ? static_cast<const void*>(floats_.back().data()) : ids_.back().data());
    }
    columns_ = std::make_shared<multigate::Columns>(kRows, std::move(columns));
    columns_->write(0, kRows, values);
    multigate::Shuffle(columns_, 1, 1).execute();
    for (const int32_t number : facts.row_outputs) outputs_.emplace_back(kRows * plan_->buffer(number).width);
  }

  void step(int64_t rows, int threads, bool from_columns) {
    multigate::Step step(plan_, rows, threads);
    const auto& facts = plan_->facts();
    if (from_columns) step.use_columns(columns_, column_of_, 0, true, MG_DATA_AUTO);
    for (size_t k = 0; !from_columns && k < facts.row_inputs.size(); k++) {
      const int32_t number = facts.row_inputs[k];
      if (ids_[k].empty())
        step.borrow_input(number, floats_[k].data());
      else
        step.copy_input(number, ids_[k].data(), workload_.name);
    }
    for (size_t k = 0; k < outputs_.size(); k++) step.borrow_output(facts.row_outputs[k], outputs_[k].data());
    step.set_scalars(workload_.scalars.data());
    step.execute();
  }

 private:
  const Workload& workload_;
  std::shared_ptr<multigate::Plan> plan_;
  std::shared_ptr<multigate::Columns> columns_;
  std::vector<int64_t> column_of_;
  std::deque<std::vector<int32_t>> ids_;
  std::deque<std::vector<float>> floats_, outputs_;
};

/// Checks that the counter sees all kinds of allocation that the library uses.
void check_counting(Report& report) {
  const int64_t before = allocations();
  const auto block = std::make_unique<int>(1);
  for (const size_t bytes : {size_t{100}, size_t{4} << 20}) mg_aligned_delete(mg_aligned_new(bytes));
  const int64_t found = allocations() - before;
  report.check(found == 3, "allocations are counted", std::to_string(found) + " counted, expected 3");
}

/// Processor time of this process while nothing runs, after a step of a plan that still exists.
void check_idle(Report& report, Loaded& loaded) {
  const auto processor = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC * 1000; };
  loaded.step(kRows, 3, false);
  const double before = processor();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const double spent = processor() - before;
  report.check(spent < 50, "helpers sleep", std::to_string(spent) + " ms of processor time in 500 ms without work, expected less than 50");
}

}  // namespace

void check_steady(Report& report, const std::string& programs, const std::string& only) {
  const bool counts = allocations() >= 0;
  if (counts)
    check_counting(report);
  else
    report.skip("steps allocate nothing", "this build does not count allocations");
  bool first = true;
  for (const auto& workload : read_workloads(programs, only)) {
    Loaded loaded(*workload);
    if (std::exchange(first, false)) check_idle(report, loaded);
    if (!counts) continue;
    for (const bool from_columns : {true, false})
      for (const int threads : {1, 2, 3})
        for (const int64_t rows : {int64_t{1}, int64_t{32}, kRows}) {
          for (int i = 0; i < 2; i++) loaded.step(rows, threads, from_columns);
          const int64_t before = allocations();
          for (int i = 0; i < 5; i++) loaded.step(rows, threads, from_columns);
          const int64_t found = allocations() - before;
          report.check(found == 0,
                       workload->name + " " + workload->mode + ", " + std::to_string(rows) + " rows from " + (from_columns ? "columns" : "arrays") +
                           " with " + std::to_string(threads) + " threads allocates nothing",
                       std::to_string(found) + " allocations in 5 steps");
        }
  }
}

}  // namespace selftest
