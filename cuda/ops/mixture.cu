// What a mixture's topology becomes: combined weights, tables for the kernels, the shape of their blocks. See mixture.h.
#include "cuda/ops/mixture.h"

#include <algorithm>

#include "cuda/ops/activation.h"

namespace mg_cuda {
namespace {

constexpr int64_t kColumnsOfDz = 32;  // the products of backward find logits on whole tiles

int64_t rounded_up(int64_t count, int64_t size) { return blocks_of(count, size) * size; }

// Lanes read 16 bytes: t of four and g of two rows from all banks.
int32_t x_stride(int64_t depth) { return static_cast<int32_t>(rounded_up(depth, kLeastPiece) + kLeastPiece / 2); }

// Odd, so that lanes that read one seat of several rows, or are at one row each, meet different banks.
int32_t seat_stride(int64_t seats) { return static_cast<int32_t>(seats | 1); }

int64_t seat_bytes(int64_t rows, int64_t seats, int tables) { return rows * seat_stride(seats) * tables * static_cast<int64_t>(sizeof(float)); }

int64_t bytes_of(const MixtureLayout& layout) { return layout.floats() * static_cast<int64_t>(sizeof(float)); }

int32_t tile_floats(Precision precision, int piece, int panels) { return static_cast<int32_t>(panels * panel_floats(precision, piece)); }

// Without seats. x_stride: as in the layout.
MixtureLayout layout_of(Precision precision, const MixtureDivision& division, int row_warps, int32_t x_stride_of_all) {
  const int piece = x_stride_of_all != 0 ? piece_depth(precision) : kLeastPiece;
  const int32_t floats = std::max(tile_floats(precision, piece, division.panels), tile_floats(Precision::kFloat32, kLeastPiece, kLogitPanels));
  return {row_warps * kWarpRows, floats, x_stride_of_all, 0, 0, x_stride(kLeastPiece)};
}

// What a block with the most rows has left beside pieces of x and weights: devices differ.
int64_t most_seat_bytes(Precision precision, const MixtureDivision& division) {
  const MixtureLayout pieces = layout_of(precision, division, division.most_row_warps, 0);
  return std::clamp<int64_t>(static_cast<int64_t>(device_facts().shared_bytes) - bytes_of(pieces), 0, kMostSeatsInShared);
}

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
  std::vector<int32_t> seats_of_logits;
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
    const size_t first_logit = seats_of_logits.size();
    int64_t column = logits_begin;
    for (uint32_t j = 0; j < gates; j++) {
      if (op.gate_stream.items[j] != s) continue;
      const int64_t from = op.gate_offset.items[j], seen = op.gate_offset.items[j + 1] - from;
      parts.push_back({column, seen, op.gate_kernel.items[j].offset, seen, op.gate_bias.count > 0 ? op.gate_bias.items[j].offset : -1,
                       count * expert_panels * kPanel + column - logits_begin});
      for (int64_t k = 0; k < seen; k++) seats_of_logits.push_back(static_cast<int32_t>(from + k));
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
  t.seen.assign(experts, false);
  std::vector<int32_t> seats(static_cast<size_t>(experts) * gates, -1), offsets;
  for (uint32_t j = 0; j <= gates; j++) offsets.push_back(static_cast<int32_t>(op.gate_offset.items[j]));
  for (uint32_t j = 0; j < gates; j++)
    for (int32_t seat = offsets[j]; seat < offsets[j + 1]; seat++) {
      const auto expert = static_cast<size_t>(op.gate_expert.items[seat]);
      seats[expert * gates + j] = seat;
      t.seen[expert] = true;
    }
  t.streams_table.assign(t.ranges);
  t.seats_of_logits.assign(seats_of_logits), t.seats.assign(seats), t.gate_offset.assign(offsets);
  Mixture& m = t.mixture;
  m.streams = t.streams_table.data();
  m.seats_of_logits = t.seats_of_logits.data(), m.seats = t.seats.data(), m.gate_offset = t.gate_offset.data();
  m.stream_count = static_cast<int32_t>(op.streams.count), m.gate_count = static_cast<int32_t>(gates);
  m.seat_count = offsets.back(), m.units = static_cast<int32_t>(units), m.activation = static_cast<int32_t>(op.activation);
  m.slope_needs_z = slope_needs_z(op.activation);
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
      for (int32_t slice = 0; slice < slices && expert_stream[i] == static_cast<int64_t>(s) && (all || seen[i]); slice++) {
        const int32_t column = slice * division.columns();
        tile(s, context.panels(w) + (expert_panel[i] + column / kPanel) * panel_floats(precision, w.depth), expert_column[i] + column,
             mixture.units - column, static_cast<int32_t>(i), precision);
      }
    whole_items();
  }
  mixture.expert_items = whole_items() - mixture.logit_items;
  mixture.slices = slices;
  tiles.assign(list);
  mixture.logit_tiles = tiles.data(), mixture.expert_tiles = tiles.data() + mixture.logit_items * kGroups;
}

MixtureLayout MixtureTopology::layout(const Plan& plan, int64_t rows, const MixtureDivision& division, int seat_tables) const {
  const int64_t multiprocessors = device_facts().multiprocessors;
  int best = 1;
  int64_t least = INT64_MAX;
  for (int warps = 1; warps <= division.most_row_warps; warps++) {
    const int64_t work = blocks_of(blocks_of(rows, warps * kWarpRows), multiprocessors) * warps;
    if (work <= least) best = warps, least = work;  // of equals the one that reads the weights least often
  }
  const bool has_seats = seat_bytes(best * kWarpRows, mixture.seat_count, seat_tables) <= most_seat_bytes(plan.precision, division);
  const auto with = [&](int32_t stride) {
    MixtureLayout l = layout_of(plan.precision, division, best, stride);
    l.seat_stride = has_seats ? seat_stride(mixture.seat_count) : 0, l.seat_tables = seat_tables;
    return l;
  };
  const MixtureLayout resident = with(x_stride(depth));
  const int64_t x_bytes = resident.seats_at() * static_cast<int64_t>(sizeof(float));
  return x_bytes > kMostRowsInShared || bytes_of(resident) > static_cast<int64_t>(device_facts().shared_bytes) ? with(0) : resident;
}

bool MixtureTopology::seats_may_be_global(const Plan& plan, const MixtureDivision& division, int seat_tables) const {
  return seat_bytes(division.most_row_warps * kWarpRows, mixture.seat_count, seat_tables) > most_seat_bytes(plan.precision, division);
}

}  // namespace mg_cuda
