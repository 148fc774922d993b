// One run of a plan: inputs to pinned memory, a graph of copies and kernels, outputs back. See plan.h.
#include <algorithm>
#include <cstring>

#include "cuda/plan.h"
#include "cuda/weights.h"

namespace mg_cuda {
namespace {

constexpr size_t kMostGraphs = 8;  // of a plan: a full batch, a last one, each with and without new weights, and as many again

bool is_input(const mg_buffer& buffer) { return buffer.buffer_class == MG_ROW_INPUT; }
bool is_output(const mg_buffer& buffer) { return buffer.buffer_class == MG_ROW_OUTPUT; }
bool is_row_class(const mg_buffer& buffer) { return buffer.buffer_class <= MG_STORED; }

size_t row_bytes(const Plan& plan, size_t buffer) { return static_cast<size_t>(plan.stride(static_cast<int32_t>(buffer))) * sizeof(float); }

// Device and pinned memory for so many rows. Graphs know the old addresses.
void reserve(Plan& plan, const mg_run& run) {
  const int64_t rows = run.rows;
  if (rows <= plan.capacity) return;
  plan.capacity = 0;
  plan.graphs.clear();
  plan.regions.resize(plan.buffers.size());
  plan.staging.resize(plan.buffers.size());
  for (size_t i = 0; i < plan.buffers.size(); i++) {
    if (!plan.has_rows(i)) continue;
    const size_t bytes = static_cast<size_t>(rows) * row_bytes(plan, i);
    if (!plan.regions[i]) plan.regions[i] = std::make_unique<DeviceMemory>();
    plan.regions[i]->reserve(bytes);
    if (!is_input(plan.buffers[i]) && !is_output(plan.buffers[i])) continue;
    if (!plan.staging[i]) plan.staging[i] = std::make_unique<PinnedMemory>();
    plan.staging[i]->reserve(bytes);
  }
  plan.packed.reserve(static_cast<size_t>(plan.packed_floats) * sizeof(float));
  plan.packed_from = nullptr;
  // Scratch does not always grow with rows: what any smaller run may need counts too.
  const int64_t slots = plan.most_slots(rows);
  size_t scratch = 0;
  for (int64_t some = rows;; some /= 2) {
    for (const auto& op : plan.ops) scratch = std::max(scratch, op->scratch_bytes(plan, some));
    if (some <= 1) break;
  }
  plan.slots.reserve(static_cast<size_t>(slots * plan.slot_floats) * sizeof(float));
  plan.scratch.reserve(scratch);
  plan.scalars.reserve((plan.scalar_inputs + 1) * sizeof(double));
  plan.scalars_out.reserve((plan.scalar_outputs + 1) * sizeof(double));
  plan.staged_scalars.reserve((plan.scalar_inputs + 1) * sizeof(double));
  plan.staged_scalars_out.reserve((plan.scalar_outputs + 1) * sizeof(double));
  const Context context(plan, run);
  for (const auto& op : plan.ops) op->bind(context);
  plan.capacity = rows;
}

// The rows of every input, picked by row_index, into pinned memory.
void stage(Plan& plan, const mg_run& run) {
  for (size_t i = 0; i < plan.buffers.size(); i++) {
    if (!is_input(plan.buffers[i])) continue;
    const size_t bytes = row_bytes(plan, i);
    const auto* from = static_cast<const char*>(run.data[i]);
    char* to = plan.staging[i]->data<char>();
    if (run.row_index == nullptr) {
      std::memcpy(to, from, static_cast<size_t>(run.rows) * bytes);
      continue;
    }
    for (int64_t r = 0; r < run.rows; r++)
      std::memcpy(to + static_cast<size_t>(r) * bytes, from + static_cast<size_t>(run.row_index[r]) * bytes, bytes);
  }
  auto* scalars = plan.staged_scalars.data<double>();
  std::copy_n(run.scalars_in, plan.scalar_inputs, scalars);
  scalars[plan.scalar_inputs] = static_cast<double>(run.first_row);
}

void queue(Plan& plan, const mg_run& run, bool packs) {
  const Context context(plan, run);
  Stream& stream = *plan.stream;
  const auto bytes = [&](size_t i) { return static_cast<size_t>(run.rows) * row_bytes(plan, i); };
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (is_input(plan.buffers[i])) stream.upload(plan.regions[i]->data(), plan.staging[i]->data(), bytes(i));
  stream.upload(plan.scalars.data(), plan.staged_scalars.data(), (plan.scalar_inputs + 1) * sizeof(double));
  if (plan.scalar_outputs > 0) stream.zero(plan.scalars_out.data(), plan.scalar_outputs * sizeof(double));
  if (packs) launch_pack(context);
  for (const auto& op : plan.ops) op->launch(context);
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (is_output(plan.buffers[i])) stream.download(plan.staging[i]->data(), plan.regions[i]->data(), bytes(i));
  if (plan.scalar_outputs > 0)
    stream.download(plan.staged_scalars_out.data(), plan.scalars_out.data(), plan.scalar_outputs * sizeof(double));
}

const Graph& captured(Plan& plan, const mg_run& run, bool packs) {
  std::vector<void*> memories;
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (!is_row_class(plan.buffers[i])) memories.push_back(run.data[i]);
  for (const Plan::Captured& known : plan.graphs)
    if (known.rows == run.rows && known.packs == packs && known.memories == memories) return known.graph;
  plan.stream->begin_capture();
  try {
    queue(plan, run, packs);
  } catch (...) {
    try {
      plan.stream->end_capture();  // or the stream stays unusable
    } catch (const Fault&) {
    }
    throw;
  }
  Graph graph = plan.stream->end_capture();
  if (plan.graphs.size() >= kMostGraphs) plan.graphs.erase(plan.graphs.begin());
  plan.graphs.push_back({run.rows, packs, std::move(memories), std::move(graph)});
  return plan.graphs.back().graph;
}

}  // namespace

void execute(Plan& plan, const mg_run& run) {
  reserve(plan, run);
  stage(plan, run);
  const void* store = plan.parameter_buffer < 0 ? nullptr : run.data[plan.parameter_buffer];
  const bool packs = !plan.weights.empty() && (plan.packed_from != store || plan.packed_version != run.parameter_version);
  plan.packed_from = nullptr;
  plan.stream->run(captured(plan, run, packs));
  plan.stream->synchronize();
  plan.packed_from = store, plan.packed_version = run.parameter_version;
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (is_output(plan.buffers[i]))
      std::memcpy(run.data[i], plan.staging[i]->data(), static_cast<size_t>(run.rows) * row_bytes(plan, i));
  std::copy_n(plan.staged_scalars_out.data<double>(), plan.scalar_outputs, run.scalars_out);
}

}  // namespace mg_cuda
