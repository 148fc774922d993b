// What a mixture's topology becomes: combined weights, tables for the kernels, the shape of their blocks. See mixture.h.
#include "cuda/ops/mixture.h"

#include <algorithm>
#include <cstring>

#include "cuda/ops/activation.h"

namespace mg_cuda {
namespace {

constexpr int64_t kColumnsOfDz = 32;  // the products of backward find logits on whole tiles

int64_t rounded_up(int64_t count, int64_t size) { return blocks_of(count, size) * size; }

// Lanes that load runs of two rows, or single places of 32 / alignment, meet different banks; runs stay aligned.
int32_t seat_stride(int64_t places, int64_t alignment) {
  const int64_t period = 2 * alignment;
  return static_cast<int32_t>(rounded_up(places, alignment) + (rounded_up(places, alignment) % period == 0 ? alignment : 0));
}

// Lanes read 16 bytes: t of four and g of two rows from all banks.
int32_t x_stride(int64_t depth) { return static_cast<int32_t>(rounded_up(depth, kLeastPiece) + kLeastPiece / 2); }

int64_t bytes_of(const MixtureLayout& layout) { return layout.floats() * static_cast<int64_t>(sizeof(float)); }

int32_t tile_floats(Precision precision, int piece, int panels) { return static_cast<int32_t>(panels * panel_floats(precision, piece)); }

// How many panels each of `tiles` tiles has, so that none has more than one above another.
int64_t panels_of_tile(int64_t panels, int64_t tiles, int64_t number) { return panels * (number + 1) / tiles - panels * number / tiles; }

}  // namespace

template <class Op>
void compile_topology(PlanBuilder& builder, const Op& op, MixtureTopology& t) {
  const uint32_t experts = op.expert_stream.count, gates = op.gate_stream.count;
  const int64_t units = op.units;
  t.streams = kept(op.streams), t.expert_stream = kept(op.expert_stream);
  t.expert_column.resize(experts), t.expert_panel.resize(experts);
  const int64_t expert_panels = blocks_of(units, kPanel);
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
  for (uint32_t s = 0; s < op.streams.count; s++) {
    const int64_t depth = op.streams.items[s].width;
    std::vector<WeightColumns> parts;
    int64_t count = 0;
    for (uint32_t i = 0; i < experts; i++) {
      if (op.expert_stream.items[i] != s) continue;
      t.expert_column[i] = static_cast<int32_t>(count * padded(units));
      t.expert_panel[i] = static_cast<int32_t>(count * expert_panels);
      parts.push_back({count * padded(units), units, op.expert_kernel.items[s].offset + count * depth * units, units, op.expert_bias.offset + i * units,
                       t.expert_panel[i] * kPanel});
      count++;
    }
    const int64_t experts_end = count * padded(units), logits_begin = rounded_up(experts_end, kColumnsOfDz);
    const size_t first_logit = t.places_of_logits.size();
    int64_t column = logits_begin;
    for (uint32_t j = 0; j < gates; j++) {
      if (op.gate_stream.items[j] != s) continue;
      const int64_t from = op.gate_offset.items[j], seen = op.gate_offset.items[j + 1] - from;
      parts.push_back({column, seen, op.gate_kernel.items[j].offset, seen, op.gate_bias.count > 0 ? op.gate_bias.items[j].offset : -1,
                       count * expert_panels * kPanel + column - logits_begin});
      for (int64_t k = 0; k < seen; k++) t.places_of_logits.push_back(place_of(j, from + k));
      column += seen;
    }
    Weights& weights = builder.weights(depth, column, std::move(parts), logits_begin);
    const Precision precision = builder.plan.precision;
    builder.need_panels(weights, count * expert_panels,
                        count * expert_panels * panel_floats(precision, depth) +
                            blocks_of(column - logits_begin, kPanel) * panel_floats(Precision::kFloat32, depth));
    t.weights.push_back(&weights);
    t.ranges.push_back({t.columns, static_cast<int32_t>(weights.columns), static_cast<int32_t>(experts_end), static_cast<int32_t>(logits_begin),
                        static_cast<int32_t>(column - logits_begin), static_cast<int32_t>(first_logit)});
    t.columns += weights.columns;
    t.depth = std::max(t.depth, depth);
  }
  std::vector<int32_t> offsets;
  for (uint32_t j = 0; j <= gates; j++) offsets.push_back(static_cast<int32_t>(op.gate_offset.items[j]));
  t.streams_table.assign(t.ranges), t.gate_offset.assign(offsets);
  Mixture& m = t.mixture;
  m.streams = t.streams_table.data(), m.gate_offset = t.gate_offset.data();
  m.stream_count = static_cast<int32_t>(op.streams.count), m.gate_count = static_cast<int32_t>(gates), m.expert_count = static_cast<int32_t>(experts);
  m.seat_count = offsets.back(), m.place_count = static_cast<int32_t>(places), m.units = static_cast<int32_t>(units), m.activation = static_cast<int32_t>(op.activation);
  m.inverse_temperature = static_cast<float>(1 / op.temperature);
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
      tile(s, count == 0 ? nullptr : logits + first * panel_floats(Precision::kFloat32, w.depth), static_cast<int32_t>(ranges[s].logits_begin + column),
           width, static_cast<int32_t>(ranges[s].first_logit + column), Precision::kFloat32);
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
  const auto passes = static_cast<size_t>(blocks_of(mixture.gate_count, division.gates));
  std::vector<MixtureRun> runs(passes * seen_by.size());
  for (size_t pass = 0; pass < passes; pass++)
    for (size_t i = 0; i < seen_by.size(); i++) {
      const auto first = static_cast<int32_t>(pass) * division.gates;
      const auto& seen = seen_by[i];
      const auto from = std::lower_bound(seen.begin(), seen.end(), first), to = std::lower_bound(from, seen.end(), first + division.gates);
      MixtureRun run{expert_place[i] + static_cast<int32_t>(from - seen.begin()), 0};
      for (auto gate = from; gate != to; gate++) run.gates |= 1u << (*gate - first);
      if (to - from == division.gates && run.place % run_alignment == 0) run.gates |= kWholeRun;
      runs[pass * seen_by.size() + i] = run;
    }
  std::vector<int32_t> words;
  const auto append = [&](const auto& table) {
    const auto at = static_cast<int32_t>(words.size());
    words.resize(words.size() + table.size() * sizeof table[0] / sizeof(int32_t));
    if (!table.empty()) std::memcpy(words.data() + at, table.data(), table.size() * sizeof table[0]);
    return at;
  };
  append(list);
  mixture.expert_tiles_at = mixture.logit_items * kGroups * static_cast<int32_t>(sizeof(MixtureTile) / sizeof(int32_t));
  mixture.runs_at = append(runs), mixture.logits_at = append(places_of_logits), mixture.seats_at = append(places_of_seats);
  mixture.table_words = static_cast<int32_t>(words.size());
  tables.assign(words);
  mixture.tables = tables.data();
}

bool MixtureTopology::seats_in_shared(int seat_tables) const {
  // What the smallest block with the widest tiles has left on this device.
  const int64_t stage = kGroups * tile_floats(Precision::kFloat32, kLeastPiece, kLogitPanels) + kWarpRows * x_stride(kLeastPiece);
  const int64_t left = static_cast<int64_t>(device_facts().shared_bytes) - kMostTablesInShared - kStages * stage * static_cast<int64_t>(sizeof(float));
  const int64_t bytes = kWarpRows * seat_stride(mixture.place_count, run_alignment) * seat_tables * static_cast<int64_t>(sizeof(float));
  return bytes <= std::min(left, kMostSeatsInShared);
}

size_t MixtureTopology::seat_bytes(int64_t rows, int seat_tables) const {
  if (seats_in_shared(seat_tables)) return 0;
  return static_cast<size_t>((rows + kMostRowWarps * kWarpRows) * mixture.place_count * seat_tables) * sizeof(float);
}

MixtureLayout MixtureTopology::layout(const Plan& plan, int64_t rows, const MixtureDivision& division, int seat_tables, int64_t passes) const {
  // What a block does beside its rows' products, in rows.
  constexpr int64_t kRowsOfABlock = 32;
  const int64_t multiprocessors = device_facts().multiprocessors, table_bytes = mixture.table_words * static_cast<int64_t>(sizeof(int32_t));
  const bool in_shared = seats_in_shared(seat_tables);
  MixtureLayout best{};
  for (const bool resident : {true, false}) {
    int64_t least = INT64_MAX;
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
      const int64_t work = blocks_of(blocks, multiprocessors) * (l.rows + kRowsOfABlock) / sharing;
      if (work <= least) best = l, least = work;  // of equals the one that reads the weights least often
    }
    if (best.rows > 0) break;
  }
  return best;
}

}  // namespace mg_cuda
