// mixture_forward, in one launch.
//
//   a_i = f(x W_i + b_i), p_j = softmax((x G_j + c_j) / temperature), out_j = sum over the experts seen of p_j[i] a_i
//
// A block first multiplies its rows with all gates (always in float32) and takes the softmax in place of p (in shared memory, or in
// global memory that only this block writes). Then it processes all experts: product, bias and activation in registers, and p a added to as
// many outputs as registers hold (kGates). Further passes over the experts do the rest: up to `slices` tiles of their units times kGates gates.
// x [n, d] per stream; outputs [n, units] per gate, =; gates [n, seats], nullable, =. Neither logits nor activations are written.
// Bytes per row: x once per stream (twice if there are several) and the outputs; the weights once per block, from the L2 cache.
// FLOPs per row: 2 d (e h + seats) + 2 h seats. Order of reduction: the depth by steps of the product; experts ascending by stream
// within each group of warps, then the groups with the same units.
#include <algorithm>

#include "cuda/ops/activation.h"
#include "cuda/ops/mixture_cores.h"

namespace mg_cuda {
namespace {

// Sums take 8 registers per gate and panel.
constexpr int kMostGates = 6;
__host__ __device__ constexpr MixtureDivision division_of(int gates) { return {gates <= 2 ? 4 : 2, gates}; }

// Stores logits in p's place.
struct Logits {
  const MixtureBlock& block;
  RowPointer p;  // the block's first row

  __device__ __forceinline__ void operator()(const MixtureTile& tile, const MixtureSums<kLogitPanels>& sums) const {
    const int32_t* const places = block.places_of_logits() + tile.number;
    float* const mine = p.data + block.lane_row() * p.stride;
#pragma unroll
    for (int j = 0; j < kLogitPanels; j++)
#pragma unroll
      for (int odd = 0; odd < 2; odd++) {
        const int c = 8 * j + 2 * (lane() % 4) + odd;
        if (c >= tile.width) continue;
        float* const at = mine + places[c];
#pragma unroll
        for (int i = 0; i < kRowTiles; i++)
#pragma unroll
          for (int half = 0; half < 2; half++) at[(16 * i + 8 * half) * p.stride] = sums[i][j][2 * half + odd];
      }
  }
};

// One thread per row and gate; threads of a row are neighbours. kDense: all gates see all experts.
template <bool kDense, class Block>
__device__ __forceinline__ void softmax(const Block& block, RowPointer p) {
  const Mixture& m = block.m;
  for (int i = static_cast<int>(threadIdx.x); i < block.rows * m.gate_count; i += static_cast<int>(blockDim.x)) {
    const int gate = i % m.gate_count, from = m.gate_offset[gate], seen = kDense ? m.expert_count : m.gate_offset[gate + 1] - from;
    float* const row = p.data + i / m.gate_count * p.stride;
    const int32_t* const places = block.places_of_seats() + from;
    const auto at = [&](int k) -> float& { return row[kDense ? k * m.run_alignment + gate : places[k]]; };
    float top = at(0), sum = 0;
#pragma unroll 4
    for (int k = 1; k < seen; k++) {
      const float logit = at(k);
      top = logit > top ? logit : top;
    }
#pragma unroll 4
    for (int k = 0; k < seen; k++) {
      const float value = expf((at(k) - top) * m.inverse_temperature);
      sum += value, at(k) = value;
    }
    const float whole = 1 / sum;
#pragma unroll 4
    for (int k = 0; k < seen; k++) at(k) *= whole;
  }
}

// Adds the experts that a warp processes. kRows: its tiles of 16 rows. kDense: all gates see all experts.
template <int kGates, int kPanels, int kRows, Activations kActivations, bool kDense>
struct Mix {
  int activation;
  const float* p;  // at this lane's first row
  int64_t p_stride;
  MixtureSums<kPanels, kRows> (&out)[kGates];

