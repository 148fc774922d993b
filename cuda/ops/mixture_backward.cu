// mixture_backward, by chunks of rows whose dz fits in the L2 cache.
//
//   a_i and f'(z_i) are computed again from x; da_i = sum_j p_j[i] dout_j, dz_i = da_i f'(z_i)
//   dp_j[i] = dout_j . a_i, dlogit_j = p_j (dp_j - p_j . dp_j) / temperature
// For a chunk one launch writes dz and dlogits side by side, [rows of the chunk, columns] per stream in the order of the combined
// weights, padding 0, into scratch; then two launches per stream take it up: dx = dz W^T and dW = x^T dz (gradients.h). The next chunk
// writes over it: dz of all rows never lies in memory, nor do activations. A block of the first launch is as in mixture_forward.cu:
// dout of up to kGates gates in registers, that of more gates read again for every expert.
// x [n, d] per stream; gates [n, seats]; doutputs [n, units] per gate, nullable: 0. dstreams nullable, = or +=.
// What recomputing costs: 2 d h e FLOPs per row. What it saves: writing and reading 4 (e h) bytes per row, twice that for gelu and swish.
// Bytes per row: x twice per chunk and stream, dout and p once; dz is written once and read twice, from the L2 cache.
// Order of reduction: dp over the columns of a lane, then the 4 lanes of a row, then the passes over the units; da over the gates; the rest
// as gradients.h.
#include <algorithm>

#include "cuda/ops/gradients.h"
#include "cuda/ops/mixture.h"
#include "cuda/ops/activation.h"

namespace mg_cuda {
namespace {

#if defined(MG_EMULATION)
constexpr int64_t kChunkFloats = int64_t{64} << 10;  // so that tests of a thousand rows have several chunks
#else
constexpr int64_t kChunkFloats = int64_t{8} << 20;  // of dz: 32 MiB, of the 50 of an H100's L2 cache
#endif
constexpr int64_t kChunkUnit = 128;  // rows

// dout, sums of dp and slopes need registers too, of which eight warps have 255 each.
template <Precision kPrecision, int kGates>
__host__ __device__ constexpr MixtureDivision division_of() { return {kGates <= (kPrecision == Precision::kFloat32 ? 2 : 4) ? 4 : 2, kFewerRowWarps}; }

// What the kernel takes beside the topology. Row 0 of dz and dp is the chunk's first row, that of all else is the run's.
struct Chunk {
  int64_t first_row, rows;
  float* dz;      // [pitch, columns] per stream, one after the other
  int64_t pitch;
  RowPointer p;
  RowPointer dp;  // where it lies if not in shared memory
  const RowPointer* doutputs;
};

// A lane's two columns of dout from column `c` on, in rows `row` and `row` + 8; 0 where it does not exist.
__device__ __forceinline__ void load_doutput(float (&to)[4], RowPointer dout, int row, int rows, int c, int units) {
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const int r = row + 8 * (k / 2);
    to[k] = dout.data != nullptr && r < rows && c + k % 2 < units ? dout.data[r * dout.stride + c + k % 2] : 0;
  }
}

// dz and dp from the products of a tile.
template <int kGates, int kPanels>
struct Back {
  const Mixture& m;
  const Chunk& chunk;
  const float* p;       // at this lane's first row
  int p_behind;         // from there to the row 8 below; 0 where it does not exist
  RowPointer dp;        // the block's first row
  int64_t first_row;    // the block's
  int row, rows, unit;  // row: this lane's first in the block
  MixtureSums<kPanels> (&dout)[kGates];

  __device__ __forceinline__ int column(int j) const { return 8 * j + 2 * (lane() % 4); }
  __device__ __forceinline__ RowPointer doutput(int gate) const {
    const RowPointer at = chunk.doutputs[gate];
    return {at.data == nullptr ? nullptr : at.data + first_row * at.stride, at.stride};
  }

  __device__ __forceinline__ void load_doutputs() const {
#pragma unroll
    for (int i = 0; i < kGates; i++)
#pragma unroll
      for (int j = 0; j < kPanels; j++)
        if (i < m.gate_count) load_doutput(dout[i][j], doutput(i), row, rows, unit + column(j), m.units);
  }

