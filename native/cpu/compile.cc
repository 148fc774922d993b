// Program -> plan: resolves views, lays out the arena, packed copies and slots, and chooses the rows of a block.
#include "abi/aligned.h"
#include "cpu/plan.h"

#include <algorithm>
#include <bit>
#include <new>
#include <stdexcept>

namespace mg {
namespace {

// Rows of a block. The arena should stay in L2 beside the weights that stream through it. Each block reads and writes a slot
// too large for L2 once: then a block has enough rows that this takes under a tenth of the time of the products.
// docs/architecture.md has the byte count, bench/NOTES.md the measurements.
constexpr int64_t kArenaBytes = 768 << 10, kSlotBytesInL2 = 1 << 20;
constexpr int64_t kLeastBlockRows = 64, kLeastBlockRowsOfLargeSlots = 160, kMostBlockRows = 256, kBlockStep = 16;

// The least work of a block when predictions of a few rows are cut into blocks. More blocks would not help: a block costs a
// thread some microseconds to fetch, and each reads all weights again. Two blocks for two threads pay off with less.
constexpr int64_t kLeastBlockFlops = 2'000'000, kMostSmallBlocks = 8;
constexpr int64_t kFlopsOfArenaFloat = 8;  // cost of writing a number to the arena, in multiply-adds
// The same for training steps of a few rows: each block also passes over a slot.
constexpr int64_t kLeastTrainedRows = 128;

// More slots let more threads share the gradient, but each step sums every slot.
constexpr int64_t kMostSlots = 16, kMostSlotBytes = int64_t{256} << 20;

}  // namespace

Floats::~Floats() { mg_aligned_delete(data_); }

void Floats::reserve(int64_t count) {
  if (count <= count_) return;
  mg_aligned_delete(data_);
  data_ = nullptr, count_ = 0;
  // One extra vector: kernels may read a whole vector at the last element.
  const size_t bytes = static_cast<size_t>(padded(count) + kPad) * sizeof(float);
  data_ = static_cast<float*>(mg_aligned_new(bytes));
  if (!data_) throw std::bad_alloc();
  std::fill_n(data_, bytes / sizeof(float), 0.0f);
  count_ = count;
}

int64_t Plan::slot_count(int64_t rows) const {
  const int64_t blocks = block_count(rows);
  int64_t slots = std::clamp<int64_t>(blocks <= kMostSmallBlocks ? blocks : blocks / 2, 1, kMostSlots);
  if (slot_floats > 0) slots = std::clamp<int64_t>(kMostSlotBytes / (slot_floats * 4), 1, slots);
  if (!has_gradients) slots = std::clamp<int64_t>(blocks, 1, 256);  // slots separate only losses
  return slots;
}

int64_t Plan::block_rows_for(int64_t rows) const {
  // A power of two gives two, four or eight threads equal shares.
  auto blocks = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::clamp<int64_t>(rows / least_block_rows, 1, kMostSmallBlocks))));
  if (blocks == 1 && 5 * rows >= 4 * least_block_rows) blocks = 2;
  return least_block_rows == block_rows ? block_rows : std::min((rows + blocks - 1) / blocks, block_rows);
}

const int32_t* Plan::ids_of(int32_t buffer) const {
  return std::find_if(id_inputs.begin(), id_inputs.end(), [&](const IdInput& input) { return input.buffer == buffer; })->ids;
}

RowPointer Block::at(const Rows& view) const {
  const auto in_arena = [&](int64_t region) { return arena + region * plan.block_rows + view.column; };
  switch (view.place) {
    case Rows::Place::kInput: {
      if (run.row_index) return {in_arena(view.region), view.stride};
      const int64_t stride = run.row_stride ? run.row_stride : view.stride;
      return {static_cast<float*>(run.data[view.buffer]) + first_row * stride + view.column, stride};
    }
    case Rows::Place::kOutput: return {static_cast<float*>(run.data[view.buffer]) + first_row * view.stride + view.column, view.stride};
    case Rows::Place::kArena: return {in_arena(view.region), view.stride};
    case Rows::Place::kScratch: return {in_arena(plan.scratch_region + view.region), view.stride};
    case Rows::Place::kStored: return {plan.stored.data() + view.region * run.rows + first_row * view.stride + view.column, view.stride};
    case Rows::Place::kNone: break;
  }
  return {nullptr, 0};
}

