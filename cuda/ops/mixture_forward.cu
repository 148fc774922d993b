// mixture_forward, in one launch.
//
//   a_i = f(x W_i + b_i), p_j = softmax((x G_j + c_j) / temperature), out_j = sum over the experts seen of p_j[i] a_i
//
// A block first multiplies its rows with all gates (float32 always), takes the softmax where p lies (shared memory, or global memory
// that it alone writes), then lets all experts pass by: product, bias and activation in registers, and p a added to as many outputs as
// registers hold (kGates). What is left goes in further passes over the experts: 32 units times kGates gates each.
// x [n, d] per stream; outputs [n, units] per gate, =; gates [n, seats], nullable, =. Neither logits nor activations are written.
// Bytes per row: x once per stream (twice where there are several) and the outputs; the weights once per block, from the L2 cache.
// FLOPs per row: 2 d (e h + seats) + 2 h seats. Order of reduction: the depth by steps of the product; experts ascending by stream
// within each of the two groups of warps, then the groups.
#include <algorithm>

#include "cuda/ops/mixture.h"
#include "cuda/ops/activation.h"

namespace mg_cuda {
namespace {

// Warps of a group at most. Before Hopper the compiler has four gates spill into memory with fewer than 255 registers a thread.
template <int kGates>
__host__ __device__ constexpr int row_warps(bool before_hopper) {
  return kGates <= (before_hopper ? 2 : 4) ? kMostRowWarps : kFewerRowWarps;
}

// Puts logits where p will be.
struct Logits {
  const Mixture& m;
  RowPointer p;  // the block's first row
  int warp_row, rows;