  // Four columns of one gate that sees the expert: its part of da, and of dp.
  static __device__ __forceinline__ void add_gate(float (&da)[4], float (&dot)[2], const float (&a)[4], const float (&d)[4],
                                                  const float (&probability)[2]) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      da[k] = fused(probability[k / 2], d[k], da[k]);
      dot[k / 2] = fused(d[k], a[k], dot[k / 2]);
    }
  }

  // dp of a seat = or += the sum over the lanes of a row.
  __device__ __forceinline__ void give(float (&dot)[2], int seat, bool first) const {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      dot[i] += shuffle_xor(dot[i], 1);
      dot[i] += shuffle_xor(dot[i], 2);
      if (lane() % 4 != 0 || row + 8 * i >= rows) continue;
      float* const to = dp.data + (row + 8 * i) * dp.stride + seat;
      *to = first ? dot[i] : *to + dot[i];
    }
  }

  __device__ __forceinline__ void operator()(const MixtureTile& tile, const MixtureSums<kPanels>& z) const {
    const int32_t* const seats = m.seats + tile.number * m.gate_count;
    const int left = (m.units + 3) / 4 * 4 - unit;  // the expert's padding too: da is 0 there
    float* const to = chunk.dz + m.streams[tile.stream].columns_before * chunk.pitch + (first_row - chunk.first_row + row) * tile.columns +
                      tile.column + unit;
    float dot[kGates][2] = {};
#pragma unroll
    for (int j = 0; j < kPanels; j++) {
      float a[4], slopes[4], da[4] = {};
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const float value = z[j][k];
        a[k] = activate(m.activation, value);
        slopes[k] = slope(m.activation, m.slope_needs_z ? value : a[k]);
      }
#pragma unroll
      for (int i = 0; i < kGates; i++) {
        if (i >= m.gate_count || seats[i] < 0) continue;
        const float probability[2] = {p[seats[i]], p[p_behind + seats[i]]};
        add_gate(da, dot[i], a, dout[i][j], probability);
      }
      for (int i = kGates; i < m.gate_count; i++) {
        if (seats[i] < 0) continue;
        const float probability[2] = {p[seats[i]], p[p_behind + seats[i]]};
        float d[4], part[2] = {};
        load_doutput(d, doutput(i), row, rows, unit + column(j), m.units);
        add_gate(da, part, a, d, probability);
        give(part, seats[i], unit + j == 0);
      }
#pragma unroll
      for (int k = 0; k < 4; k++)
        if (row + 8 * (k / 2) < rows && column(j) < left) to[8 * (k / 2) * tile.columns + column(j) + k % 2] = da[k] * slopes[k];
    }
#pragma unroll
    for (int i = 0; i < kGates; i++)
      if (i < m.gate_count && seats[i] >= 0) give(dot[i], seats[i], unit == 0);
  }
};

// dp becomes dlogit, in place; one thread per row and gate.
__device__ __forceinline__ void softmax_backward(const Mixture& m, RowPointer p, RowPointer dp, int rows) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * m.gate_count; i += static_cast<int>(blockDim.x)) {
    const int gate = i / rows, row = i % rows, from = m.gate_offset[gate], to = m.gate_offset[gate + 1];
    const float* const probability = p.data + row * p.stride;
    float* const at = dp.data + row * dp.stride;
    float mean = 0;
    for (int k = from; k < to; k++) mean = fused(probability[k], at[k], mean);
    for (int k = from; k < to; k++) at[k] = probability[k] * (at[k] - mean) * m.inverse_temperature;
  }
}

template <Precision kPrecision, int kGates>
__global__ void __launch_bounds__(threads_of(kFewerRowWarps), 1) mixture_dz_kernel(Mixture m, MixtureLayout layout, Chunk chunk) {
  constexpr int kPanels = division_of<kPrecision, kGates>().panels;
  const int64_t in_chunk = static_cast<int64_t>(blockIdx.x) * layout.rows;
  MixtureBlock block(layout, chunk.first_row + in_chunk, chunk.first_row + chunk.rows);
  RowPointer p{chunk.p.data + block.first_row * chunk.p.stride, chunk.p.stride}, dp{chunk.dp.data + in_chunk * chunk.dp.stride, chunk.dp.stride};
  if (layout.seat_stride != 0) {
    const RowPointer shared{block.shared + layout.seats_at(), layout.seat_stride};
    for (int i = static_cast<int>(threadIdx.x); i < block.rows * m.seat_count; i += static_cast<int>(blockDim.x)) {
      const int row = i / m.seat_count, seat = i % m.seat_count;
      shared.data[row * shared.stride + seat] = p.data[row * p.stride + seat];
    }
    p = shared;
    dp = {shared.data + layout.rows * layout.seat_stride, layout.seat_stride};
  }

  const int row = block.warp_row + lane() / 4;
  const float* const p_row = p.data + (row < block.rows ? row : 0) * p.stride;
  for (int unit = 0; unit < m.units; unit += kPanels * kPanel) {
    MixtureSums<kPanels> dout[kGates] = {};
    const Back<kGates, kPanels> back{m, chunk, p_row, row + 8 < block.rows ? static_cast<int>(8 * p.stride) : 0, dp, block.first_row, row, block.rows,
                                     unit, dout};
    back.load_doutputs();
    for_each_tile<kPrecision, kPanels>(block, m.expert_tiles, m.expert_items, unit, back);
  }
  block_barrier();
  softmax_backward(m, p, dp, block.rows);
  block_barrier();
  for (int s = 0; s < m.stream_count; s++) {
    const MixtureStream stream = m.streams[s];
    const int width = stream.columns - stream.experts_end;
    float* const to = chunk.dz + stream.columns_before * chunk.pitch + in_chunk * stream.columns + stream.experts_end;
    for (int i = static_cast<int>(threadIdx.x); i < block.rows * width; i += static_cast<int>(blockDim.x)) {
      const int row = i / width, c = i % width, logit = c - (stream.logits_begin - stream.experts_end);
      const bool present = logit >= 0 && logit < stream.logits;
      to[static_cast<int64_t>(row) * stream.columns + c] = present ? dp.data[row * dp.stride + m.seats_of_logits[stream.first_logit + logit]] : 0;
    }
  }
}

