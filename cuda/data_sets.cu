// See data_sets.h. One store of copies per process: a model's plans share them.
#include "cuda/data_sets.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <tuple>

#include "cuda/device/kernel.h"
#include "cuda/ops/joined.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;

// device, data set, the column's address on the host
using Key = std::tuple<int, uint64_t, const void*>;

std::mutex mutex;
std::map<Key, DeviceMemory>& copies() {
  static auto* const map = new std::map<Key, DeviceMemory>;  // never destroyed: at exit the device may already be gone
  return *map;
}

const char* column_of(const Plan& plan, const mg_run& run, size_t buffer) {
  const int64_t first = run.row_index != nullptr ? 0 : run.data_set_first;
  return static_cast<const char*>(run.data[buffer]) - static_cast<size_t>(first) * plan.host_row_bytes(run, buffer);
}

struct InputColumn {
  const uint32_t* from;
  uint32_t* to;  // [rows, width]
  int64_t width;
};

// One grid row per column: to[row] = from[number[row]]; number null: from[row].
__global__ void gather_inputs_kernel(Some<InputColumn> columns, const int32_t* number, int64_t rows) {
  const auto [from, to, width] = columns.items[blockIdx.y];
  const int64_t count = rows * width;
  if (number == nullptr)
    for (int64_t i = grid_thread(); i < count; i += grid_threads()) to[i] = from[i];
  else
    for (int64_t i = grid_thread(); i < count; i += grid_threads()) to[i] = from[number[i / width] * width + i % width];
}

void launch_gather(const Context& context, const std::vector<InputColumn>& columns, const int32_t* number) {
  int64_t widest = 1;
  for (const InputColumn& column : columns) widest = std::max(widest, column.width);
  const auto blocks = static_cast<unsigned>(std::clamp<int64_t>(blocks_of(context.rows * widest, kThreads), 1, 1024));
  for_some(
      columns, [](const InputColumn& column) { return column; },
      [&](const Some<InputColumn>& some, unsigned count) {
        context.stream.launch(gather_inputs_kernel, {blocks, count}, kThreads, 0, some, number, context.rows);
      });
}

std::vector<size_t> inputs_of(const Plan& plan) {
  std::vector<size_t> inputs;
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (plan.is_input(i)) inputs.push_back(i);
  return inputs;
}

// The offset of each input in the bytes that arrive for this many rows; the last entry is the total.
std::vector<size_t> arrival_places(const Plan& plan, int64_t rows) {
  std::vector<size_t> places{0};
  for (const size_t i : inputs_of(plan)) places.push_back(places.back() + (static_cast<size_t>(rows) * plan.row_bytes(i) + 255) / 256 * 256);
  return places;
}

// Gathers the numbered rows, which are `stride` bytes apart, without gaps; number null: the first rows.
void copy_rows(char* to, const char* from, size_t bytes, size_t stride, int64_t rows, const int32_t* number = nullptr) {
  if (number == nullptr && stride == bytes)
    std::memcpy(to, from, static_cast<size_t>(rows) * bytes);
  else
    for (int64_t r = 0; r < rows; r++)
      std::memcpy(to + static_cast<size_t>(r) * bytes, from + static_cast<size_t>(number == nullptr ? r : number[r]) * stride, bytes);
}

// Identifies rows of some columns of a data set: rows [first, first + rows) of the run, or beyond it.
void name_rows(const Plan& plan, const mg_run& run, int64_t first, int64_t rows, std::vector<const void*>& columns, std::vector<int32_t>& numbers) {
  columns.clear();
  for (const size_t i : inputs_of(plan)) columns.push_back(column_of(plan, run, i));
  numbers.resize(static_cast<size_t>(rows));
  if (run.row_index != nullptr)
    std::copy_n(run.row_index + first, rows, numbers.begin());
  else
    std::iota(numbers.begin(), numbers.end(), static_cast<int32_t>(run.data_set_first + first));
}

// Starts copying rows [first, first + rows) of the run, or beyond it, to the device.
void fetch(Plan& plan, Plan::Arrival& arrival, const mg_run& run, int64_t first, int64_t rows) {
  plan.copies->synchronize();  // nothing still reads the memory written next
  arrival.data_set = 0;
  const std::vector<size_t> inputs = inputs_of(plan), places = arrival_places(plan, rows);
  const size_t most = arrival_places(plan, plan.capacity).back();
  arrival.staged.reserve(most), arrival.device.reserve(most);
  const int32_t* number = run.row_index == nullptr ? nullptr : run.row_index + first;
  const auto start = static_cast<size_t>(number == nullptr ? first : 0);
  for (size_t k = 0; k < inputs.size(); k++) {
    const size_t bytes = plan.row_bytes(inputs[k]), stride = plan.host_row_bytes(run, inputs[k]);
    const char* from = static_cast<const char*>(run.data[inputs[k]]) + start * stride;
    copy_rows(arrival.staged.data<char>() + places[k], from, bytes, stride, rows, number);
  }
  plan.copies->upload(arrival.device.data(), arrival.staged.data(), places.back());
  if (run.data_set == 0) return;
  name_rows(plan, run, first, rows, arrival.columns, arrival.numbers);
  arrival.data_set = run.data_set;
}