float* Block::fixed(int64_t offset) const { return arena + plan.arena_row_floats * plan.block_rows + offset; }

// Rows a multiple of 1 KiB apart share four sets of L1, and products over rows read a line of each row.
static bool meet_in_cache(int64_t stride) { return stride % 256 == 0; }

PlanBuilder::PlanBuilder(Plan& target) : plan(target), regions_(target.buffers.size()) {}

Rows PlanBuilder::rows(const mg_view& view) {
  if (view.buffer < 0) return {};
  const mg_buffer& buffer = plan.buffers[static_cast<size_t>(view.buffer)];
  Rows& known = regions_[static_cast<size_t>(view.buffer)];
  if (!known) {
    known.buffer = view.buffer;
    known.stride = buffer.width;
    switch (buffer.buffer_class) {
      case MG_ROW_INPUT:
        known.place = Rows::Place::kInput;
        known.region = plan.arena_row_floats;
        if (plan.has_gradients && meet_in_cache(buffer.width)) known.place = Rows::Place::kArena, known.stride += kPad;
        plan.arena_row_floats += padded(known.stride);
        plan.copied_inputs.push_back({view.buffer, known.region, known.stride, known.place == Rows::Place::kArena});
        break;
      case MG_ROW_OUTPUT: known.place = Rows::Place::kOutput; break;
      case MG_STORED:
        known.place = Rows::Place::kStored;
        known.stride = padded(buffer.width);
        known.region = plan.stored_row_floats;
        plan.stored_row_floats += known.stride;
        break;
      default: known = region(-1, buffer.width); known.buffer = view.buffer;
    }
  }
  Rows result = known;
  result.column = view.offset;
  result.width = view.width;
  return result;
}

const mg_view& PlanBuilder::ids(const mg_view& view) {
  const auto same = [&](const IdInput& input) { return input.buffer == view.buffer; };
  if (std::none_of(plan.id_inputs.begin(), plan.id_inputs.end(), same)) {
    plan.id_inputs.push_back({view.buffer, view.width, plan.id_row_width, nullptr});
    plan.id_row_width += view.width;
  }
  return view;
}

Rows PlanBuilder::region(int32_t buffer, int64_t width) {
  if (buffer >= 0 && regions_[static_cast<size_t>(buffer)]) return regions_[static_cast<size_t>(buffer)];
  Rows fresh;
  fresh.place = Rows::Place::kArena;
  fresh.buffer = buffer;
  fresh.region = plan.arena_row_floats;
  fresh.stride = fresh.width = padded(width);
  if (meet_in_cache(fresh.stride)) fresh.stride += kPad;
  plan.arena_row_floats += fresh.stride;
  if (buffer >= 0) regions_[static_cast<size_t>(buffer)] = fresh;
  return fresh;
}

Rows PlanBuilder::scratch(int64_t width, int64_t in_front) {
  scratch_width_ = std::max(scratch_width_, in_front + padded(width));
  Rows result;
  result.region = in_front;
  result.place = Rows::Place::kScratch;
  result.stride = result.width = padded(width);
  return result;
}

std::pair<Rows, bool> PlanBuilder::dropout_bits(const mg_dropout& op) {
  for (const auto& [known, bits] : dropouts_)
    if (known.seed == op.seed && known.stream == op.stream && known.step == op.step && known.rate == op.rate && known.x.width == op.x.width)
      return {bits, true};
  dropouts_.emplace_back(op, region(-1, (op.x.width + 31) / 32));
  return {dropouts_.back().second, false};
}

int64_t PlanBuilder::fixed(int64_t floats) {
  const int64_t at = plan.arena_fixed_floats;
  plan.arena_fixed_floats += padded(floats);
  return at;
}

int64_t PlanBuilder::aligned(int64_t columns) const {
  const int64_t to = plan.bfloat16 ? std::max(kPad, plan.kernels->panel) : kPad;
  return (columns + to - 1) / to * to;
}