struct MixtureBackward final : Op {
  MixtureTopology topology;
  std::vector<mg_view> doutputs, dstreams;
  std::vector<int64_t> accumulate;
  mg_view gates;
  Table<RowPointer> doutputs_table;

  // Chunks of about the same size.
  int64_t most_chunk_rows() const { return std::max<int64_t>(kChunkFloats / (topology.columns * kChunkUnit), 1) * kChunkUnit; }
  int64_t chunk_rows(int64_t rows) const {
    return std::min(blocks_of(blocks_of(rows, blocks_of(rows, most_chunk_rows())), kChunkUnit) * kChunkUnit, rows);
  }

  // For any number of rows up to this one.
  size_t scratch_bytes(const Plan& plan, int64_t rows) const override {
    const int64_t width = topology.columns + (topology.seats_may_be_global(plan, division(plan), 2) ? topology.mixture.seat_count : 0);
    return static_cast<size_t>(std::min(rows, most_chunk_rows()) * width) * sizeof(float);
  }

  void bind(const Context& context) override {
    topology.bind(context, division(context.plan), 1, true);
    std::vector<RowPointer> pointers;
    for (const mg_view& doutput : doutputs) pointers.push_back(context.at(doutput));
    doutputs_table.assign(pointers);
  }

  // work(kernel, its division)
  template <class Work>
  void with_kernel(const Plan& plan, const Work& work) const {
    with_precision_and_gates(plan.precision, topology.mixture.gate_count, [&](auto precision, auto gates) {
      constexpr Precision kPrecision = decltype(precision)::value;
      constexpr int kGates = decltype(gates)::value;
      work(mixture_dz_kernel<kPrecision, kGates>, division_of<kPrecision, kGates>());
    });
  }
  MixtureDivision division(const Plan& plan) const {
    MixtureDivision result{};
    with_kernel(plan, [&](auto, const MixtureDivision& d) { result = d; });
    return result;
  }

  void launch(const Context& context) const override {
    const int64_t pitch = chunk_rows(context.rows);
    float* const dz = context.scratch<float>();
    for (int64_t first = 0; first < context.rows; first += pitch) {
      const Chunk chunk{first, std::min(pitch, context.rows - first), dz, pitch, context.at(gates),
                        {dz + topology.columns * pitch, topology.mixture.seat_count}, doutputs_table.data()};
      with_kernel(context.plan, [&](auto kernel, const MixtureDivision& d) {
        const MixtureLayout layout = topology.layout(context.plan, chunk.rows, d, 2);
        context.stream.launch(kernel, {static_cast<unsigned>(blocks_of(chunk.rows, layout.rows))}, layout.threads(),
                              static_cast<size_t>(layout.floats()) * sizeof(float), topology.mixture, layout, chunk);
      });
      for (size_t s = 0; s < topology.streams.size(); s++) products(context, s, chunk);
    }
  }

  void products(const Context& context, size_t s, const Chunk& chunk) const {
    const auto from_chunk = [&](const mg_view& view) {
      const RowPointer all = context.at(view);
      return RowPointer{all.data + chunk.first_row * all.stride, all.stride};
    };
    const Weights& w = *topology.weights[s];
    const RowPointer dz{chunk.dz + topology.ranges[s].columns_before * chunk.pitch, w.columns};
    // A stream that nobody reads has no columns: its gradient is 0.
    if (dstreams[s].buffer >= 0)
      launch_input_gradient(context, w, chunk.rows, dz, from_chunk(dstreams[s]), dstreams[s].width, accumulate[s] != 0);
    if (w.columns > 0) launch_weight_gradient(context, w, chunk.first_row, chunk.rows, from_chunk(topology.streams[s]), dz);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_mixture_backward& op) {
  auto compiled = std::make_unique<MixtureBackward>();
  compile_topology(builder, op, compiled->topology);
  for (Weights* weights : compiled->topology.weights) builder.need_gradient(*weights);
  compiled->doutputs = kept(op.doutputs), compiled->dstreams = kept(op.dstreams), compiled->accumulate = kept(op.accumulate);
  compiled->gates = op.gates;
  builder.unused(op.experts), builder.unused(op.pre);
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
