// What a mixture's topology becomes: combined weights, tables for the kernels, the shape of their blocks. See mixture.h.
#include "cuda/ops/mixture.h"

#include <algorithm>

#include "cuda/ops/activation.h"

namespace mg_cuda {
namespace {

int64_t rounded_up(int64_t count, int64_t size) { return blocks_of(count, size) * size; }

// x in shared memory, its lines apart as the plan's products want them.
int32_t x_stride(Precision precision, int64_t depth) {
  const auto width = static_cast<int>(rounded_up(depth, kPiece));
  return precision == Precision::kBfloat16 ? stride_of<Precision::kBfloat16, Lines::kDepth>(width) : stride_of<Precision::kFloat32, Lines::kDepth>(width);
}

// Odd, so that lanes that read one seat of several rows, or are at one row each, meet different banks.
int32_t seat_stride(int64_t seats) { return static_cast<int32_t>(seats | 1); }

int64_t seat_bytes(int64_t rows, int64_t seats, int tables) { return rows * seat_stride(seats) * tables * static_cast<int64_t>(sizeof(float)); }

int64_t bytes_of(const MixtureLayout& layout) { return layout.floats() * static_cast<int64_t>(sizeof(float)); }

// What a block with the most rows has left beside pieces of x and weights: devices differ.
int64_t most_seat_bytes() {
  const MixtureLayout pieces{kMostRowWarps * kWarpRows, 0, 0, 0, stride_of<Precision::kBfloat16, Lines::kDepth>(kPiece)};
  return std::clamp<int64_t>(static_cast<int64_t>(device_facts().shared_bytes) - bytes_of(pieces), 0, kMostSeatsInShared);
}

}  // namespace

template <class Op>
void compile_topology(PlanBuilder& builder, const Op& op, MixtureTopology& t) {
  const uint32_t experts = op.expert_stream.count, gates = op.gate_stream.count;
  const int64_t units = op.units;
  t.streams = kept(op.streams), t.expert_stream = kept(op.expert_stream);
  t.expert_column.resize(experts);
  std::vector<int32_t> seats_of_logits;
  for (uint32_t s = 0; s < op.streams.count; s++) {
    const int64_t depth = op.streams.items[s].width;
    std::vector<WeightColumns> parts;
    int64_t count = 0;
    for (uint32_t i = 0; i < experts; i++) {
      if (op.expert_stream.items[i] != s) continue;
      t.expert_column[i] = static_cast<int32_t>(count * padded(units));
      parts.push_back({count * padded(units), units, op.expert_kernel.items[s].offset + count * depth * units, units, op.expert_bias.offset + i * units});
      count++;
    }
    const int64_t experts_end = count * padded(units), logits_begin = rounded_up(experts_end, kColumns);
    const size_t first_logit = seats_of_logits.size();
    int64_t column = logits_begin;
    for (uint32_t j = 0; j < gates; j++) {
      if (op.gate_stream.items[j] != s) continue;
      const int64_t from = op.gate_offset.items[j], seen = op.gate_offset.items[j + 1] - from;
      parts.push_back({column, seen, op.gate_kernel.items[j].offset, seen, op.gate_bias.count > 0 ? op.gate_bias.items[j].offset : -1});
      for (int64_t k = 0; k < seen; k++) seats_of_logits.push_back(static_cast<int32_t>(from + k));
      column += seen;
    }
    Weights& weights = builder.weights(depth, column, std::move(parts), logits_begin);
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

void MixtureTopology::bind(const Context& context, bool all) {
  std::vector<MixtureTile> list;
  const auto whole_items = [&] {
    while (list.size() % kGroups != 0) {
      list.push_back(list.back());
      list.back().weights = nullptr;
    }
    return static_cast<int32_t>(list.size() / kGroups);
  };
  const auto tile = [&](size_t s, int32_t column, int32_t width, int32_t number) {
    const Weights& w = *weights[s];
    list.push_back({context.at(streams[s]), context.packed(w) + column, static_cast<int32_t>(s), static_cast<int32_t>(w.depth),
                    static_cast<int32_t>(w.columns), width, number, column});
  };
  for (size_t s = 0; s < streams.size(); s++) {
    for (int32_t c = 0; c < ranges[s].logits; c += kColumns) tile(s, ranges[s].logits_begin + c, ranges[s].logits - c, ranges[s].first_logit + c);
    whole_items();
  }
  mixture.logit_items = whole_items();
  for (size_t s = 0; s < streams.size(); s++) {
    for (size_t i = 0; i < expert_stream.size(); i++)
      if (expert_stream[i] == static_cast<int64_t>(s) && (all || seen[i])) tile(s, expert_column[i], mixture.units, static_cast<int32_t>(i));
    whole_items();
  }
  mixture.expert_items = whole_items() - mixture.logit_items;
  tiles.assign(list);
  mixture.logit_tiles = tiles.data(), mixture.expert_tiles = tiles.data() + mixture.logit_items * kGroups;
}

MixtureLayout MixtureTopology::layout(const Plan& plan, int64_t rows, int most_row_warps, int seat_tables) const {
  const int64_t multiprocessors = device_facts().multiprocessors;
  int best = 1;
  int64_t least = INT64_MAX;
  for (int warps = 1; warps <= most_row_warps; warps++) {
    const int64_t work = blocks_of(blocks_of(rows, warps * kWarpRows), multiprocessors) * warps;
    if (work <= least) best = warps, least = work;  // of equals the one that reads the weights least often
  }
  MixtureLayout l{best * kWarpRows, x_stride(plan.precision, depth), seat_stride(mixture.seat_count), seat_tables, x_stride(plan.precision, kPiece)};
  if (seat_bytes(l.rows, mixture.seat_count, seat_tables) > most_seat_bytes()) l.seat_stride = 0;
  const int64_t x_bytes = l.rows * l.x_stride * static_cast<int64_t>(sizeof(float));
  if (x_bytes > kMostRowsInShared || bytes_of(l) > static_cast<int64_t>(device_facts().shared_bytes)) l.x_stride = 0;
  return l;
}

bool MixtureTopology::seats_may_be_global(int seat_tables) const {
  return seat_bytes(kMostRowWarps * kWarpRows, mixture.seat_count, seat_tables) > most_seat_bytes();
}

}  // namespace mg_cuda