PlanWeights& PlanBuilder::weights(int64_t depth, int64_t columns, std::vector<WeightColumns> parts, int64_t rounded) {
  const auto same = [](const WeightColumns& a, const WeightColumns& b) {
    return a.column == b.column && a.count == b.count && a.offset == b.offset && a.stride == b.stride && a.bias == b.bias;
  };
  const int64_t first = parts.empty() ? -1 : parts.front().offset;
  const int64_t rounded_columns = plan.bfloat16 ? aligned(rounded) : 0;
  const auto [from, to] = weights_at_.equal_range(first);
  for (auto at = from; first >= 0 && at != to; ++at) {
    PlanWeights& known = *plan.weights[at->second];
    if (known.weights.depth == depth && known.weights.rounded == rounded_columns &&
        std::equal(parts.begin(), parts.end(), known.parts.begin(), known.parts.end(), same))
      return known;
  }
  weights_at_.emplace(first, plan.weights.size());
  auto fresh = std::make_unique<PlanWeights>();
  fresh->parts = std::move(parts);
  fresh->weights.depth = depth, fresh->weights.columns = aligned(columns);
  fresh->weights.parts = fresh->parts.data(), fresh->weights.part_count = static_cast<int64_t>(fresh->parts.size());
  fresh->weights.rounded = rounded_columns;
  fresh->weights.forward_depth = plan.bfloat16 ? std::max(depth, padded((depth + 1) / 2)) : depth;
  plan.weights.push_back(std::move(fresh));
  return *plan.weights.back();
}

GradientPlace PlanBuilder::need_gradient(PlanWeights& weights, const mg_view& gradients) {
  if (gradients.buffer < 0) return {-1, false};
  for (const SlotGradient& known : weights.gradients)
    if (known.buffer == gradients.buffer) return {known.at, true};
  weights.gradients.push_back({gradients.buffer, plan.slot_floats});
  plan.slot_floats += (weights.weights.depth + 1) * weights.weights.columns;
  return {weights.gradients.back().at, false};
}

void PlanBuilder::finish() {
  plan.scratch_region = plan.arena_row_floats;
  plan.arena_row_floats += scratch_width_;
  const int64_t row_bytes = std::max<int64_t>(plan.arena_row_floats, 1) * 4;
  const int64_t least = plan.slot_floats * 4 > kSlotBytesInL2 ? kLeastBlockRowsOfLargeSlots : kLeastBlockRows;
  plan.block_rows = std::clamp(kArenaBytes / row_bytes / kBlockStep * kBlockStep, least, kMostBlockRows);

  const auto panels = [this](int64_t count) { return (count + plan.kernels->panel - 1) / plan.kernels->panel; };
  for (const auto& w : plan.weights) {
    const Weights& m = w->weights;
    w->forward_at = plan.packed_floats;
    plan.packed_floats += panels(m.columns) * m.forward_depth * plan.kernels->panel;
    w->bias_at = plan.packed_floats;
    plan.packed_floats += m.columns;
    w->backward_at = plan.packed_floats;
    if (w->backward) plan.packed_floats += panels(m.depth) * m.columns * plan.kernels->panel;
    plan.packed_floats = padded(plan.packed_floats);
  }

  // Without sums over rows a row's result does not depend on its block.
  plan.least_block_rows = plan.block_rows;
  if (!plan.has_gradients && plan.scalar_outputs == 0) {
    int64_t flops = std::max<int64_t>(1, kFlopsOfArenaFloat * plan.arena_row_floats);  // at least 1, for programs that only gather
    for (const auto& w : plan.weights) flops += 2 * w->weights.depth * w->weights.columns;
    plan.least_block_rows = std::clamp<int64_t>(kLeastBlockFlops / flops, 1, plan.block_rows);
  }

  plan.stored_rows.resize(plan.buffers.size());
  for (size_t i = 0; i < plan.buffers.size(); i++)
    if (regions_[i].place == Rows::Place::kStored) plan.stored_rows[i] = regions_[i];
  if (plan.has_gradients) plan.least_block_rows = std::min(kLeastTrainedRows, plan.block_rows);
}

}  // namespace mg