bool has_arrived(const Plan& plan, const Plan::Arrival& arrival, const mg_run& run) {
  if (run.data_set == 0 || arrival.data_set != run.data_set || static_cast<int64_t>(arrival.numbers.size()) != run.rows) return false;
  std::vector<const void*> columns;
  std::vector<int32_t> numbers;
  name_rows(plan, run, 0, run.rows, columns, numbers);
  return arrival.columns == columns && arrival.numbers == numbers;
}

// Copies a column of a data set, some MiB at a time.
void upload_column(char* to, const char* from, size_t bytes, size_t stride, int64_t rows) {
  const int64_t most = std::max<int64_t>(1, (int64_t{4} << 20) / static_cast<int64_t>(bytes));
  std::vector<char> some(static_cast<size_t>(std::min(most, rows)) * bytes);
  for (int64_t first = 0; first < rows; first += most) {
    const int64_t count = std::min(most, rows - first);
    copy_rows(some.data(), from + static_cast<size_t>(first) * stride, bytes, stride, count);
    copy_to_device(to + static_cast<size_t>(first) * bytes, some.data(), static_cast<size_t>(count) * bytes);
  }
}

std::string mebibytes(int64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

}  // namespace

bool keep_data_set(Plan& plan, const mg_run& run) {
  if (run.data_set == 0 || run.data_place == MG_DATA_HOST || (run.data_place == MG_DATA_AUTO && plan.not_kept == run.data_set)) return false;
  const std::lock_guard lock(mutex);
  int64_t missing = 0;
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (plan.is_input(i) && copies().count({plan.device, run.data_set, column_of(plan, run, i)}) == 0)
      missing += run.data_set_rows * static_cast<int64_t>(plan.row_bytes(i));
  if (missing == 0) return true;
  const int64_t free = free_bytes();
  if (run.data_place == MG_DATA_DEVICE && missing > free)
    throw Fault{MG_OUT_OF_MEMORY, "the data set needs " + mebibytes(missing) + " of device memory, " + mebibytes(free) +
                                      " are free; use dataPlacement 'auto' or 'host', or fewer rows"};
  // Leave half of the free memory for later use, unless the caller asked for the device.
  if (run.data_place != MG_DATA_DEVICE && missing > free / 2) {
    plan.not_kept = run.data_set;
    return false;
  }
  for (size_t i = 0; i < plan.buffers.size(); i++) {
    if (!plan.is_input(i)) continue;
    const char* column = column_of(plan, run, i);
    const Key key{plan.device, run.data_set, column};
    if (copies().count(key) > 0) continue;
    const size_t bytes = static_cast<size_t>(run.data_set_rows) * plan.row_bytes(i);
    DeviceMemory& copy = copies()[key];
    try {
      copy.reserve(bytes);
      upload_column(copy.data<char>(), column, plan.row_bytes(i), plan.host_row_bytes(run, i), run.data_set_rows);
    } catch (const Fault&) {
      copies().erase(key);
      throw;
    }
  }
  return true;
}

void launch_gather_inputs(const Context& context, const mg_run& run) {
  const Plan& plan = context.plan;
  std::vector<InputColumn> columns;
  const std::lock_guard lock(mutex);
  for (const size_t i : inputs_of(plan))
    columns.push_back({copies().at({plan.device, run.data_set, column_of(plan, run, i)}).data<const uint32_t>(), plan.regions[i]->data<uint32_t>(),
                       plan.buffers[i].width});
  launch_gather(context, columns, plan.row_numbers.data<const int32_t>());
}

void bring_rows(Plan& plan, const mg_run& run) {
  Plan::Arrival& arrival = plan.arrivals[plan.arrived];
  if (!has_arrived(plan, arrival, run)) fetch(plan, arrival, run, 0, run.rows);
  plan.stream->wait_for(*plan.copies);
}

void bring_next_rows(Plan& plan, const mg_run& run) {
  if (run.data_set == 0 || run.next_rows == 0) return;
  plan.arrived = 1 - plan.arrived;
  fetch(plan, plan.arrivals[plan.arrived], run, run.rows, run.next_rows);
}

void launch_place_inputs(const Context& context) {
  const Plan& plan = context.plan;
  const std::vector<size_t> inputs = inputs_of(plan), places = arrival_places(plan, context.rows);
  std::vector<InputColumn> columns;
  for (size_t k = 0; k < inputs.size(); k++)
    columns.push_back({reinterpret_cast<const uint32_t*>(plan.arrivals[plan.arrived].device.data<const char>() + places[k]),
                       plan.regions[inputs[k]]->data<uint32_t>(), plan.buffers[inputs[k]].width});
  launch_gather(context, columns, nullptr);
}

void forget_data_set(uint64_t data_set) noexcept {
  const std::lock_guard lock(mutex);
  for (auto it = copies().begin(); it != copies().end();) it = std::get<1>(it->first) == data_set ? copies().erase(it) : std::next(it);
}

}  // namespace mg_cuda