  __device__ __forceinline__ static void add(MixtureSums<kPanels, kRows>& to, const MixtureSums<kPanels, kRows>& a,
                                             const float (&probability)[2 * kRows]) {
#pragma unroll
    for (int i = 0; i < kRows; i++)
#pragma unroll
      for (int j = 0; j < kPanels; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) to[i][j][k] = fused(probability[2 * i + k / 2], a[i][j][k], to[i][j][k]);
  }

  __device__ __forceinline__ void operator()(MixtureRun run, MixtureSums<kPanels, kRows>& z) const {
    if (kDense && run.gates == 0) return;  // an empty place
    activate_all<kActivations>(
        activation,
        [](const auto& f, float(&four)[4]) {
#pragma unroll
          for (float& value : four) value = f.value(value);
        },
        z);
    const float* at = p + run.place;
    if (kDense || (run.gates & kWholeRun) != 0) {
      float all[2 * kRows][kGates];
#pragma unroll
      for (int i = 0; i < 2 * kRows; i++) load_run(all[i], at + 8 * i * p_stride);
#pragma unroll
      for (int g = 0; g < kGates; g++) {
        float probability[2 * kRows];
#pragma unroll
        for (int i = 0; i < 2 * kRows; i++) probability[i] = all[i][g];
        add(out[g], z, probability);
      }
    } else {
#pragma unroll
      for (int g = 0; g < kGates; g++) {
        if (!(run.gates >> g & 1)) continue;
        float probability[2 * kRows];
#pragma unroll
        for (int i = 0; i < 2 * kRows; i++) probability[i] = at[8 * i * p_stride];
        add(out[g], z, probability);
        at++;
      }
    }
  }
};

// Stores the sums of one gate from registers. to: the block's first row, at the first of `units` columns; column: this lane's first.
template <int kPanels, int kRows, class Block>
__device__ __forceinline__ void store(const MixtureSums<kPanels, kRows>& out, const Block& block, RowPointer to, int column, int units) {
  const auto each_pair = [&](const auto& work) {
    float* const first = to.data + block.lane_row() * to.stride + column;
#pragma unroll
    for (int i = 0; i < 2 * kRows; i++)
#pragma unroll
      for (int j = 0; j < kPanels; j++) {
        const int left = block.lane_row() + 8 * i < block.rows ? units - column - j * kPanel : 0;
        work(first + 8 * i * to.stride + j * kPanel, left, Pair{out[i / 2][j][i % 2 * 2], out[i / 2][j][i % 2 * 2 + 1]});
      }
  };
  if (reinterpret_cast<uintptr_t>(to.data) % 8 == 0 && to.stride % 2 == 0 && units % 2 == 0)
    each_pair([](float* at, int left, Pair pair) {
      if (left > 0) *reinterpret_cast<Pair*>(at) = pair;
    });
  else
    each_pair([](float* at, int left, Pair pair) {
      if (left > 0) at[0] = pair.first;
      if (left > 1) at[1] = pair.second;
    });
}

// The same if several groups work on the same units: first adds their sums, one after the other, in `shared`, whose rows are `stride`
// apart.
template <int kPanels>
__device__ __forceinline__ void store_together(const MixtureSums<kPanels>& out, const MixtureBlock& block, float* shared, int stride, RowPointer to,
                                               int column, int units) {
  const int slices = block.m.slices;
  float* const mine = shared + block.lane_row() * stride + column;
#pragma unroll 1
  for (int turn = 0; turn < kGroups / slices; turn++) {
    block_barrier();
    if (block.group / slices != turn) continue;
#pragma unroll
    for (int i = 0; i < 2 * kRowTiles; i++)
#pragma unroll
      for (int j = 0; j < kPanels; j++) {
        auto* const pair = reinterpret_cast<Pair*>(mine + 8 * i * stride + j * kPanel);
        Pair sum{out[i / 2][j][i % 2 * 2], out[i / 2][j][i % 2 * 2 + 1]};
        if (turn > 0) sum = {pair->first + sum.first, pair->second + sum.second};
        *pair = sum;
      }
  }
  block_barrier();
#pragma unroll 1
  for (int row = warp(); row < block.rows; row += static_cast<int>(blockDim.x) / kWarp)
#pragma unroll 1
    for (int c = lane(); c < units; c += kWarp) to.data[row * to.stride + c] = shared[row * stride + c];
}

// Writes p of the block's rows to the view `gates`.
template <class Block>
__device__ __forceinline__ void store_gates(const Block& block, RowPointer p, RowPointer gates) {
  const int32_t* const places = block.places_of_seats();
  for (int row = warp(); row < block.rows; row += static_cast<int>(blockDim.x) / kWarp)
    for (int seat = lane(); seat < block.m.seat_count; seat += kWarp)
      gates.data[(block.first_row + row) * gates.stride + seat] = p.data[row * p.stride + places[seat]];
}

// p_at: the place of p for all rows, if not in shared memory.
template <Precision kPrecision, int kGates>
__global__ void __launch_bounds__(kMostThreads, 1)
    mixture_forward_kernel(Mixture m, MixtureLayout layout, int64_t rows, const RowPointer* outputs, RowPointer gates, RowPointer p_at) {
  begin_kernel();
  constexpr int kPanels = division_of(kGates).panels;
  constexpr bool kKeepsRows = kPrecision == Precision::kBfloat16;
  MixtureBlock block(layout, m, static_cast<int64_t>(blockIdx.x) * layout.rows, rows);
  const RowPointer p = layout.seat_tables != 0 ? RowPointer{block.shared + layout.seats_at(), layout.seat_stride}
                                               : RowPointer{p_at.data + block.first_row * p_at.stride, p_at.stride};
  for_each_tile<Precision::kFloat32, kLogitPanels, kLogitPiece, false>(block, block.logit_tiles(), m.logit_items, 0, Logits{block, p});
  block_barrier();
  softmax<false>(block, p);
  block_barrier();
  if (gates.data != nullptr && blockIdx.y == 0) store_gates(block, p, gates);

  const int pass_units = m.slices * kPanels * kPanel, unit_passes = (m.units + pass_units - 1) / pass_units;
  const int passes = unit_passes * ((m.gate_count + kGates - 1) / kGates);
  for (int pass = static_cast<int>(blockIdx.y); pass < passes; pass += static_cast<int>(gridDim.y)) {
    const int unit = pass % unit_passes * pass_units, gate_pass = pass / unit_passes, first_gate = gate_pass * kGates;
    MixtureSums<kPanels> out[kGates] = {};
    const Mix<kGates, kPanels, kRowTiles, Activations::kAll, false> mix{m.activation, p.data + block.lane_row() * p.stride, p.stride, out};
    for_each_tile<kPrecision, kPanels, kExpertPiece, kKeepsRows>(
        block, block.expert_tiles(), m.expert_items, unit,
        [&](const MixtureTile& tile, MixtureSums<kPanels>& z) { mix(block.run(gate_pass, tile.number), z); });
    const int units = m.units - unit < pass_units ? m.units - unit : pass_units;
    const int column = block.group % m.slices * kPanels * kPanel + 2 * (lane() % 4);
#pragma unroll
    for (int g = 0; g < kGates; g++) {
      if (first_gate + g >= m.gate_count) break;
      const RowPointer output = outputs[first_gate + g], to{output.data + block.first_row * output.stride + unit, output.stride};
      if (m.slices == kGroups)
        store<kPanels, kRowTiles>(out[g], block, to, column, units);
      else
        store_together<kPanels>(out[g], block, block.shared + layout.stages_at(), pass_units + kPanel, to, column, units);
    }
  }
}

// The same with mixture_cores.h. kWhole: a tile belongs to one expert, else to two.
template <int kGates, bool kWhole, Activations kActivations, bool kDense, int kSteps>
__global__ void __launch_bounds__(kCoreThreads, 1)
    core_forward_kernel(CoreMixture cores, CoreLayout layout, int64_t rows, const RowPointer* outputs, RowPointer gates) {
  begin_kernel();
  if constexpr (kHasWarpgroups) {
    constexpr int kParts = kWhole ? 2 : 1;
    const Mixture& m = cores.m;
    CoreBlock block(layout, cores, static_cast<int64_t>(blockIdx.x) * layout.rows, rows);
    const RowPointer p{block.shared + layout.seats_at(), layout.seat_stride};
    float* const p_row = p.data + block.lane_row() * p.stride;
    block_barrier();
    for (int s = 0; s < m.stream_count; s++) {
      const int32_t* const places = block.places_of_logits() + block.streams(s).first_logit;
      make_logits(block, s, [&](int column, float logit, float logit_below) {
        float* const at = p_row + places[column];
        at[0] = logit, at[8 * p.stride] = logit_below;
      });
    }
    softmax<kDense>(block, p);
    block_barrier();
    if (gates.data != nullptr && blockIdx.y == 0) store_gates(block, p, gates);
    const int passes = cores.tiles_of_expert * ((m.gate_count + kGates - 1) / kGates);
    for (int pass = static_cast<int>(blockIdx.y); pass < passes; pass += static_cast<int>(gridDim.y)) {
      const int unit_pass = pass % cores.tiles_of_expert, gate_pass = pass / cores.tiles_of_expert, first_gate = gate_pass * kGates;
      HalfTile out[kParts][kGates] = {};
      for (int s = 0; s < m.stream_count; s++)
        for_each_core_tile<kWhole, kSteps>(block, s, unit_pass, [&](int half, int slot, HalfTile& z) {
          Mix<kGates, kHalfPanels, 1, kActivations, kDense>{m.activation, p_row, p.stride, out[kWhole ? half : 0]}(block.run(gate_pass, slot), z);
        });
#pragma unroll
      for (int part = 0; part < kParts; part++) {
        const int unit = unit_pass * kTileColumns + part * kTileColumns / 2;
#pragma unroll
        for (int g = 0; g < kGates; g++) {
          if (first_gate + g >= m.gate_count) break;
          const RowPointer output = outputs[first_gate + g];
          store<kHalfPanels, 1>(out[part][g], block, {output.data + block.first_row * output.stride + unit, output.stride}, 2 * (lane() % 4),
                                m.units - unit);
        }
      }
    }
  }
}

struct MixtureForward final : Op {
  MixtureTopology topology;
  std::vector<mg_view> outputs;
  mg_view gates;
  Table<RowPointer> outputs_table;
  CoreMixture core_mixture{};

