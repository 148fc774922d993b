// mixture_forward, in one launch.
//
//   a_i = f(x W_i + b_i), p_j = softmax((x G_j + c_j) / temperature), out_j = sum over the experts seen of p_j[i] a_i
//
// A block first multiplies its rows with all gates (float32 always), takes the softmax where p lies (shared memory, or global memory
// that it alone writes), then lets all experts pass by: product, bias and activation in registers, and p a added to as many outputs as
// registers hold (kGates). What is left goes in further passes over the experts: up to `slices` tiles of their units times kGates gates.
// x [n, d] per stream; outputs [n, units] per gate, =; gates [n, seats], nullable, =. Neither logits nor activations are written.
// Bytes per row: x once per stream (twice where there are several) and the outputs; the weights once per block, from the L2 cache.
// FLOPs per row: 2 d (e h + seats) + 2 h seats. Order of reduction: the depth by steps of the product; experts ascending by stream
// within each group of warps, then the groups that have the same units.
#include <algorithm>

#include "cuda/ops/mixture.h"
#include "cuda/ops/activation.h"

namespace mg_cuda {
namespace {

// Registers decide, of which 10 warps have 168 each: as many panels as sums of all gates leave room for; rows take twice as many in tf32 as in
// bfloat16. Before Hopper the compiler has four gates spill into memory with fewer than 255, which 8 warps have.
template <Precision kPrecision, int kGates>
__host__ __device__ constexpr MixtureDivision division_of(bool before_hopper) {
  const int panels = kPrecision == Precision::kTf32 ? (kGates == 1 ? 4 : kGates <= 4 ? 2 : 1) : kGates <= 4 ? 4 : 2;
  return {panels, before_hopper && kGates == 4 ? kFewerRowWarps : kMostRowWarps};
}

// Puts logits where p will be.
struct Logits {
  const Mixture& m;
  RowPointer p;   // the block's first row
  int row, rows;  // row: this lane's first in the block

  __device__ __forceinline__ void operator()(const MixtureTile& tile, const MixtureSums<kLogitPanels>& sums) const {
#pragma unroll
    for (int j = 0; j < kLogitPanels; j++)
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const int at = row + 8 * (k / 2), c = 8 * j + 2 * (lane() % 4) + k % 2;
        if (c < tile.width && at < rows) p.data[at * p.stride + m.seats_of_logits[tile.number + c]] = sums[j][k];
      }
  }
};

// One thread per row and gate.
__device__ __forceinline__ void softmax(const Mixture& m, RowPointer p, int rows) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * m.gate_count; i += static_cast<int>(blockDim.x)) {
    const int gate = i / rows, seen = m.gate_offset[gate + 1] - m.gate_offset[gate];
    float* const at = p.data + i % rows * p.stride + m.gate_offset[gate];
    float top = at[0], sum = 0;
    for (int k = 1; k < seen; k++) top = at[k] > top ? at[k] : top;
    for (int k = 0; k < seen; k++) sum += at[k] = expf((at[k] - top) * m.inverse_temperature);
    const float whole = 1 / sum;
    for (int k = 0; k < seen; k++) at[k] *= whole;
  }
}

// Adds the experts that a group of warps sees pass by.
template <int kGates, int kPanels>
struct Mix {
  const Mixture& m;
  const float *p, *below;  // p at this lane's rows; below: of the second, or the first where that does not exist
  int first_gate;
  MixtureSums<kPanels> (&out)[kGates];

  __device__ __forceinline__ void operator()(const MixtureTile& tile, MixtureSums<kPanels>& z) const {
    with_activation(m.activation, [&](auto kind) {
#pragma unroll
      for (int j = 0; j < kPanels; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) z[j][k] = activate(kind.value, z[j][k]);
    });
    const int32_t* const seats = m.seats + tile.number * m.gate_count + first_gate;
    int seat[kGates];
#pragma unroll
    for (int i = 0; i < kGates; i++) seat[i] = first_gate + i < m.gate_count ? seats[i] : -1;
#pragma unroll
    for (int i = 0; i < kGates; i++) {
      if (seat[i] < 0) continue;
      const auto column = static_cast<uint32_t>(seat[i]);
      const float probability[2] = {p[column], below[column]};
#pragma unroll
      for (int j = 0; j < kPanels; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) out[i][j][k] = fused(probability[k / 2], z[j][k], out[i][j][k]);
    }
  }
};

