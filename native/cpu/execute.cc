// Runs a plan: packs changed weights, processes blocks of rows on all threads, then runs the step ops in order.
#include <algorithm>
#include <cstring>

#include "cpu/plan.h"

namespace mg {
namespace {

void pack(Plan& plan, const mg_run& run, Team& team) {
  if (plan.weights.empty()) return;
  const auto* store = static_cast<const float*>(run.data[plan.parameter_buffer]);
  if (plan.is_packed && plan.packed_from == store && plan.packed_version == run.parameter_version) return;
  plan.packed.reserve(plan.packed_floats);
  for (const auto& w : plan.weights) {
    w->weights.forward = plan.packed.data() + w->forward_at;
    w->weights.bias = plan.packed.data() + w->bias_at;
    w->weights.backward = w->backward ? plan.packed.data() + w->backward_at : nullptr;
  }
  const int64_t panel = plan.kernels->panel;
  int64_t units = 0;
  for (const auto& w : plan.weights) units += (w->weights.columns + panel - 1) / panel + (w->backward ? (w->weights.depth + panel - 1) / panel : 0);
  team.parallel(units, [&](int64_t unit, int) {
    for (const auto& w : plan.weights) {
      const int64_t forward = (w->weights.columns + panel - 1) / panel;
      const int64_t backward = w->backward ? (w->weights.depth + panel - 1) / panel : 0;
      if (unit < forward) return plan.kernels->pack_forward(&w->weights, store, unit);
      unit -= forward;
      if (unit < backward) return plan.kernels->pack_backward(&w->weights, store, unit);
      unit -= backward;
    }
  });
  plan.packed_from = store;
  plan.packed_version = run.parameter_version;
  plan.is_packed = true;
}

constexpr int64_t kAhead = 16;    // rows to prefetch
constexpr int64_t kIdRows = 512;  // rows in a unit of ids

// Copies rows `first` to first + rows of a row input.
void copy_rows(const Plan& plan, const mg_run& run, int32_t buffer, int64_t first, int64_t rows, float* to, int64_t stride) {
  const int64_t width = plan.buffers[static_cast<size_t>(buffer)].width, from_stride = run.row_stride ? run.row_stride : width;
  const auto* from = static_cast<const float*>(run.data[buffer]);
  const int32_t* const index = run.row_index ? run.row_index + first : nullptr;
  const auto row = [&](int64_t r) { return from + (index ? index[r] : first + r) * from_stride; };
  const auto fetch = [&](int64_t r) { __builtin_prefetch(row(r)), __builtin_prefetch(row(r) + width - 1); };
  for (int64_t r = 0; r < std::min(kAhead, rows); r++) fetch(r);
  for (int64_t r = 0; r < rows; r++, to += stride) {
    if (r + kAhead < rows) fetch(r + kAhead);
    if (width == 1)  // most inputs are one wide: avoid a call
      *to = *row(r);
    else
      std::memcpy(to, row(r), static_cast<size_t>(width) * sizeof(float));
  }
}

void bring_ids(Plan& plan, const mg_run& run, Team& team) {
  const bool apart = run.row_index || run.row_stride;
  if (apart) plan.ids.reserve(plan.id_row_width * run.rows);
  for (IdInput& input : plan.id_inputs)
    input.ids = static_cast<const int32_t*>(apart ? plan.ids.data() + input.region * run.rows : run.data[input.buffer]);
  if (!apart || plan.id_inputs.empty()) return;
  team.parallel((run.rows + kIdRows - 1) / kIdRows, [&](int64_t unit, int) {
    const int64_t first = unit * kIdRows, rows = std::min(kIdRows, run.rows - first);
    for (const IdInput& input : plan.id_inputs)
      copy_rows(plan, run, input.buffer, first, rows, plan.ids.data() + input.region * run.rows + first * input.width, input.width);
  });
}

// Copies the block's rows of row inputs into the arena: all inputs if row_index picks rows, else those marked `always`.
void copy_inputs(const Block& block) {
  for (const CopiedInput& input : block.plan.copied_inputs)
    if (block.run.row_index || input.always)
      copy_rows(block.plan, block.run, input.buffer, block.first_row, block.rows, block.arena + input.region * block.plan.block_rows, input.stride);
}

void work_slot(const Plan& plan, const mg_run& run, int64_t slot, int64_t slots, float* arena, double* losses) {
  const int64_t block_rows = plan.block_rows_for(run.rows);
  const auto [first, end] = unit_range(slot, slots, plan.block_count(run.rows));
  for (int64_t b = first; b < end; b++) {
    const int64_t row = b * block_rows;
    const Block block{plan, run, row, std::min(block_rows, run.rows - row), arena, plan.slots.data() + slot * plan.slot_floats, b == first, losses};
    copy_inputs(block);
    for (const auto& op : plan.rows_ops) op->run(block);
  }
}

// Holds a team during one run, even if the run throws. A single thread needs neither the pool nor its lock.
class GatheredTeam {
 public:
  GatheredTeam(Pool& pool, int threads) : pool_(pool), gathered_(threads > 1 ? &pool.gather(threads) : nullptr) {}
  ~GatheredTeam() {
    if (gathered_) pool_.dismiss(*gathered_);
  }
  Team& operator*() { return gathered_ ? *gathered_ : alone_; }