  size_t scratch_bytes(const Plan&, int64_t rows) const override { return topology.cores ? 0 : topology.seat_bytes(rows, 1); }

  void bind(const Context& context) override {
    if (topology.cores) {
      core_mixture = topology.bind_cores(context, core_gates());
    } else {
      const MixtureDivision d = division();
      topology.bind(context, d, slices(d), false);
    }
    std::vector<RowPointer> pointers;
    for (const mg_view& output : outputs) pointers.push_back(context.at(output));
    outputs_table.assign(pointers);
  }

  MixtureDivision division() const { return division_of(gates_at_a_time(topology.mixture.gate_count, kMostGates)); }

  // Whether a kernel for exactly this exists: sums of a gate take 16 or 32 registers.
  bool is_dense() const {
    const int gates = topology.mixture.gate_count;
    return topology.is_dense() && topology.is_simple() && (gates <= 2 || (!topology.is_whole() && (gates == 4 || gates == kMostGates)));
  }
  int core_gates() const {
    const int gates = topology.mixture.gate_count;
    return is_dense() ? gates : topology.is_whole() ? 2 : topology.is_simple() && gates > 4 ? kMostGates : 4;
  }

  // The fewest groups, a power of two, that together have all units.
  int slices(const MixtureDivision& d) const {
    int count = 1;
    while (count < kGroups && count * d.columns() < topology.mixture.units) count *= 2;
    return count;
  }

