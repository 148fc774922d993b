// See data_sets.h. One store of copies per process: a model's plans share them.
#include "cuda/data_sets.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

#include "cuda/device/kernel.h"

namespace mg_cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kColumnsOfALaunch = 16;

// device, data set, the column's address on the host
using Key = std::tuple<int, uint64_t, const void*>;

std::mutex mutex;
std::map<Key, DeviceMemory>& copies() {
  static auto* const map = new std::map<Key, DeviceMemory>;  // never destroyed: at exit the device may be gone before
  return *map;
}

const char* column_of(const Plan& plan, const mg_run& run, size_t buffer) {
  const int64_t first = run.row_index != nullptr ? 0 : run.data_set_first;
  return static_cast<const char*>(run.data[buffer]) - static_cast<size_t>(first) * plan.row_bytes(buffer);
}

// Column i: to[row] = from[number[row]], [rows, width] words.
struct GatherColumns {
  const uint32_t* from[kColumnsOfALaunch];
  uint32_t* to[kColumnsOfALaunch];
  int64_t width[kColumnsOfALaunch];
};

__global__ void gather_inputs_kernel(GatherColumns columns, const int32_t* number, int64_t rows) {
  const uint32_t* from = columns.from[blockIdx.y];
  uint32_t* to = columns.to[blockIdx.y];
  const int64_t width = columns.width[blockIdx.y];
  for (int64_t i = grid_thread(); i < rows * width; i += grid_threads()) to[i] = from[number[i / width] * width + i % width];
}

}  // namespace

bool keep_data_set(Plan& plan, const mg_run& run) {
  if (run.data_set == 0) return false;
  const std::lock_guard lock(mutex);
  int64_t missing = 0;
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (plan.is_input(i) && copies().count({plan.device, run.data_set, column_of(plan, run, i)}) == 0)
      missing += run.data_set_rows * static_cast<int64_t>(plan.row_bytes(i));
  // Half of what is free stays so: activations come after.
  if (missing > free_bytes() / 2) return false;
  if (missing == 0) return true;
  for (size_t i = 0; i < plan.buffers.size(); i++) {
    if (!plan.is_input(i)) continue;
    const char* column = column_of(plan, run, i);
    const Key key{plan.device, run.data_set, column};
    if (copies().count(key) > 0) continue;
    const size_t bytes = static_cast<size_t>(run.data_set_rows) * plan.row_bytes(i);
    DeviceMemory& copy = copies()[key];
    try {
      copy.reserve(bytes);
      copy_to_device(copy.data(), column, bytes);
    } catch (const Fault&) {
      copies().erase(key);
      throw;
    }
  }
  return true;
}

void launch_gather_inputs(const Context& context, const mg_run& run) {
  const Plan& plan = context.plan;
  GatherColumns columns{};
  unsigned count = 0;
  int64_t widest = 1;
  const auto launch = [&] {
    if (count == 0) return;
    const auto blocks = static_cast<unsigned>(std::clamp<int64_t>(blocks_of(context.rows * widest, kThreads), 1, 1024));
    context.stream.launch(gather_inputs_kernel, {blocks, count}, kThreads, 0, columns, plan.row_numbers.data<const int32_t>(), context.rows);
    count = 0, widest = 1;
  };
  for (size_t i = 0; i < plan.buffers.size(); i++) {
    if (!plan.is_input(i)) continue;
    {
      const std::lock_guard lock(mutex);
      columns.from[count] = copies().at({plan.device, run.data_set, column_of(plan, run, i)}).data<const uint32_t>();
    }
    columns.to[count] = plan.regions[i]->data<uint32_t>();
    columns.width[count] = plan.buffers[i].width;
    widest = std::max(widest, plan.buffers[i].width);
    if (++count == kColumnsOfALaunch) launch();
  }
  launch();
}

void forget_data_set(uint64_t data_set) noexcept {
  const std::lock_guard lock(mutex);
  for (auto it = copies().begin(); it != copies().end();) it = std::get<1>(it->first) == data_set ? copies().erase(it) : std::next(it);
}

}  // namespace mg_cuda