// Stores the sums of one gate: those of the groups that work on the same units are added, one after the other, in `shared`, whose lines of
// rows are `stride` apart. to: the block's first row, at the first of `units`.
template <int kPanels>
__device__ __forceinline__ void store(const MixtureSums<kPanels>& out, const MixtureBlock& block, int slices, float* shared, int stride, RowPointer to,
                                      int units) {
  float* const mine = shared + (block.warp_row + lane() / 4) * stride + block.group % slices * kPanels * kPanel + 2 * (lane() % 4);
#pragma unroll 1
  for (int turn = 0; turn < kGroups / slices; turn++) {
    block_barrier();
    if (block.group / slices != turn) continue;
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int j = 0; j < kPanels; j++) {
        auto* const pair = reinterpret_cast<Pair*>(mine + 8 * i * stride + j * kPanel);
        Pair sum{out[j][2 * i], out[j][2 * i + 1]};
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

// p_at: where p lies if not in shared memory; may be `gates`.
template <Precision kPrecision, int kGates>
__global__ void __launch_bounds__(threads_of(division_of<kPrecision, kGates>(kBeforeHopper).most_row_warps), 1)
    mixture_forward_kernel(Mixture m, MixtureLayout layout, int64_t rows, const RowPointer* outputs, RowPointer gates, RowPointer p_at) {
  constexpr int kPanels = division_of<kPrecision, kGates>(false).panels;
  MixtureBlock block(layout, static_cast<int64_t>(blockIdx.x) * layout.rows, rows);
  const RowPointer p = layout.seat_stride != 0 ? RowPointer{block.shared + layout.seats_at(), layout.seat_stride}
                                               : RowPointer{p_at.data + block.first_row * p_at.stride, p_at.stride};
  const int lane_row = block.warp_row + lane() / 4;

  for_each_tile<Precision::kFloat32, kLogitPanels>(block, m.logit_tiles, m.logit_items, 0, Logits{m, p, lane_row, block.rows});
  block_barrier();
  softmax(m, p, block.rows);
  block_barrier();
  if (gates.data != nullptr && gates.data != p_at.data && blockIdx.y == 0)
    for (int i = static_cast<int>(threadIdx.x); i < block.rows * m.seat_count; i += static_cast<int>(blockDim.x)) {
      const int row = i / m.seat_count, seat = i % m.seat_count;
      gates.data[(block.first_row + row) * gates.stride + seat] = p.data[row * p.stride + seat];
    }

  const float* const p_row = p.data + (lane_row < block.rows ? lane_row : 0) * p.stride;
  const float* const p_below = p_row + (lane_row + 8 < block.rows ? 8 * p.stride : 0);
  const int pass_units = m.slices * kPanels * kPanel, unit_passes = (m.units + pass_units - 1) / pass_units;
  const int passes = unit_passes * ((m.gate_count + kGates - 1) / kGates);
  for (int pass = static_cast<int>(blockIdx.y); pass < passes; pass += static_cast<int>(gridDim.y)) {
    const int unit = pass % unit_passes * pass_units, first_gate = pass / unit_passes * kGates;
    MixtureSums<kPanels> out[kGates] = {};
    for_each_tile<kPrecision, kPanels>(block, m.expert_tiles, m.expert_items, unit, Mix<kGates, kPanels>{m, p_row, p_below, first_gate, out});
    const int units = m.units - unit < pass_units ? m.units - unit : pass_units;
#pragma unroll
    for (int g = 0; g < kGates; g++) {
      if (first_gate + g >= m.gate_count) break;
      const RowPointer to = outputs[first_gate + g];
      store<kPanels>(out[g], block, m.slices, block.shared + layout.stages_at(), pass_units + kPanel,
                                {to.data + block.first_row * to.stride + unit, to.stride}, units);
    }
  }
}

struct MixtureForward final : Op {
  MixtureTopology topology;
  std::vector<mg_view> outputs;
  mg_view gates;
  Table<RowPointer> outputs_table;

  // p of all rows, where neither shared memory nor a view has room for it.
  size_t scratch_bytes(const Plan& plan, int64_t rows) const override {
    if (gates.buffer >= 0 || !topology.seats_may_be_global(plan, division(plan), 1)) return 0;
    return static_cast<size_t>(rows * topology.mixture.seat_count) * sizeof(float);
  }

  void bind(const Context& context) override {
    const MixtureDivision d = division(context.plan);
    topology.bind(context, d, slices(d), false);
    std::vector<RowPointer> pointers;
    for (const mg_view& output : outputs) pointers.push_back(context.at(output));
    outputs_table.assign(pointers);
  }

  // work(kernel, its division, how many gates it takes at a time)
  template <class Work>
  void with_kernel(const Plan& plan, const Work& work) const {
    with_precision_and_gates(plan.precision, topology.mixture.gate_count, [&](auto precision, auto gates) {
      constexpr Precision kPrecision = decltype(precision)::value;
      constexpr int kGates = decltype(gates)::value;
      work(mixture_forward_kernel<kPrecision, kGates>, division_of<kPrecision, kGates>(device_facts().major < 9), kGates);
    });
  }
  MixtureDivision division(const Plan& plan) const {
    MixtureDivision result{};
    with_kernel(plan, [&](auto, const MixtureDivision& d, int) { result = d; });
    return result;
  }

  // The fewest groups, in powers of two, that have all units between them.
  int slices(const MixtureDivision& d) const {
    int count = 1;
    while (count < kGroups && count * d.columns() < topology.mixture.units) count *= 2;
    return count;
  }

  void launch(const Context& context) const override {
    const Mixture& m = topology.mixture;
    with_kernel(context.plan, [&](auto kernel, const MixtureDivision& d, int gates_at_a_time) {
      const MixtureLayout layout = topology.layout(context.plan, context.rows, d, 1);
      const RowPointer gates_at = context.at(gates);
      RowPointer p{nullptr, 0};
      if (layout.seat_stride == 0) p = gates_at.data != nullptr ? gates_at : RowPointer{context.scratch<float>(), m.seat_count};
      Grid grid{static_cast<unsigned>(blocks_of(context.rows, layout.rows)), 1};
      // Blocks that share rows compute p each for itself: only where it is not written over, and multiprocessors would be idle.
      const int64_t passes = blocks_of(m.units, d.columns() * m.slices) * blocks_of(m.gate_count, gates_at_a_time);
      if (layout.seat_stride != 0)
        grid.y = static_cast<unsigned>(std::clamp<int64_t>(device_facts().multiprocessors / static_cast<int64_t>(grid.x), 1, passes));
      const int floats = std::max(layout.floats(), layout.stages_at() + layout.rows * (d.columns() * m.slices + kPanel));  // of sums to be stored
      context.stream.launch(kernel, grid, layout.threads(), static_cast<size_t>(floats) * sizeof(float), m, layout, context.rows,
                            outputs_table.data(), gates_at, p);
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