  __device__ __forceinline__ void operator()(const MixtureTile& tile, const MixtureSums& sums, const float* bias) const {
#pragma unroll
    for (int j = 0; j < kColumns / 8; j++)
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const int row = warp_row + lane() / 4 + 8 * (k / 2), c = 8 * j + 2 * (lane() % 4) + k % 2;
        if (c < tile.width && row < rows) p.data[row * p.stride + m.seats_of_logits[tile.number + c]] = sums[j][k] + bias[c];
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
template <int kGates>
struct Mix {
  const Mixture& m;
  RowPointer p;
  int row, rows, first_gate;  // row: this lane's first in the block
  MixtureSums (&out)[kGates];

  __device__ __forceinline__ void operator()(const MixtureTile& tile, MixtureSums& z, const float* bias) const {
#pragma unroll
    for (int j = 0; j < kColumns / 8; j++)
#pragma unroll
      for (int k = 0; k < 4; k++) z[j][k] = activate(m.activation, z[j][k] + bias[8 * j + 2 * (lane() % 4) + k % 2]);
#pragma unroll
    for (int i = 0; i < kGates; i++) {
      const int seat = first_gate + i < m.gate_count ? m.seats[tile.number * m.gate_count + first_gate + i] : -1;
      if (seat < 0) continue;
      float probability[2];
      load_seat(probability, p, seat, row, rows);
#pragma unroll
      for (int j = 0; j < kColumns / 8; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) out[i][j][k] = fused(probability[k / 2], z[j][k], out[i][j][k]);
    }
  }
};

// out of group 0 += out of the others; only group 0's counts afterwards. `exchange`: kColumns floats per row of the block.
__device__ __forceinline__ void add_groups(MixtureSums& out, const MixtureBlock& block, float* exchange) {
  constexpr int kSums = kColumns / 8 * 4;
  const int place = warp() % block.row_warps() * kWarp + lane(), places = block.row_warps() * kWarp;
  for (int group = 1; group < kGroups; group++) {
    block_barrier();
#pragma unroll
    for (int i = 0; i < kSums; i++)
      if (block.group() == group) exchange[i * places + place] = out[i / 4][i % 4];
    block_barrier();
#pragma unroll
    for (int i = 0; i < kSums; i++)
      if (block.group() == 0) out[i / 4][i % 4] += exchange[i * places + place];
  }
}

// p_at: where p lies if not in shared memory; may be `gates`.
template <Precision kPrecision, int kGates>
__global__ void __launch_bounds__(threads_of(row_warps<kGates>(kBeforeHopper)), 1)
    mixture_forward_kernel(Mixture m, MixtureLayout layout, int64_t rows, const RowPointer* outputs, RowPointer gates, RowPointer p_at) {
  MixtureBlock block{layout, static_cast<int64_t>(blockIdx.x) * layout.rows, layout.rows, shared_memory<float>()};
  if (rows - block.first_row < block.rows) block.rows = static_cast<int>(rows - block.first_row);
  const RowPointer p = layout.seat_stride != 0 ? RowPointer{block.shared + layout.seats_at(), layout.seat_stride}
                                               : RowPointer{p_at.data + block.first_row * p_at.stride, p_at.stride};
  const int warp_row = block.warp_row();

  for_each_tile<Precision::kFloat32>(block, m.logit_tiles, m.logit_items, 0, Logits{m, p, warp_row, block.rows});
  block_barrier();
  softmax(m, p, block.rows);
  block_barrier();
  if (gates.data != nullptr && gates.data != p_at.data && blockIdx.y == 0)
    for (int i = static_cast<int>(threadIdx.x); i < block.rows * m.seat_count; i += static_cast<int>(blockDim.x)) {
      const int row = i / m.seat_count, seat = i % m.seat_count;
      gates.data[(block.first_row + row) * gates.stride + seat] = p.data[row * p.stride + seat];
    }

  const int unit_passes = (m.units + kColumns - 1) / kColumns, passes = unit_passes * ((m.gate_count + kGates - 1) / kGates);
  for (int pass = static_cast<int>(blockIdx.y); pass < passes; pass += static_cast<int>(gridDim.y)) {
    const int unit = pass % unit_passes * kColumns, first_gate = pass / unit_passes * kGates;
    MixtureSums out[kGates] = {};
    for_each_tile<kPrecision>(block, m.expert_tiles, m.expert_items, unit, Mix<kGates>{m, p, warp_row + lane() / 4, block.rows, first_gate, out});
#pragma unroll
    for (int i = 0; i < kGates; i++) {
      add_groups(out[i], block, block.shared + layout.stages_at());
      if (first_gate + i >= m.gate_count || block.group() != 0) continue;
      const RowPointer to = outputs[first_gate + i];
#pragma unroll
      for (int j = 0; j < kColumns / 8; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) {
          const int row = warp_row + lane() / 4 + 8 * (k / 2), c = unit + 8 * j + 2 * (lane() % 4) + k % 2;
          if (row < block.rows && c < m.units) to.data[(block.first_row + row) * to.stride + c] = out[i][j][k];
        }
    }
  }
}

struct MixtureForward final : Op {
  MixtureTopology topology;
  std::vector<mg_view> outputs;
  mg_view gates;
  Table<RowPointer> outputs_table;

  // p of all rows, where neither shared memory nor a view has room for it.
  size_t scratch_bytes(const Plan&, int64_t rows) const override {
    if (gates.buffer >= 0 || !topology.seats_may_be_global(1)) return 0;
    return static_cast<size_t>(rows * topology.mixture.seat_count) * sizeof(float);
  }

  void bind(const Context& context) override {
    topology.bind(context, false);
    std::vector<RowPointer> pointers;
    for (const mg_view& output : outputs) pointers.push_back(context.at(output));
    outputs_table.assign(pointers);
  }

  template <Precision kPrecision, int kGates>
  void start(const Context& context) const {
    const Mixture& m = topology.mixture;
    const MixtureLayout layout = topology.layout(context.plan, context.rows, row_warps<kGates>(device_facts().major < 9), 1);
    const RowPointer gates_at = context.at(gates);
    RowPointer p{nullptr, 0};
    if (layout.seat_stride == 0) p = gates_at.data != nullptr ? gates_at : RowPointer{context.scratch<float>(), m.seat_count};
    Grid grid{static_cast<unsigned>(blocks_of(context.rows, layout.rows)), 1};
    // Blocks that share rows compute p each for itself: only where it is not written over, and multiprocessors would be idle.
    const int64_t passes = blocks_of(m.units, kColumns) * blocks_of(m.gate_count, kGates);
    if (layout.seat_stride != 0)
      grid.y = static_cast<unsigned>(std::clamp<int64_t>(device_facts().multiprocessors / static_cast<int64_t>(grid.x), 1, passes));
    context.stream.launch(mixture_forward_kernel<kPrecision, kGates>, grid, layout.threads(), static_cast<size_t>(layout.floats()) * sizeof(float), m,
                          layout, context.rows, outputs_table.data(), gates_at, p);
  }

  template <Precision kPrecision>
  void start_for_gates(const Context& context) const {
    const int gate_count = topology.mixture.gate_count;
    if (gate_count == 1) return start<kPrecision, 1>(context);
    if (gate_count == 2) return start<kPrecision, 2>(context);
    if (gate_count <= 4) return start<kPrecision, 4>(context);
    start<kPrecision, 6>(context);
  }

  void launch(const Context& context) const override {
    switch (context.plan.precision) {
      case Precision::kFloat32: return start_for_gates<Precision::kFloat32>(context);
      case Precision::kTf32: return start_for_gates<Precision::kTf32>(context);
      case Precision::kBfloat16: return start_for_gates<Precision::kBfloat16>(context);
    }
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
