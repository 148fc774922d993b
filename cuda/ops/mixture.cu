// Compiles a mixture's topology to combined weights, tables for the kernels and the shape of their blocks. See mixture.h.
#include "cuda/ops/mixture_cores.h"

#include <algorithm>
#include <cstring>

#include "cuda/ops/activation.h"

namespace mg_cuda {
namespace {

constexpr int64_t kColumnsOfDz = 32;  // so that logits start on a whole tile in the products of backward

int64_t rounded_up(int64_t count, int64_t size) { return blocks_of(count, size) * size; }

// Lanes that load runs of two rows, or single places of 32 / alignment, use different banks. Runs stay aligned.
int32_t seat_stride(int64_t places, int64_t alignment) {
  const int64_t period = 2 * alignment;
  return static_cast<int32_t>(rounded_up(places, alignment) + (rounded_up(places, alignment) % period == 0 ? alignment : 0));
}

// Lanes read 16 bytes: four t and the g of two rows cover all banks.
int32_t x_stride(int64_t depth) { return static_cast<int32_t>(rounded_up(depth, kLeastPiece) + kLeastPiece / 2); }

int64_t bytes_of(const MixtureLayout& layout) { return layout.floats() * static_cast<int64_t>(sizeof(float)); }

int32_t tile_floats(Precision precision, int piece, int panels) { return static_cast<int32_t>(panels * panel_floats(precision, piece)); }

// Appends a table and returns its place.
template <class T>
int32_t append(std::vector<int32_t>& words, const std::vector<T>& table) {
  const auto at = static_cast<int32_t>(words.size());
  words.resize(words.size() + table.size() * sizeof(T) / sizeof(int32_t));
  if (!table.empty()) std::memcpy(words.data() + at, table.data(), table.size() * sizeof(T));
  return at;
}

// The number of panels of each of `tiles` tiles: they differ by at most one.
int64_t panels_of_tile(int64_t panels, int64_t tiles, int64_t number) { return panels * (number + 1) / tiles - panels * number / tiles; }

// What blocks of `rows_of_block` rows cost the busiest multiprocessor, in rows. `together`: blocks that run on a multiprocessor at the same time.
int64_t work_of(int64_t rows, int64_t rows_of_block, int64_t together) {
  constexpr int64_t kRowsOfABlock = 32;  // a block's work besides its rows' products
  const int64_t waves = blocks_of(blocks_of(rows, rows_of_block), device_facts().multiprocessors * together);
  return waves * (together * rows_of_block + kRowsOfABlock);
}

}  // namespace

template <class Op>
void compile_topology(PlanBuilder& builder, const Op& op, MixtureTopology& t) {
  const uint32_t experts = op.expert_stream.count, gates = op.gate_stream.count;
  const int64_t units = op.units;
  t.streams = kept(op.streams), t.expert_stream = kept(op.expert_stream);
  t.expert_column.resize(experts), t.expert_panel.resize(experts);
  t.seen_by.resize(experts), t.expert_place.resize(experts);
  for (uint32_t j = 0; j < gates; j++)
    for (int64_t seat = op.gate_offset.items[j]; seat < op.gate_offset.items[j + 1]; seat++)
      t.seen_by[static_cast<size_t>(op.gate_expert.items[seat])].push_back(static_cast<int32_t>(j));
  size_t longest = 1;
  for (const auto& seen : t.seen_by) longest = std::max(longest, seen.size());
  t.run_alignment = longest >= 3 ? 4 : static_cast<int64_t>(longest);
  int64_t places = 0;
  for (uint32_t i = 0; i < experts; i++) {
    t.expert_place[i] = static_cast<int32_t>(places);
    places += rounded_up(static_cast<int64_t>(t.seen_by[i].size()), t.run_alignment);
  }
  const auto place_of = [&](uint32_t gate, int64_t seat) {
    const auto expert = static_cast<size_t>(op.gate_expert.items[seat]);
    const auto& seen = t.seen_by[expert];
    return t.expert_place[expert] + static_cast<int32_t>(std::lower_bound(seen.begin(), seen.end(), static_cast<int32_t>(gate)) - seen.begin());
  };
  for (uint32_t j = 0; j < gates; j++)
    for (int64_t seat = op.gate_offset.items[j]; seat < op.gate_offset.items[j + 1]; seat++) t.places_of_seats.push_back(place_of(j, seat));
  Mixture& m = t.mixture;
  m.stream_count = static_cast<int32_t>(op.streams.count), m.gate_count = static_cast<int32_t>(gates), m.expert_count = static_cast<int32_t>(experts);
  m.place_count = static_cast<int32_t>(places), m.run_alignment = static_cast<int32_t>(t.run_alignment), m.units = static_cast<int32_t>(units),
  m.activation = static_cast<int32_t>(op.activation);
  m.inverse_temperature = static_cast<float>(1 / op.temperature);
  std::vector<int64_t> logits_of_stream(op.streams.count, 0);
  for (uint32_t j = 0; j < gates; j++)
    logits_of_stream[static_cast<size_t>(op.gate_stream.items[j])] += op.gate_offset.items[j + 1] - op.gate_offset.items[j];
  for (const mg_view& stream : t.streams) t.depth = std::max(t.depth, stream.width);
  t.most_logits = *std::max_element(logits_of_stream.begin(), logits_of_stream.end());
  t.cores = t.fits_cores(builder.plan);
  const int64_t expert_panels = t.cores ? rounded_up(units, t.core_columns()) / kPanel : blocks_of(units, kPanel);
  for (uint32_t s = 0; s < op.streams.count; s++) {
    const int64_t depth = op.streams.items[s].width;
    std::vector<WeightColumns> parts;
    int64_t count = 0;
    for (uint32_t i = 0; i < experts; i++) {
      if (op.expert_stream.items[i] != s) continue;
      t.expert_column[i] = static_cast<int32_t>(count * padded(units));
      t.expert_panel[i] = static_cast<int32_t>(count * expert_panels);
      parts.push_back({count * padded(units), units, op.expert_kernel.items[s].offset + count * depth * units, units,
                       op.expert_bias.offset + i * units, t.expert_panel[i] * kPanel});
      count++;
    }
    const int64_t experts_panels = t.cores ? rounded_up(count * expert_panels, kTilePanels) : count * expert_panels;
    const int64_t experts_end = count * padded(units), logits_begin = rounded_up(experts_end, kColumnsOfDz);
    const size_t first_logit = t.places_of_logits.size();
    int64_t column = logits_begin;
    for (uint32_t j = 0; j < gates; j++) {
      if (op.gate_stream.items[j] != s) continue;
      const int64_t from = op.gate_offset.items[j], seen = op.gate_offset.items[j + 1] - from;
      parts.push_back({column, seen, op.gate_kernel.items[j].offset, seen, op.gate_bias.count > 0 ? op.gate_bias.items[j].offset : -1,
                       experts_panels * kPanel + column - logits_begin});
      for (int64_t k = 0; k < seen; k++) t.places_of_logits.push_back(place_of(j, from + k));
      column += seen;
    }
    Weights& weights = builder.weights(depth, column, std::move(parts), logits_begin);
    const Precision precision = builder.plan.precision;
    const int64_t logit_panels = rounded_up(blocks_of(column - logits_begin, kPanel), t.cores ? kLogitTilePanels : 1);
    if (t.cores)
      builder.need_panels(weights, {-1, experts_panels, logit_panels, true},
                          (experts_panels + kLogitParts * logit_panels) * core_panel_floats(depth));
    else
      builder.need_panels(weights, {-1, experts_panels, 0, false},
                          experts_panels * panel_floats(precision, depth) + logit_panels * panel_floats(Precision::kFloat32, depth));
    t.weights.push_back(&weights);
    t.ranges.push_back({t.columns, t.rounded, static_cast<int32_t>(weights.columns), static_cast<int32_t>(experts_end),
                        static_cast<int32_t>(logits_begin), static_cast<int32_t>(column - logits_begin), static_cast<int32_t>(first_logit)});
    t.columns += weights.columns, t.rounded += logits_begin;
  }
  std::vector<int32_t> offsets;
  for (uint32_t j = 0; j <= gates; j++) offsets.push_back(static_cast<int32_t>(op.gate_offset.items[j]));
  t.streams_table.assign(t.ranges), t.gate_offset.assign(offsets);
  m.streams = t.streams_table.data(), m.gate_offset = t.gate_offset.data();
  m.seat_count = offsets.back();
}

template void compile_topology(PlanBuilder&, const mg_mixture_forward&, MixtureTopology&);
template void compile_topology(PlanBuilder&, const mg_mixture_backward&, MixtureTopology&);

void MixtureTopology::bind(const Context& context, const MixtureDivision& division, int slices, bool all) {
  const Precision precision = context.plan.precision;
  std::vector<MixtureTile> list;
  const auto whole_items = [&] {
    while (list.size() % kGroups != 0) {
      list.push_back(list.back());
      list.back().weights = nullptr, list.back().width = 0;
    }
    return static_cast<int32_t>(list.size() / kGroups);
  };
  const auto tile = [&](size_t s, const float* panels, int32_t column, int64_t width, int32_t number, Precision of) {
    const Weights& w = *weights[s];
    list.push_back({panels, static_cast<int32_t>(width), static_cast<int32_t>(panel_floats(of, w.depth)), static_cast<int32_t>(s),
                    static_cast<int32_t>(w.depth), number, column, context.at(streams[s]), static_cast<int32_t>(w.columns)});
  };
  for (size_t s = 0; s < streams.size(); s++) {
    const Weights& w = *weights[s];
    const int64_t panels = blocks_of(ranges[s].logits, kPanel), tiles_of_logits = rounded_up(blocks_of(panels, kLogitPanels), kGroups);
    const float* const logits = context.panels(w) + w.panels.rounded * panel_floats(precision, w.depth);
    int64_t first = 0;
    for (int64_t i = 0; i < tiles_of_logits; i++) {
      const int64_t count = panels_of_tile(panels, tiles_of_logits, i), column = first * kPanel;
      const int64_t width = std::min<int64_t>(count * kPanel, ranges[s].logits - column);
      tile(s, count == 0 ? nullptr : logits + first * panel_floats(Precision::kFloat32, w.depth),
           static_cast<int32_t>(ranges[s].logits_begin + column), width, static_cast<int32_t>(ranges[s].first_logit + column), Precision::kFloat32);
      first += count;
    }
  }
  mixture.logit_items = whole_items();
  for (size_t s = 0; s < streams.size(); s++) {
    const Weights& w = *weights[s];
    for (size_t i = 0; i < expert_stream.size(); i++)
      for (int32_t slice = 0; slice < slices && expert_stream[i] == static_cast<int64_t>(s) && (all || !seen_by[i].empty()); slice++) {
        const int32_t column = slice * division.columns();
        tile(s, context.panels(w) + (expert_panel[i] + column / kPanel) * panel_floats(precision, w.depth), expert_column[i] + column,
             mixture.units - column, static_cast<int32_t>(i), precision);
      }
    whole_items();
  }
  mixture.expert_items = whole_items() - mixture.logit_items;
  mixture.slices = slices;
  std::vector<MixtureRun> runs;
  for (int32_t first = 0; first < mixture.gate_count; first += division.gates)
    for (size_t i = 0; i < seen_by.size(); i++) runs.push_back(run_of(i, first, division.gates));
  std::vector<int32_t> words;
  append(words, list);
  mixture.expert_tiles_at = mixture.logit_items * kGroups * static_cast<int32_t>(sizeof(MixtureTile) / sizeof(int32_t));
  mixture.runs_at = append(words, runs);
  assign_tables(words);
}

MixtureRun MixtureTopology::run_of(size_t expert, int32_t first, int gates) const {
  const auto& seen = seen_by[expert];
  const auto from = std::lower_bound(seen.begin(), seen.end(), first), to = std::lower_bound(from, seen.end(), first + gates);
  MixtureRun run{expert_place[expert] + static_cast<int32_t>(from - seen.begin()), 0};
  for (auto gate = from; gate != to; gate++) run.gates |= 1u << (*gate - first);
  if (to - from == gates && run.place % run_alignment == 0) run.gates |= kWholeRun;
  return run;
}

void MixtureTopology::assign_tables(std::vector<int32_t>& words) {
  mixture.logits_at = append(words, places_of_logits), mixture.seats_at = append(words, places_of_seats);
  mixture.table_words = static_cast<int32_t>(words.size());
  tables.assign(words);
  mixture.tables = tables.data();
}

CoreMixture MixtureTopology::bind_cores(const Context& context, int gates) {
  const int64_t expert_panels = rounded_up(mixture.units, core_columns()) / kPanel, slots_of_tile = std::max<int64_t>(kTilePanels / expert_panels, 1);
  CoreMixture cores{};
  cores.tiles_of_expert = static_cast<int32_t>(std::max<int64_t>(expert_panels / kTilePanels, 1));
  std::vector<CoreStream> list;
  std::vector<int32_t> experts;  // by slot; -1: empty
  for (size_t s = 0; s < streams.size(); s++) {
    const Weights& w = *weights[s];
    const auto first_slot = static_cast<int32_t>(experts.size());
    for (size_t i = 0; i < expert_stream.size(); i++)
      if (expert_stream[i] == static_cast<int64_t>(s)) experts.push_back(static_cast<int32_t>(i));
    while ((static_cast<int64_t>(experts.size()) - first_slot) % slots_of_tile != 0) experts.push_back(-1);
    const float* const panels = context.panels(w);
    list.push_back({panels, panels + w.panels.rounded * core_panel_floats(w.depth), context.at(streams[s]), static_cast<int32_t>(w.depth),
                    static_cast<int32_t>((static_cast<int64_t>(experts.size()) - first_slot) / slots_of_tile), first_slot,
                    static_cast<int32_t>(w.panels.parts_apart / kLogitTilePanels), ranges[s].logits, ranges[s].first_logit});
  }
  std::vector<CoreSlot> slots;
  for (int32_t first = 0; first < mixture.gate_count; first += gates)
    for (const int32_t expert : experts) {
      const auto i = static_cast<size_t>(expert);
      slots.push_back(expert < 0 ? CoreSlot{{0, 0}, -1, 0} : CoreSlot{run_of(i, first, gates), expert_column[i], 0});
    }
  std::vector<int32_t> words;
  append(words, list);
  cores.slots_at = append(words, slots), cores.slot_count = static_cast<int32_t>(experts.size());
  assign_tables(words);
  cores.m = mixture;
  return cores;
}

Chosen<CoreLayout> MixtureTopology::core_layout(int64_t rows, int seat_tables) const {
  const auto panel = static_cast<int32_t>(core_panel_floats(depth));
  Chosen<CoreLayout> best{};
  for (int groups = 1; groups <= kMostGroupsOfRows; groups++) {
    CoreLayout l{};
    l.rows = groups * kGroupRows;
    l.x_floats = static_cast<int32_t>(l.rows * cores_of(depth) * 4);
    l.seat_stride = seat_stride(mixture.place_count, run_alignment), l.seat_tables = seat_tables;
    l.table_floats = static_cast<int32_t>(rounded_up(mixture.table_words, 4));
    l.stage_floats = kTilePanels * panel;
    l.stages_floats = kCoreStages * l.stage_floats;
    if (seat_tables == 1)
      l.stages_floats =
          std::max(l.stages_floats, static_cast<int32_t>(kLogitParts * rounded_up(blocks_of(most_logits, kPanel), kLogitTilePanels) * panel));
    const int64_t bytes = l.floats() * static_cast<int64_t>(sizeof(float));
    if (bytes > static_cast<int64_t>(device_facts().shared_bytes)) continue;
    const int64_t fitting = static_cast<int64_t>(device_facts().shared_of_multiprocessor) / (bytes + kSharedOfABlock);
    const int64_t work = work_of(rows, l.rows, std::clamp<int64_t>(fitting, 1, kMostGroupsOfRows / groups));
    if (work <= best.work) best = {{l}, work};
  }
  return best;
}

int MixtureTopology::core_steps() const {
  const auto steps = [](const Weights* w) { return static_cast<int>(cores_of(w->depth) / kStepCores); };
  const int first = steps(weights[0]);
  return std::all_of(weights.begin(), weights.end(), [&](const Weights* w) { return steps(w) == first; }) ? first : 0;
}

bool MixtureTopology::fits_cores(const Plan& plan) const {
  const DeviceFacts& device = device_facts();
  if (plan.precision != Precision::kBfloat16 || !has_warpgroups()) return false;
  if (depth > kMostCoreDepth || most_logits > kMostLogitTiles * kLogitTilePanels * kPanel) return false;
  // The tables do not exist yet: use their largest size, with a pass for every gate.
  const int64_t slots = static_cast<int64_t>(mixture.expert_count + mixture.stream_count) * mixture.gate_count;
  const int64_t words = (mixture.stream_count * sizeof(CoreStream) + slots * sizeof(CoreSlot)) / sizeof(int32_t) + 2 * places_of_seats.size();
  const int64_t bytes = core_layout(1, 2).floats() * static_cast<int64_t>(sizeof(float));
  return bytes > 0 && bytes + words * static_cast<int64_t>(sizeof(int32_t)) <= static_cast<int64_t>(device.shared_bytes);
}

bool MixtureTopology::seats_in_shared(int seat_tables) const {
  // What this device has left for the smallest block with the widest tiles.
  const int64_t stage = kGroups * tile_floats(Precision::kFloat32, kLeastPiece, kLogitPanels) + kWarpRows * x_stride(kLeastPiece);
  const int64_t left =
      static_cast<int64_t>(device_facts().shared_bytes) - kMostTablesInShared - kStages * stage * static_cast<int64_t>(sizeof(float));
  const int64_t bytes = kWarpRows * seat_stride(mixture.place_count, run_alignment) * seat_tables * static_cast<int64_t>(sizeof(float));
  return bytes <= std::min(left, kMostSeatsInShared);
}

size_t MixtureTopology::seat_bytes(int64_t rows, int seat_tables) const {
  if (seats_in_shared(seat_tables)) return 0;
  return static_cast<size_t>((rows + kMostRowWarps * kWarpRows) * mixture.place_count * seat_tables) * sizeof(float);
}

Chosen<MixtureLayout> MixtureTopology::layout(const Plan& plan, int64_t rows, const MixtureDivision& division, int seat_tables,
                                              int64_t passes) const {
  const int64_t multiprocessors = device_facts().multiprocessors, table_bytes = mixture.table_words * static_cast<int64_t>(sizeof(int32_t));
  const bool in_shared = seats_in_shared(seat_tables);
  Chosen<MixtureLayout> best{};
  for (const bool resident : {true, false}) {
    for (int warps = 1; warps <= kMostRowWarps; warps++) {
      MixtureLayout l{};
      l.rows = warps * kWarpRows;
      l.group_floats = std::max(tile_floats(plan.precision, resident ? kExpertPiece : kLeastPiece, division.panels),
                                tile_floats(Precision::kFloat32, resident ? kLogitPiece : kLeastPiece, kLogitPanels));
      l.x_stride = resident ? x_stride(depth) : 0, l.piece_stride = x_stride(kLeastPiece);
      l.seat_stride = in_shared ? seat_stride(mixture.place_count, run_alignment) : mixture.place_count;
      l.seat_tables = in_shared ? seat_tables : 0;
      l.table_floats = table_bytes <= kMostTablesInShared ? static_cast<int32_t>(rounded_up(mixture.table_words, 4)) : 0;
      if (bytes_of(l) > static_cast<int64_t>(device_facts().shared_bytes)) continue;
      const int64_t blocks = blocks_of(rows, l.rows), sharing = in_shared ? std::clamp<int64_t>(multiprocessors / blocks, 1, passes) : 1;
      const int64_t work = work_of(rows, l.rows, 1) / sharing;
      if (work <= best.work) best = {{l}, work};  // of equals take the one that reads the weights least often
    }
    if (best.rows > 0) break;
  }
  return best;
}

}  // namespace mg_cuda