  void launch_cores(const Context& context) const {
    const CoreLayout layout = topology.core_layout(context.rows, 1);
    const int64_t passes = core_mixture.tiles_of_expert * blocks_of(topology.mixture.gate_count, core_gates());
    Grid grid{static_cast<unsigned>(blocks_of(context.rows, layout.rows)), 1};
    grid.y = static_cast<unsigned>(std::clamp<int64_t>(device_facts().multiprocessors / static_cast<int64_t>(grid.x), 1, passes));
    const auto launch = [&](auto kernel) {
      context.stream.launch(kernel, grid, layout.rows / kGroupRows * kWarpgroup, static_cast<size_t>(layout.floats()) * sizeof(float), core_mixture,
                            layout, context.rows, outputs_table.data(), context.at(gates));
    };
    if (!topology.is_simple())
      return launch(topology.is_whole() ? core_forward_kernel<2, true, Activations::kAll, false, 0>
                                        : core_forward_kernel<4, false, Activations::kAll, false, 0>);
    const bool dense = is_dense();
    with_core_kernel(topology, core_gates(), [&](auto gates_of_kernel, auto whole) {
      constexpr int kGates = decltype(gates_of_kernel)::value;
      constexpr bool kWhole = decltype(whole)::value;
      const auto with_steps = [&](auto steps) {
        constexpr int kSteps = decltype(steps)::value;
        if (dense) return launch(core_forward_kernel<kGates, kWhole, Activations::kReluOrLinear, true, kSteps>);
        if constexpr (kGates > 2 || (kWhole && kGates == 2)) launch(core_forward_kernel<kGates, kWhole, Activations::kReluOrLinear, false, kSteps>);
      };
      // Known steps save a tenth of a tile's instructions, and double the kernels. A depth of 97 to 128 is the usual one.
      topology.core_steps() == 8 ? with_steps(std::integral_constant<int, 8>{}) : with_steps(std::integral_constant<int, 0>{});
    });
  }

