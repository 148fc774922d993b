// See data_sets.h. One store of copies per process: a model's plans share them.
#include "cuda/data_sets.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <tuple>
#include <utility>

#include "cuda/device/kernel.h"
#include "cuda/ops/joined.h"

namespace mg_cuda {

// A column on a device. Filled once, by the first run that needs it, while others wait for `filling`.
struct KeptColumn {
  explicit KeptColumn(int its_device) : device(its_device) {}
  KeptColumn(const KeptColumn&) = delete;
  KeptColumn& operator=(const KeptColumn&) = delete;
  ~KeptColumn() { select_device(device); }

  const int device;
  std::mutex filling;
  std::atomic<bool> filled = false;
  DeviceMemory memory;
};

namespace {

constexpr int kThreads = 256;

// device, data set, the column's address on the host
using Key = std::tuple<int, uint64_t, const void*>;

// Guards the map, and no copy: other data sets come and go while one is copied.
std::mutex mutex;
std::map<Key, std::shared_ptr<KeptColumn>>& kept_columns() {
  static auto* const map = new std::map<Key, std::shared_ptr<KeptColumn>>;  // never destroyed: at exit the device may already be gone
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
  begin_kernel();
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
void name_rows(const Plan& plan, const mg_run& run, int64_t first, int64_t rows, std::vector<const void*>& columns, std::vector<int64_t>& numbers) {
  columns.clear();
  for (const size_t i : inputs_of(plan)) columns.push_back(column_of(plan, run, i));
  numbers.resize(static_cast<size_t>(rows));
  if (run.row_index != nullptr)
    std::copy_n(run.row_index + first, rows, numbers.begin());
  else
    std::iota(numbers.begin(), numbers.end(), run.data_set_first + first);
}

// Starts copying rows [first, first + rows) of the run, or beyond it, to the device. The plan has the capacity for them.
void fetch(Plan& plan, Plan::Arrival& arrival, const mg_run& run, int64_t first, int64_t rows) {
  plan.copies->synchronize();  // nothing still reads the memory written next
  arrival.data_set = 0;
  const int64_t computed = plan.computed_rows(rows);
  const std::vector<size_t> inputs = inputs_of(plan), places = arrival_places(plan, computed);
  const size_t most = arrival_places(plan, plan.capacity).back();
  arrival.staged.reserve(most), arrival.device.reserve(most);
  const int32_t* number = run.row_index == nullptr ? nullptr : run.row_index + first;
  const auto start = static_cast<size_t>(number == nullptr ? first : 0);
  for (size_t k = 0; k < inputs.size(); k++) {
    const size_t bytes = plan.row_bytes(inputs[k]), stride = plan.host_row_bytes(run, inputs[k]);
    const char* from = static_cast<const char*>(run.data[inputs[k]]) + start * stride;
    char* const to = arrival.staged.data<char>() + places[k];
    copy_rows(to, from, bytes, stride, rows, number);
    const auto last = static_cast<size_t>(rows - 1) * bytes;
    for (int64_t r = rows; r < computed; r++) std::memcpy(to + static_cast<size_t>(r) * bytes, to + last, bytes);
  }
  plan.copies->upload(arrival.device.data(), arrival.staged.data(), places.back());
  if (run.data_set == 0) return;
  name_rows(plan, run, first, rows, arrival.columns, arrival.numbers);
  arrival.data_set = run.data_set;
}

bool has_arrived(const Plan& plan, const Plan::Arrival& arrival, const mg_run& run) {
  if (run.data_set == 0 || arrival.data_set != run.data_set || static_cast<int64_t>(arrival.numbers.size()) != run.rows) return false;
  std::vector<const void*> columns;
  std::vector<int64_t> numbers;
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

// The column that is kept under this key, or a new one.
std::shared_ptr<KeptColumn> kept_column(const Key& key) {
  const std::lock_guard lock(mutex);
  auto& column = kept_columns()[key];
  if (column == nullptr) column = std::make_shared<KeptColumn>(std::get<0>(key));
  return column;
}

// Bytes of the data set's columns that are not on the device.
int64_t missing_bytes(const Plan& plan, const mg_run& run) {
  const std::lock_guard lock(mutex);
  int64_t missing = 0;
  for (const size_t i : inputs_of(plan)) {
    const auto known = kept_columns().find({plan.device, run.data_set, column_of(plan, run, i)});
    if (known == kept_columns().end() || !known->second->filled) missing += run.data_set_rows * static_cast<int64_t>(plan.row_bytes(i));
  }
  return missing;
}

// The data set's column of each input, copied to the device if it is not there. If one cannot be copied, those that this call has copied go too.
KeptColumns fill_columns(const Plan& plan, const mg_run& run) {
  KeptColumns columns;
  std::vector<Key> own;
  try {
    for (const size_t i : inputs_of(plan)) {
      const char* const from = column_of(plan, run, i);
      const Key key{plan.device, run.data_set, from};
      columns.push_back(kept_column(key));
      KeptColumn& column = *columns.back();
      const std::lock_guard lock(column.filling);
      if (column.filled) continue;
      own.push_back(key);
      column.memory.reserve(static_cast<size_t>(run.data_set_rows) * plan.row_bytes(i));
      upload_column(column.memory.data<char>(), from, plan.row_bytes(i), plan.host_row_bytes(run, i), run.data_set_rows);
      column.filled = true;
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    for (const Key& key : own) kept_columns().erase(key);
    throw;
  }
  return columns;
}

}  // namespace

KeptColumns keep_data_set(Plan& plan, const mg_run& run) {
  constexpr int64_t kMostRows = std::numeric_limits<int32_t>::max();  // row numbers on the device are int32
  const bool must = run.data_place == MG_DATA_DEVICE;
  if (run.data_set == 0 || run.data_place == MG_DATA_HOST || (!must && plan.not_kept == run.data_set)) return {};
  if (must && run.data_set_rows > kMostRows)
    throw Fault{MG_UNSUPPORTED, "the data set has " + std::to_string(run.data_set_rows) + " rows, expected at most " + std::to_string(kMostRows) +
                                    " in device memory; use dataPlacement 'auto' or 'host', or fewer rows"};
  const int64_t missing = missing_bytes(plan, run), free = missing == 0 ? 0 : free_bytes();
  if (must && missing > free)
    throw Fault{MG_OUT_OF_MEMORY, "the data set needs " + mebibytes(missing) + " of device memory, " + mebibytes(free) +
                                      " are free; use dataPlacement 'auto' or 'host', or fewer rows"};
  KeptColumns columns;
  try {
    // Leave half of the free memory for later use, unless the caller asked for the device.
    if (must || (missing <= free / 2 && run.data_set_rows <= kMostRows)) columns = fill_columns(plan, run);
  } catch (const Fault& fault) {
    if (must || fault.status != MG_OUT_OF_MEMORY) throw;  // else the memory has gone since it was counted
  }
  if (columns.empty()) plan.not_kept = run.data_set;
  plan.row_from.clear();
  for (const auto& column : columns) plan.row_from.push_back(column->memory.data());
  return columns;
}

void launch_gather_inputs(const Context& context) {
  const Plan& plan = context.plan;
  const std::vector<size_t> inputs = inputs_of(plan);
  std::vector<InputColumn> columns;
  for (size_t k = 0; k < inputs.size(); k++)
    columns.push_back({static_cast<const uint32_t*>(plan.row_from[k]), plan.regions[inputs[k]]->data<uint32_t>(), plan.buffers[inputs[k]].width});
  launch_gather(context, columns, plan.row_numbers.data<const int32_t>());
}

void bring_rows(Plan& plan, const mg_run& run) {
  Plan::Arrival& arrival = plan.arrivals[plan.arrived];
  if (!has_arrived(plan, arrival, run)) fetch(plan, arrival, run, 0, run.rows);
  plan.row_from = {arrival.device.data()};
  plan.stream->wait_for(*plan.copies);
}

void bring_next_rows(Plan& plan, const mg_run& run) noexcept {
  // More rows than there is room for come with the run that makes the room.
  if (run.data_set == 0 || run.next_rows == 0 || plan.computed_rows(run.next_rows) > plan.capacity) return;
  plan.arrived = 1 - plan.arrived;
  try {
    fetch(plan, plan.arrivals[plan.arrived], run, run.rows, run.next_rows);
  } catch (const Fault&) {
  } catch (const std::bad_alloc&) {
  }
}

void launch_place_inputs(const Context& context) {
  const Plan& plan = context.plan;
  const std::vector<size_t> inputs = inputs_of(plan), places = arrival_places(plan, context.rows);
  std::vector<InputColumn> columns;
  for (size_t k = 0; k < inputs.size(); k++)
    columns.push_back({reinterpret_cast<const uint32_t*>(static_cast<const char*>(plan.row_from.front()) + places[k]),
                       plan.regions[inputs[k]]->data<uint32_t>(), plan.buffers[inputs[k]].width});
  launch_gather(context, columns, nullptr);
}

void forget_data_set(int device, uint64_t data_set) noexcept {
  std::map<Key, std::shared_ptr<KeptColumn>> forgotten;  // released after the lock
  const std::lock_guard lock(mutex);
  for (auto it = kept_columns().begin(); it != kept_columns().end();) {
    const auto column = it++;
    const auto& [its_device, its_set, address] = column->first;
    if (its_device == device && its_set == data_set) forgotten.insert(kept_columns().extract(column));
  }
}

}  // namespace mg_cuda
