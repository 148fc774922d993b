// One run of a plan: inputs to pinned memory, a graph of copies and kernels, outputs back. See plan.h.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "cuda/data_sets.h"
#include "cuda/plan.h"
#include "cuda/scalar_sums.h"
#include "cuda/weights.h"

namespace mg_cuda {
namespace {

// Graphs of a plan. A predicting plan has one for each of up to 40 numbers of rows (Plan::computed_rows); a training plan few: a full and a last
// batch, each with and without new weights, two arrivals, or in phases.
constexpr size_t kMostGraphs = 48;

// Time at least a millisecond; else launching the graph would dominate a short one's time.
constexpr double kGroupMilliseconds = 1;
constexpr int kLargestGroup = 64;

constexpr int64_t kRowsOfAPart = 1 << 16;  // of a divisible run; limits the memory of activations

bool is_row_class(const mg_buffer& buffer) { return buffer.buffer_class <= MG_STORED; }

// Allocates device and pinned memory for this many rows.
void reserve_rows(Plan& plan, int64_t rows) {
  plan.regions.resize(plan.buffers.size());
  plan.staging.resize(plan.buffers.size());
  for (size_t i = 0; i < plan.buffers.size(); i++) {
    if (!plan.has_rows(i)) continue;
    const size_t bytes = static_cast<size_t>(rows) * plan.row_bytes(i);
    if (!plan.regions[i]) plan.regions[i] = std::make_unique<DeviceMemory>();
    plan.regions[i]->reserve(bytes);
    if (!plan.is_output(i)) continue;
    if (!plan.staging[i]) plan.staging[i] = std::make_unique<PinnedMemory>();
    plan.staging[i]->reserve(bytes);
  }
  plan.packed.reserve(static_cast<size_t>(plan.packed_floats) * sizeof(float));
  plan.packed_from = nullptr;
  // Scratch does not always grow with rows, so include the needs of smaller runs.
  size_t scratch = 0;
  for (int64_t some = rows;; some /= 2) {
    for (const auto& op : plan.ops) scratch = std::max(scratch, op->scratch_bytes(plan, some));
    if (some <= 1) break;
  }
  plan.splits_memory.reserve(static_cast<size_t>(plan.split_floats) * sizeof(float));
  plan.scratch.reserve(scratch);
  plan.scalars.reserve(plan.scalar_count() * sizeof(double));
  plan.scalars_out.reserve((plan.scalar_outputs + 1) * sizeof(double));
  plan.sums.clear(), plan.partial_count = 0;
  for (size_t i = 0; i < plan.ops.size(); i++) plan.summing_phase = plan.phases[i], plan.ops[i]->add_sums(plan, rows);
  plan.sums_table.assign(plan.sums);
  plan.partials.reserve(static_cast<size_t>(plan.partial_count) * sizeof(double));
  plan.row_numbers.reserve(static_cast<size_t>(rows) * sizeof(int32_t));
  plan.staged_row_numbers.reserve(static_cast<size_t>(rows) * sizeof(int32_t));
  plan.staged_scalars.reserve(plan.scalar_count() * sizeof(double));
  plan.staged_scalars_out.reserve((plan.scalar_outputs + 1) * sizeof(double));
}

// Allocates the run's memory and binds the ops to it. Drops graphs, which hold the old addresses.
void prepare(Plan& plan, const mg_run& run) {
  std::vector<void*> memories;
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (!is_row_class(plan.buffers[i])) memories.push_back(run.data[i]);
  const bool grows = run.rows > plan.capacity;
  if (!grows && memories == plan.memories) return;
  const int64_t rows = std::max(run.rows, std::exchange(plan.capacity, 0));
  plan.graphs.clear();
  if (grows) {
    reserve_rows(plan, rows);
    for (Plan::Arrival& arrival : plan.arrivals) arrival.data_set = 0;  // its memory is replaced
  }
  mg_run largest = run;
  largest.rows = rows;
  const Context context(plan, largest);
  for (const auto& op : plan.ops) op->bind(context);
  plan.memories = std::move(memories), plan.capacity = rows;
}

// The rows' numbers in the data set on the device. They fit: see keep_data_set.
void stage_row_numbers(Plan& plan, const mg_run& run) {
  auto* numbers = plan.staged_row_numbers.data<int32_t>();
  if (run.row_index != nullptr)
    std::copy_n(run.row_index, run.rows, numbers);
  else
    std::iota(numbers, numbers + run.rows, static_cast<int32_t>(run.data_set_first));
  std::fill(numbers + run.rows, numbers + plan.computed_rows(run.rows), numbers[run.rows - 1]);
}

void stage_scalars(Plan& plan, const mg_run& run) {
  auto* scalars = plan.staged_scalars.data<double>();
  std::copy_n(run.scalars_in, plan.scalar_inputs, scalars);
  scalars[plan.scalar_inputs] = static_cast<double>(run.first_row);
  if (run.first_phase == MG_PHASE_ROWS)  // start from 0: the host adds up the parts of the rows
    std::fill_n(scalars + plan.scalar_inputs + 1, plan.scalar_outputs, 0.0);
  else
    std::copy_n(run.scalars_out, plan.scalar_outputs, scalars + plan.scalar_inputs + 1);
}

void queue_inputs(const Context& context, bool rows, bool resident) {
  Plan& plan = context.plan;
  plan.stream->upload(plan.scalars.data(), plan.staged_scalars.data(), plan.scalar_count() * sizeof(double));
  if (!rows) return;
  if (resident) {
    plan.stream->upload(plan.row_numbers.data(), plan.staged_row_numbers.data(), static_cast<size_t>(context.rows) * sizeof(int32_t));
    launch_gather_inputs(context);
  } else {
    launch_place_inputs(context);
  }
}

void queue_ops(const Context& context, bool packs, const Phases& phases) {
  Plan& plan = context.plan;
  // The number of ops in phases before `phase`.
  const auto before = [&](int32_t phase) {
    return plan.ops.begin() + (std::lower_bound(plan.phases.begin(), plan.phases.end(), phase) - plan.phases.begin());
  };
  const auto begin = before(phases.first), end = before(phases.last + 1), rows_end = std::max(begin, std::min(before(MG_PHASE_ROWS + 1), end));
  const bool forks = std::any_of(rows_end, end, [](const auto& op) { return op->starts_early(); });
  if (forks) {
    plan.side->wait_for(*plan.stream);
    const Context beside(context, *plan.side);
    std::for_each(rows_end, end, [&](const auto& op) { op->launch_early(beside); });
  }
  clear_partials(context);
  if (packs) launch_pack(context);
  std::for_each(begin, rows_end, [&](const auto& op) { op->launch(context); });
  if (forks) plan.stream->wait_for(*plan.side);
  std::for_each(rows_end, end, [&](const auto& op) { op->launch(context); });
  launch_scalar_sums(context, phases);
}

void queue_outputs(Plan& plan, const mg_run& run, bool rows) {
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (rows && plan.is_output(i))
      plan.stream->download(plan.staging[i]->data(), plan.regions[i]->data(), static_cast<size_t>(run.rows) * plan.row_bytes(i));
  if (plan.scalar_outputs > 0) plan.stream->download(plan.staged_scalars_out.data(), plan.scalars_out.data(), plan.scalar_outputs * sizeof(double));
}

// Captures the work that `queue` puts on the stream as a graph.
template <class Queue>
Graph capture(Stream& stream, const Queue& queue) {
  stream.begin_capture();
  try {
    queue();
  } catch (...) {
    try {
      stream.end_capture();  // else the stream stays unusable
    } catch (const Fault&) {
    }
    throw;
  }
  return stream.end_capture();
}

// The graph of these phases of the run, all of whose rows it computes. resident: see Plan::Captured.
const Graph& captured(Plan& plan, const mg_run& run, bool packs, const Phases& phases, bool resident) {
  const bool rows = phases.has(MG_PHASE_ROWS);
  const auto known = std::find_if(plan.graphs.begin(), plan.graphs.end(), [&](const Plan::Captured& graph) {
    return graph.rows == run.rows && graph.packs == packs && graph.phases == phases &&
           (!rows || (graph.resident == resident && graph.row_from == plan.row_from));
  });
  if (known != plan.graphs.end()) {
    std::rotate(known, known + 1, plan.graphs.end());
    return plan.graphs.back().graph;
  }
  const Context context(plan, run);
  Graph graph = capture(*plan.stream, [&] {
    queue_inputs(context, rows, resident);
    queue_ops(context, packs, phases);
    queue_outputs(plan, run, rows);
  });
  if (plan.graphs.size() >= kMostGraphs) plan.graphs.erase(plan.graphs.begin());
  plan.graphs.push_back({run.rows, packs, phases, resident, plan.row_from, std::move(graph)});
  return plan.graphs.back().graph;
}

// Runs these rows at once and adds the results to scalars_out.
void execute_part(Plan& plan, const mg_run& run, const Phases& phases) {
  mg_run computed = run;
  computed.rows = plan.computed_rows(run.rows);
  prepare(plan, computed);
  const KeptColumns kept = keep_data_set(plan, run);  // until the run ends
  const bool resident = !kept.empty();
  resident ? stage_row_numbers(plan, run) : bring_rows(plan, run);
  stage_scalars(plan, run);
  const void* store = plan.parameter_buffer < 0 ? nullptr : run.data[plan.parameter_buffer];
  const bool packs = !plan.weights.empty() && (plan.packed_from != store || plan.packed_version != run.parameter_version);
  plan.packed_from = nullptr;
  plan.stream->run(captured(plan, computed, packs, phases, resident));
  // From here on the step counts: nothing but the stream's own failure may end the run, and nothing may leave it unfinished.
  if (!resident) bring_next_rows(plan, run);
  plan.stream->synchronize();
  plan.packed_from = store, plan.packed_version = run.parameter_version;
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (plan.is_output(i)) std::memcpy(run.data[i], plan.staging[i]->data(), static_cast<size_t>(run.rows) * plan.row_bytes(i));
  const double* scalars = plan.staged_scalars_out.data<double>();
  for (uint32_t i = 0; i < plan.scalar_outputs; i++) run.scalars_out[i] += scalars[i];
}

// Runs the phases after rows. Their inputs are in device memory.
void execute_later(Plan& plan, const mg_run& run, const Phases& phases) {
  mg_run later = run;
  if (plan.divisible) later.rows = std::min(run.rows, kRowsOfAPart);  // the remaining phases do not process rows
  prepare(plan, later);
  stage_scalars(plan, later);
  plan.stream->run(captured(plan, later, false, phases, false));
  plan.stream->synchronize();
  std::copy_n(plan.staged_scalars_out.data<double>(), plan.scalar_outputs, run.scalars_out);
}

// Selects rows [first, first + rows) of a run.
mg_run part_of(const Plan& plan, const mg_run& run, int64_t first, int64_t rows, std::vector<void*>& data) {
  mg_run part = run;
  part.rows = rows, part.first_row = run.first_row + first;
  part.row_index = run.row_index != nullptr ? run.row_index + first : nullptr;
  part.data_set_first = run.data_set_first + first;
  const int64_t rest = run.rows - first - rows;
  part.next_rows = std::min(kRowsOfAPart, rest > 0 ? rest : run.next_rows);
  data.assign(run.data, run.data + plan.buffers.size());
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (plan.is_output(i) || (plan.is_input(i) && run.row_index == nullptr))
      data[i] = static_cast<char*>(run.data[i]) + static_cast<size_t>(first) * (plan.is_input(i) ? plan.host_row_bytes(run, i) : plan.row_bytes(i));
  part.data = data.data();
  return part;
}

}  // namespace

void execute(Plan& plan, const mg_run& run) {
  const Phases phases{run.first_phase, run.last_phase};
  if (!phases.has(MG_PHASE_ROWS)) return execute_later(plan, run, phases);
  std::fill_n(run.scalars_out, plan.scalar_outputs, 0.0);
  if (!plan.divisible || run.rows <= kRowsOfAPart) return execute_part(plan, run, phases);
  std::vector<void*> data;
  for (int64_t first = 0; first < run.rows; first += kRowsOfAPart) {
    const int64_t rows = std::min(kRowsOfAPart, run.rows - first);
    execute_part(plan, part_of(plan, run, first, rows, data), first + rows == run.rows ? phases : Phases{MG_PHASE_ROWS, MG_PHASE_ROWS});
  }
}

namespace {

// Rows of a padded buffer, from `first_row` on.
float* stored_at(const Plan& plan, int32_t buffer, int64_t first_row) {
  return plan.regions[static_cast<size_t>(buffer)]->data<float>() + first_row * plan.stride(buffer);
}

}  // namespace

void read_stored(Plan& plan, int32_t buffer, int64_t first_row, int64_t rows, float* to) {
  const int64_t width = plan.buffers[static_cast<size_t>(buffer)].width, stride = plan.stride(buffer);
  std::vector<float> wide(static_cast<size_t>(rows * stride));
  copy_from_device(wide.data(), stored_at(plan, buffer, first_row), wide.size() * sizeof(float));
  for (int64_t r = 0; r < rows; r++) std::copy_n(wide.data() + r * stride, width, to + r * width);
}

void write_stored(Plan& plan, int32_t buffer, int64_t first_row, int64_t rows, const float* from) {
  const int64_t width = plan.buffers[static_cast<size_t>(buffer)].width, stride = plan.stride(buffer);
  std::vector<float> wide(static_cast<size_t>(rows * stride), 0.0f);
  for (int64_t r = 0; r < rows; r++) std::copy_n(from + r * width, width, wide.data() + r * stride);
  copy_to_device(stored_at(plan, buffer, first_row), wide.data(), wide.size() * sizeof(float));
}

size_t time_ops(Plan& plan, const mg_run& run, int repeats, double* milliseconds) {
  prepare(plan, run);  // all rows at once, even if a run would split them
  const Context context(plan, run);
  const Graph graph = capture(*plan.stream, [&] { queue_ops(context, !plan.weights.empty() && !plan.divisible, {MG_PHASE_ROWS, MG_PHASE_TABLES}); });
  Timer timer;
  const auto milliseconds_of = [&](int replays) {
    timer.start(*plan.stream);
    for (int i = 0; i < replays; i++) plan.stream->run(graph);
    timer.stop(*plan.stream);
    plan.stream->synchronize();
    return timer.milliseconds() / replays;
  };
  milliseconds_of(1);  // uploads the graph to the device
  const int group = std::clamp(static_cast<int>(kGroupMilliseconds / milliseconds_of(1)), 1, kLargestGroup);
  for (int i = 0; i < repeats; i++) milliseconds[i] = milliseconds_of(group);
  return graph.nodes();
}

std::vector<KernelTime> profile_ops(Plan& plan, const mg_run& run) {
  prepare(plan, run);
  std::vector<KernelTime> times;
  const auto profile = [&](std::vector<KernelTime>* to) { plan.stream->profile(to), plan.side->profile(to); };
  profile(&times);
  try {
    queue_ops(Context(plan, run), !plan.weights.empty() && !plan.divisible, {MG_PHASE_ROWS, MG_PHASE_TABLES});
  } catch (...) {
    profile(nullptr);  // the list is about to be destroyed
    throw;
  }
  profile(nullptr);
  plan.stream->synchronize();
  return times;
}

}  // namespace mg_cuda