 private:
  Pool& pool_;
  Team* gathered_;
  Team alone_;
};

// Reserves room for the step and counts the useful threads.
int prepare(Plan& plan, const mg_run& run, int64_t slots) {
  int64_t early = 0;
  for (const auto& op : plan.step_ops) early += op->early_units(plan);
  const int threads = static_cast<int>(std::clamp<int64_t>(run.threads, 1, std::max<int64_t>(slots + early, 1)));
  if (run.first_phase != MG_PHASE_ROWS) return threads;
  for (const auto& op : plan.step_ops) op->reserve(plan, run.rows);
  while (static_cast<int>(plan.arenas.size()) < threads) plan.arenas.push_back(std::make_unique<Floats>());
  for (int i = 0; i < threads; i++) plan.arenas[static_cast<size_t>(i)]->reserve(plan.arena_floats());
  plan.stored.reserve(plan.stored_row_floats * run.rows);
  plan.slots.reserve(plan.slot_floats * slots);
  plan.losses.assign(static_cast<size_t>(slots) * plan.scalar_outputs, 0.0);
  plan.rows = run.rows;
  return threads;
}

void work_rows(Plan& plan, const mg_run& run, Team& team, int64_t slots) {
  pack(plan, run, team);
  bring_ids(plan, run, team);
  int64_t early = 0;
  for (const auto& op : plan.step_ops) early += op->early_units(plan);
  team.parallel(early + slots, [&](int64_t unit, int member) {
    for (const auto& op : plan.step_ops) {
      const int64_t units = op->early_units(plan);
      if (unit < units) return op->early(plan, run, unit);
      unit -= units;
    }
    work_slot(plan, run, unit, slots, plan.arenas[static_cast<size_t>(member)]->data(), plan.losses.data() + unit * plan.scalar_outputs);
  });
  std::fill_n(run.scalars_out, plan.scalar_outputs, 0.0);
  for (int64_t s = 0; s < slots; s++)
    for (uint32_t i = 0; i < plan.scalar_outputs; i++) run.scalars_out[i] += plan.losses[static_cast<size_t>(s) * plan.scalar_outputs + i];
}

}  // namespace

RowPointer stored_at(const Plan& plan, int32_t buffer, int64_t row) {
  const Rows& place = plan.stored_rows[static_cast<size_t>(buffer)];
  return {plan.stored.data() + place.region * plan.rows + row * place.stride, place.stride};
}

void execute(Plan& plan, const mg_run& run) {
  const int64_t slots = plan.slot_count(run.rows);
  const int threads = prepare(plan, run, slots);
  GatheredTeam gathered(*plan.pool, threads);
  Team& team = *gathered;
  if (run.first_phase == MG_PHASE_ROWS) work_rows(plan, run, team, slots);
  for (const auto& op : plan.step_ops)
    if (run.first_phase <= op->phase && op->phase <= run.last_phase) op->run(plan, run, team);
}

}  // namespace mg