  void launch(const Context& context) const override {
    if (topology.cores) return launch_cores(context);
    const Mixture& m = topology.mixture;
    const MixtureDivision d = division();
    const int64_t passes = blocks_of(m.units, d.columns() * m.slices) * blocks_of(m.gate_count, d.gates);
    const MixtureLayout layout = topology.layout(context.plan, context.rows, d, 1, passes);
    const bool in_shared = layout.seat_tables != 0;
    const RowPointer p{in_shared ? nullptr : context.scratch<float>(), m.place_count};
    Grid grid{static_cast<unsigned>(blocks_of(context.rows, layout.rows)), 1};
    // Blocks that share rows each compute p: share only if they do not overwrite it and multiprocessors would be idle.
    if (in_shared) grid.y = static_cast<unsigned>(std::clamp<int64_t>(device_facts().multiprocessors / static_cast<int64_t>(grid.x), 1, passes));
    const int floats = std::max(layout.floats(), layout.stages_at() + layout.rows * (d.columns() * m.slices + kPanel));  // includes the sums to store
    with_precision_and_gates<kMostGates>(context.plan.precision, d.gates, [&](auto precision, auto gates_of_kernel) {
      context.stream.launch(mixture_forward_kernel<decltype(precision)::value, decltype(gates_of_kernel)::value>, grid, layout.threads(),
                            static_cast<size_t>(floats) * sizeof(float), m, layout, context.rows, outputs_table.data(), context.at(gates), p);
    });
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_mixture_forward& op) {
  auto compiled = std::make_unique<MixtureForward>();
  compile_topology(builder, op, compiled->topology);
  compiled->outputs = kept(op.outputs), compiled->gates = op.gates;
  builder.unused(op.experts), builder.unused(op.pre);
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
