// mixture_backward, in chunks of rows whose dz fits in the L2 cache.
//
//   recomputes a_i and f'(z_i) from x; da_i = sum_j p_j[i] dout_j, dz_i = da_i f'(z_i)
//   dp_j[i] = dout_j . a_i, dlogit_j = p_j (dp_j - p_j . dp_j) / temperature
// For a chunk one launch writes dz and dlogits side by side into scratch, [rows of the chunk, columns] per stream in the order of the
// combined weights, padding 0. In bfloat16 it writes dz of the experts rounded and separately, and its sums over the rows of a warp from
// before rounding, for the biases. Then two launches per stream read it: dx = dz W^T and dW = x^T dz (gradients.h). The next chunk overwrites
// it: neither dz of all rows nor activations are ever in memory. A block of the first launch works as in mixture_forward.cu: dout of up to
// kGates gates stays in registers; dout of more gates is reread for every expert.
// x [n, d] per stream; gates [n, seats]; doutputs [n, units] per gate, nullable: 0. dstreams nullable, = or +=.
// Recomputing costs 2 d h e FLOPs per row. It saves writing and reading 4 (e h) bytes per row, twice that for gelu and swish.
// Bytes per row: x twice per chunk and stream, dout and p once; dz, 4 or 2 bytes a number, is written once and read twice, from the L2 cache.
// Order of reduction: dp over the columns of a lane, then the 4 lanes of a row, then the passes over the units; da over the gates; the rest
// as gradients.h.
#include <algorithm>

#include "cuda/ops/activation.h"
#include "cuda/ops/gradients.h"
#include "cuda/ops/mixture_cores.h"

namespace mg_cuda {
namespace {

constexpr int64_t kLeastUnit = 128;  // rows
constexpr int kCoreWarpRows = kGroupRows / 4;

// dout takes 8 registers per gate and panel. Products, slopes and da take as many as three gates.
constexpr int kMostGates = 4;
__host__ __device__ constexpr MixtureDivision division_of(int gates) { return {2, gates}; }

// The kernel's arguments besides the topology. Row 0 of dz and of p in global memory is the chunk's first row; row 0 of the rest is the run's.
struct Chunk {
  int64_t first_row, rows, pitch;
  float* dz;          // [pitch, columns] per stream, in order; only logits if dz of experts is bfloat16
  Bfloat16* rounded;  // dz of experts: [pitch, columns before the logits] per stream
  float* sums;        // its sums over the rows of a warp, in the same order
  RowPointer gates;
  RowPointer p, dp;  // their place if not in shared memory
  const RowPointer* doutputs;
};

// The place of dz of a stream's experts: the first column of the block's first row, and of the sums over the rows of the block's first warp.
template <class Number>
struct DzOfExperts {
  Number* data;
  float* sums;
  int64_t stride;

  template <class Block>
  __device__ __forceinline__ DzOfExperts(const Block& block, const Chunk& chunk, int s, int rows_of_warp) {
    const MixtureStream& stream = block.m.streams[s];
    const int64_t row = block.first_row - chunk.first_row;
    if constexpr (std::is_same_v<Number, float>) {
      stride = stream.columns;
      data = chunk.dz + stream.columns_before * chunk.pitch + row * stride, sums = nullptr;
    } else {
      stride = stream.logits_begin;
      data = chunk.rounded + stream.rounded_before * chunk.pitch + row * stride;
      sums = chunk.sums + stream.rounded_before * ((chunk.pitch + rows_of_warp - 1) / rows_of_warp) + row / rows_of_warp * stride;
    }
  }
  __device__ __forceinline__ DzOfExperts from(int column) const {
    DzOfExperts result = *this;
    result.data += column;
    if constexpr (!std::is_same_v<Number, float>) result.sums += column;
    return result;
  }
};

// Computes dz and dp from the products of an expert's columns. kRows: tiles of 16 rows per warp. kDense: all gates see all experts.
template <int kGates, int kPanels, int kRows, Activations kActivations, bool kDense, class Block>
struct Back {
  using Tile = MixtureSums<kPanels, kRows>;
  const Block& block;
  const Chunk& chunk;
  RowPointer p, dp;  // the block's first row
  int unit;
  Tile (&dout)[kGates];

  __device__ __forceinline__ static int column(int j) { return 8 * j + 2 * (lane() % 4); }

  // A lane's part of a gate's dout; 0 if it does not exist.
  __device__ __forceinline__ void load_doutput(Tile& to, int gate) const {
    const RowPointer at = chunk.doutputs[gate];
    const float* const first = at.data + (block.first_row + block.lane_row()) * at.stride + unit + column(0);
    const int rows = at.data == nullptr ? 0 : block.rows - block.lane_row(), units = block.m.units - unit - column(0);
    const auto each_pair = [&](const auto& work) {
#pragma unroll
      for (int i = 0; i < 2 * kRows; i++)
#pragma unroll
        for (int j = 0; j < kPanels; j++) {
          Pair pair{};
          work(pair, first + 8 * i * at.stride + j * kPanel, 8 * i < rows ? units - j * kPanel : 0);
          to[i / 2][j][i % 2 * 2] = pair.first, to[i / 2][j][i % 2 * 2 + 1] = pair.second;
        }
    };
    if (reinterpret_cast<uintptr_t>(at.data + unit) % 8 == 0 && at.stride % 2 == 0 && block.m.units % 2 == 0)
      each_pair([](Pair& pair, const float* from, int left) {
        if (left > 0) pair = *reinterpret_cast<const Pair*>(from);
      });
    else
      each_pair([](Pair& pair, const float* from, int left) {
        if (left > 0) pair.first = from[0];
        if (left > 1) pair.second = from[1];
      });
  }

  __device__ __forceinline__ void load_doutputs() const {
#pragma unroll
    for (int g = 0; g < kGates; g++)
      if (g < block.m.gate_count) load_doutput(dout[g], g);
  }

  // Adds the part of da and dp of a gate that sees the expert.
  __device__ __forceinline__ void add_gate(Tile& da, const Tile& a, const Tile& d, int place) const {
    const float* const at = p.data + block.lane_row() * p.stride + place;
    float dot[2 * kRows] = {};
#pragma unroll
    for (int i = 0; i < 2 * kRows; i++) {
      const float probability = at[8 * i * p.stride];
#pragma unroll
      for (int j = 0; j < kPanels; j++)
#pragma unroll
        for (int k = i % 2 * 2; k < i % 2 * 2 + 2; k++) {
          da[i / 2][j][k] = fused(probability, d[i / 2][j][k], da[i / 2][j][k]);
          dot[i] = fused(d[i / 2][j][k], a[i / 2][j][k], dot[i]);
        }
    }
    give(dot, place);
  }

  // dp of a place = or += the sum over the four lanes of a row; lane t writes the row 8 t below.
  __device__ __forceinline__ void give(const float (&dot)[2 * kRows], int place) const {
    const int t = lane() % 4, row = block.lane_row() + 8 * t;
    const bool odd = t % 2 != 0, upper = t / 2 != 0;
    float sum = (odd ? dot[1] : dot[0]) + shuffle_xor(odd ? dot[0] : dot[1], 1);
    if constexpr (kRows == 2) {
      const float high = (odd ? dot[3] : dot[2]) + shuffle_xor(odd ? dot[2] : dot[3], 1);
      sum = (upper ? high : sum) + shuffle_xor(upper ? sum : high, 2);
    } else {
      sum += shuffle_xor(sum, 2);
      if (upper) return;
    }
    if (row >= block.rows) return;
    float* const to = dp.data + row * dp.stride + place;
    *to = unit == 0 ? sum : *to + sum;
  }

  // Sums the columns of each lane over the eight rows of lanes. Each lane writes one sum; with four sums, two lanes share one. to: the lane's
  // first column.
  __device__ __forceinline__ static void give_sums(float (&sums)[2 * kPanels], float* to, int left) {
    int place = 0;
#pragma unroll
    for (int mask = kWarp / 2, count = kPanels; mask >= 4; mask /= 2, count /= 2) {
      const bool upper = (lane() & mask) != 0;
      if (count == 0) sums[0] += shuffle_xor(sums[0], mask);
#pragma unroll
      for (int k = 0; k < count; k++) {
        const float other = shuffle_xor(upper ? sums[k] : sums[k + count], mask);
        sums[k] = (upper ? sums[k + count] : sums[k]) + other;
      }
      place += upper ? count : 0;
    }
    if (place / 2 * kPanel < left) to[place / 2 * kPanel + place % 2] = sums[0];
  }

  // number: the expert's number in block.run(). dz_of_expert(): the place of its first column, called as late as possible.
  template <class DzOfExpert>
  __device__ __forceinline__ void operator()(int number, Tile& z, const DzOfExpert& dz_of_expert) const {
    const Mixture& m = block.m;
    Tile a, da = {};
    activate_all<kActivations>(
        m.activation,
        [](const auto& f, float(&z_or_slope)[4], float(&of_a)[4]) {
#pragma unroll
          for (int k = 0; k < 4; k++) {
            of_a[k] = f.value(z_or_slope[k]);
            z_or_slope[k] = f.slope(z_or_slope[k], of_a[k]);
          }
        },
        z, a);
    MixtureRun run = block.run(0, number);
#pragma unroll
    for (int g = 0; g < kGates; g++)
      if (kDense || (run.gates >> g & 1) != 0) add_gate(da, a, dout[g], run.place++);
#pragma unroll 1
    for (int pass = 1; !kDense && pass * kGates < m.gate_count; pass++) {
      run = block.run(pass, number);
#pragma unroll 1
      for (int g = 0; g < kGates; g++) {
        if (!(run.gates >> g & 1)) continue;
        Tile d;
        load_doutput(d, pass * kGates + g);
        add_gate(da, a, d, run.place++);
      }
    }
    const int left = (m.units + 3) / 4 * 4 - unit - column(0);  // includes the expert's padding, where da is 0
    const auto dz = dz_of_expert();
    using Number = std::remove_pointer_t<decltype(dz.data)>;
    constexpr bool kRounds = !std::is_same_v<Number, float>;
    Number* const to = dz.data + block.lane_row() * dz.stride + unit + column(0);
    float sums[2 * kPanels] = {};
#pragma unroll
    for (int i = 0; i < 2 * kRows; i++) {
      const bool present = block.lane_row() + 8 * i < block.rows;
#pragma unroll
      for (int j = 0; j < kPanels; j++) {
        const int k = i % 2 * 2;
        const Pair pair{da[i / 2][j][k] * z[i / 2][j][k], da[i / 2][j][k + 1] * z[i / 2][j][k + 1]};
        Number* const at = to + 8 * i * dz.stride + j * kPanel;
        if constexpr (kRounds) {
          sums[2 * j] += pair.first, sums[2 * j + 1] += pair.second;
          if (present && j * kPanel < left) *reinterpret_cast<uint32_t*>(at) = to_bf16_pair(pair.first, pair.second);
        } else {
          if (present && j * kPanel < left) *reinterpret_cast<Pair*>(at) = pair;
        }
      }
    }
    if constexpr (kRounds) {
      const int row = block.lane_row() - lane() / 4;  // the warp's first row
      give_sums(sums, dz.sums + row / (16 * kRows) * dz.stride + unit + column(0), row < block.rows ? left : 0);
    }
  }
};

// Loads p of the block's rows from the view `gates`. Missing rows get 0, so that dz is 0 there too.
template <class Block>
__device__ __forceinline__ void load_gates(const Block& block, RowPointer gates, RowPointer p) {
  const int32_t* const places = block.places_of_seats();
  for (int row = warp(); row < block.layout.rows; row += static_cast<int>(blockDim.x) / kWarp)
    for (int seat = lane(); seat < block.m.seat_count; seat += kWarp)
      p.data[row * p.stride + places[seat]] = row < block.rows ? gates.data[(block.first_row + row) * gates.stride + seat] : 0;
}

// Turns dp into dlogit in place. One thread per row and gate; threads of a row are neighbours.
template <bool kDense, class Block>
__device__ __forceinline__ void softmax_backward(const Block& block, RowPointer p, RowPointer dp) {
  const Mixture& m = block.m;
  for (int i = static_cast<int>(threadIdx.x); i < block.rows * m.gate_count; i += static_cast<int>(blockDim.x)) {
    const int gate = i % m.gate_count, row = i / m.gate_count, from = m.gate_offset[gate];
    const int seen = kDense ? m.expert_count : m.gate_offset[gate + 1] - from;
    const float* const probability = p.data + row * p.stride;
    float* const at = dp.data + row * dp.stride;
    const int32_t* const places = block.places_of_seats() + from;
    const auto place = [&](int k) { return kDense ? k * m.run_alignment + gate : places[k]; };
    float mean = 0;
#pragma unroll 4
    for (int k = 0; k < seen; k++) mean = fused(probability[place(k)], at[place(k)], mean);
#pragma unroll 4
    for (int k = 0; k < seen; k++) at[place(k)] = probability[place(k)] * (at[place(k)] - mean) * m.inverse_temperature;
  }
}

// Writes dlogits from dp after the experts' columns of dz, with zeros between them.
template <class Number, bool kDense, class Block>
__device__ __forceinline__ void give_logits(const Block& block, const Chunk& chunk, RowPointer p, RowPointer dp, int rows_of_warp) {
  block_barrier();
  softmax_backward<kDense>(block, p, dp);
  block_barrier();
  for (int s = 0; s < block.m.stream_count; s++) {
    const MixtureStream stream = block.m.streams[s];
    const int32_t* const places = block.places_of_logits() + stream.first_logit;
    const auto dz = DzOfExperts<Number>(block, chunk, s, rows_of_warp).from(stream.experts_end);
    const int padding = stream.logits_begin - stream.experts_end, width = stream.columns - stream.logits_begin;
    float* to = chunk.dz + (stream.columns_before - stream.rounded_before) * chunk.pitch + (block.first_row - chunk.first_row) * width;
    int64_t stride = width;
    if constexpr (std::is_same_v<Number, float>) to = dz.data + padding, stride = dz.stride;
    for (int row = warp(); row < block.rows; row += static_cast<int>(blockDim.x) / kWarp) {
      if (lane() < padding) {
        dz.data[row * dz.stride + lane()] = 0;
        if (!std::is_same_v<Number, float> && row % rows_of_warp == 0) dz.sums[row / rows_of_warp * dz.stride + lane()] = 0;
      }
      for (int c = lane(); c < width; c += kWarp) to[row * stride + c] = c < stream.logits ? dp.data[row * dp.stride + places[c]] : 0;
    }
  }
}

template <Precision kPrecision, int kGates>
__global__ void __launch_bounds__(kMostThreads, 1) mixture_dz_kernel(Mixture m, MixtureLayout layout, Chunk chunk) {
  begin_kernel();
  using Number = std::conditional_t<kPrecision == Precision::kBfloat16, Bfloat16, float>;
  constexpr int kPanels = division_of(kGates).panels;
  constexpr bool kKeepsRows = kPrecision == Precision::kBfloat16 && !(kBeforeHopper && kGates == kMostGates);  // limited by registers
  const int64_t in_chunk = static_cast<int64_t>(blockIdx.x) * layout.rows;
  MixtureBlock block(layout, m, chunk.first_row + in_chunk, chunk.first_row + chunk.rows);
  RowPointer p{chunk.p.data + in_chunk * chunk.p.stride, chunk.p.stride}, dp{chunk.dp.data + in_chunk * chunk.dp.stride, chunk.dp.stride};
  if (layout.seat_tables != 0) {
    p = {block.shared + layout.seats_at(), layout.seat_stride};
    dp = {p.data + layout.rows * layout.seat_stride, layout.seat_stride};
  }
  block_barrier();
  load_gates(block, chunk.gates, p);
  for (int unit = 0; unit < m.units; unit += kPanels * kPanel) {
    MixtureSums<kPanels> dout[kGates] = {};
    const Back<kGates, kPanels, kRowTiles, Activations::kAll, false, MixtureBlock> back{block, chunk, p, dp, unit, dout};
    back.load_doutputs();
    for_each_tile<kPrecision, kPanels, kExpertPiece, kKeepsRows>(
        block, block.expert_tiles(), m.expert_items, unit, [&](const MixtureTile& tile, MixtureSums<kPanels>& z) {
          back(tile.number, z, [&] { return DzOfExperts<Number>(block, chunk, tile.stream, kWarpRows).from(tile.column); });
        });
  }
  give_logits<Number, false>(block, chunk, p, dp, kWarpRows);
}

// The same with mixture_cores.h. kWhole: a tile belongs to one expert, else to two.
template <int kGates, bool kWhole, Activations kActivations, bool kDense>
__global__ void __launch_bounds__(kCoreThreads, 1) core_dz_kernel(CoreMixture cores, CoreLayout layout, Chunk chunk) {
  begin_kernel();
  if constexpr (kHasWarpgroups) {
    constexpr int kParts = kWhole ? 2 : 1;
    CoreBlock block(layout, cores, chunk.first_row + static_cast<int64_t>(blockIdx.x) * layout.rows, chunk.first_row + chunk.rows);
    const RowPointer p{block.shared + layout.seats_at(), layout.seat_stride}, dp{p.data + layout.rows * layout.seat_stride, layout.seat_stride};
    block_barrier();
    load_gates(block, chunk.gates, p);
    for (int pass = 0; pass < cores.tiles_of_expert; pass++) {
      HalfTile dout[kParts][kGates] = {};
      const auto back = [&](int part) {
        return Back<kGates, kHalfPanels, 1, kActivations, kDense, CoreBlock>{block,     chunk, p, dp, pass * kTileColumns + part * kTileColumns / 2,
                                                                             dout[part]};
      };
#pragma unroll
      for (int part = 0; part < kParts; part++) back(part).load_doutputs();
      for (int s = 0; s < cores.m.stream_count; s++) {
        const DzOfExperts<Bfloat16> dz(block, chunk, s, kCoreWarpRows);
        for_each_core_tile<kWhole>(block, s, pass, [&](int half, int slot, HalfTile& z) {
          const int column = block.slots(0)[slot].column;
          if (column >= 0) back(kWhole ? half : 0)(slot, z, [&] { return dz.from(column); });
        });
      }
    }
    give_logits<Bfloat16, kDense>(block, chunk, p, dp, kCoreWarpRows);
  }
}

struct MixtureBackward final : Op {
  MixtureTopology topology;
  std::vector<mg_view> doutputs, dstreams;
  std::vector<GradientPlace> gradients;  // one per stream
  std::vector<int64_t> accumulate;
  std::vector<Epilogue> epilogues;  // of dstreams
  mg_view gates;
  Table<RowPointer> doutputs_table;
  CoreMixture core_mixture{};

  // The size of a chunk's dz. `rounds`: in bfloat16, with sums over the rows of a warp.
  struct Place {
    bool rounds;
    int64_t rows_of_sum, rounded, exact;  // columns in bfloat16, columns in float32
    int64_t rounded_bytes(int64_t rows) const { return rows * rounded * static_cast<int64_t>(sizeof(Bfloat16)); }
    int64_t exact_floats(int64_t rows) const { return rows * exact; }
    int64_t sums(int64_t rows) const { return rounds ? blocks_of(rows, rows_of_sum) * rounded : 0; }
    int64_t floats(int64_t rows) const { return rounded_bytes(rows) / static_cast<int64_t>(sizeof(float)) + exact_floats(rows) + sums(rows); }
  };
  Place place(const Plan& plan) const {
    const bool rounds = plan.precision == Precision::kBfloat16;
    return {rounds, topology.cores ? kCoreWarpRows : kWarpRows, rounds ? topology.rounded : 0, topology.columns - (rounds ? topology.rounded : 0)};
  }

  int64_t most_chunk_rows(const Place& place) const {
    const int64_t bytes = place.floats(kLeastUnit) * static_cast<int64_t>(sizeof(float));
    return std::max<int64_t>(chunk_bytes() / std::max<int64_t>(bytes, 1), 1) * kLeastUnit;
  }

  // The rows whose gradients are summed on their own if a run has several chunks; see Splits. About one for each split in a chunk.
  int64_t unit_rows(const Context& context, const Weights& w) const {
    const int64_t wanted = most_chunk_rows(place(context.plan)) / context.plan.splits(w, context.rows);
    int64_t unit = kLeastUnit;
    while (unit * 2 <= wanted) unit *= 2;
    return unit;
  }

  // The chunks that take the least time. All but the last have the same number of rows, a multiple of every unit.
  int64_t chunk_rows(const Context& context) const {
    const int64_t rows = context.rows, most = most_chunk_rows(place(context.plan));
    if (rows <= most) return rows;
    int64_t unit = kLeastUnit;
    for (const Weights* w : topology.weights) unit = std::max(unit, unit_rows(context, *w));
    const auto work = [&](int64_t chunk) {
      if (chunk == 0) return int64_t{0};
      return topology.cores ? topology.core_layout(chunk, 2).work : topology.layout(context.plan, chunk, division(), 2, 1).work;
    };
    int64_t best = 0, least = INT64_MAX;
    for (int64_t chunk = most / unit * unit; chunk > most / 2; chunk -= unit) {
      const int64_t all = rows / chunk * work(chunk) + work(rows % chunk);
      if (all < least) best = chunk, least = all;
    }
    return best;
  }

  // Enough for any number of rows up to this one.
  size_t scratch_bytes(const Plan& plan, int64_t rows) const override {
    const int64_t some = std::min(rows, most_chunk_rows(place(plan)));
    return static_cast<size_t>(place(plan).floats(some)) * sizeof(float) + (topology.cores ? 0 : topology.seat_bytes(some, 2));
  }

  // What reads the sum of several streams' gradients follows the last of them.
  bool fuse(const Pointwise& next) override {
    size_t last = 0;
    for (size_t s = 0; s < dstreams.size(); s++)
      if (overlap(dstreams[s], next.x)) last = s;
    std::vector<mg_view> others = topology.streams;
    others.insert(others.end(), doutputs.begin(), doutputs.end());
    others.push_back(gates);
    for (size_t s = 0; s < dstreams.size(); s++)
      if (!same_view(dstreams[s], dstreams[last])) others.insert(others.end(), {dstreams[s], epilogues[s].writes(), epilogues[s].reads()});
    if (meet(std::array{next.source}, dstreams)) return false;
    return dstreams[last].buffer >= 0 && epilogues[last].fuse(dstreams[last], next, others);
  }

  void bind(const Context& context) override {
    if (topology.cores)
      core_mixture = topology.bind_cores(context, core_gates());
    else
      topology.bind(context, division(), 1, true);
    std::vector<RowPointer> pointers;
    for (const mg_view& doutput : doutputs) pointers.push_back(context.at(doutput));
    doutputs_table.assign(pointers);
  }

  MixtureDivision division() const { return division_of(gates_at_a_time(topology.mixture.gate_count, kMostGates)); }

  void launch_tiles(const Context& context, const Chunk& chunk) const {
    const MixtureLayout layout = topology.layout(context.plan, chunk.rows, division(), 2, 1);
    with_precision_and_gates<kMostGates>(context.plan.precision, division().gates, [&](auto precision, auto gates_of_kernel) {
      context.stream.launch(mixture_dz_kernel<decltype(precision)::value, decltype(gates_of_kernel)::value>,
                            {static_cast<unsigned>(blocks_of(chunk.rows, layout.rows))}, layout.threads(),
                            static_cast<size_t>(layout.floats()) * sizeof(float), topology.mixture, layout, chunk);
    });
  }

  // As in forward; dout of a gate takes 16 or 32 registers.
  bool is_dense() const {
    const int gates = topology.mixture.gate_count;
    return topology.is_dense() && topology.is_simple() && (gates <= 2 || (!topology.is_whole() && gates == kMostGates));
  }
  int core_gates() const { return is_dense() ? topology.mixture.gate_count : topology.is_whole() ? 2 : kMostGates; }

  void launch_cores(const Context& context, const Chunk& chunk) const {
    const CoreLayout layout = topology.core_layout(chunk.rows, 2);
    const auto launch = [&](auto kernel) {
      context.stream.launch(kernel, {static_cast<unsigned>(blocks_of(chunk.rows, layout.rows))}, layout.rows / kGroupRows * kWarpgroup,
                            static_cast<size_t>(layout.floats()) * sizeof(float), core_mixture, layout, chunk);
    };
    if (!topology.is_simple())
      return launch(topology.is_whole() ? core_dz_kernel<2, true, Activations::kAll, false>
                                        : core_dz_kernel<kMostGates, false, Activations::kAll, false>);
    const bool dense = is_dense();
    with_core_kernel(topology, core_gates(), [&](auto gates_of_kernel, auto whole) {
      constexpr int kGates = decltype(gates_of_kernel)::value;
      constexpr bool kWhole = decltype(whole)::value;
      if constexpr (kGates <= kMostGates) {
        if (dense) return launch(core_dz_kernel<kGates, kWhole, Activations::kReluOrLinear, true>);
        if constexpr (kGates == (kWhole ? 2 : kMostGates)) launch(core_dz_kernel<kGates, kWhole, Activations::kReluOrLinear, false>);
      }
    });
  }

  void launch(const Context& context) const override {
    const Place of_dz = place(context.plan);
    const int64_t pitch = chunk_rows(context), places = topology.mixture.place_count;
    auto* const rounded = of_dz.rounds ? context.scratch<Bfloat16>() : nullptr;
    float* const dz = context.scratch<float>() + of_dz.rounded_bytes(pitch) / static_cast<int64_t>(sizeof(float));
    float* const sums = dz + of_dz.exact_floats(pitch);
    float* const p = sums + of_dz.sums(pitch);  // then dp, if they are not in shared memory
    for (int64_t first = 0; first < context.rows; first += pitch) {
      const Chunk chunk{first,
                        std::min(pitch, context.rows - first),
                        pitch,
                        dz,
                        rounded,
                        sums,
                        context.at(gates),
                        {p, places},
                        {p + (pitch + kMostRowWarps * kWarpRows) * places, places},
                        doutputs_table.data()};
      topology.cores ? launch_cores(context, chunk) : launch_tiles(context, chunk);
      for (size_t s = 0; s < topology.streams.size(); s++) products(context, s, chunk, pitch < context.rows);
    }
  }

  void products(const Context& context, size_t s, const Chunk& chunk, bool in_chunks) const {
    const auto from_chunk = [&](const mg_view& view) {
      const RowPointer all = context.at(view);
      return RowPointer{all.data + chunk.first_row * all.stride, all.stride};
    };
    const Weights& w = *topology.weights[s];
    const MixtureStream& range = topology.ranges[s];
    Dz dz{{chunk.dz + range.columns_before * chunk.pitch, w.columns}, static_cast<int>(w.columns)};
    if (const Place of_dz = place(context.plan); of_dz.rounds)
      dz = {{chunk.dz + (range.columns_before - range.rounded_before) * chunk.pitch, w.columns - w.rounded},
            static_cast<int>(w.columns),
            chunk.rounded + range.rounded_before * chunk.pitch,
            chunk.sums + range.rounded_before * blocks_of(chunk.pitch, of_dz.rows_of_sum),
            w.rounded,
            static_cast<int>(of_dz.rows_of_sum)};
    // A stream that no expert or gate reads has no columns: its gradient is 0.
    if (dstreams[s].buffer >= 0)
      launch_input_gradient(context, w, chunk.rows, dz, from_chunk(dstreams[s]), dstreams[s].width, accumulate[s] != 0,
                            epilogues[s].rows(context, chunk.first_row));
    if (w.columns > 0 && gradients[s].first >= 0)
      launch_weight_gradient(context, w, gradients[s], in_chunks ? unit_rows(context, w) : 0, chunk.first_row, chunk.rows,
                             from_chunk(topology.streams[s]), dz);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_mixture_backward& op) {
  auto compiled = std::make_unique<MixtureBackward>();
  compile_topology(builder, op, compiled->topology);
  for (Weights* weights : compiled->topology.weights) compiled->gradients.push_back(builder.need_gradient(*weights, op.gradients));
  compiled->doutputs = kept(op.doutputs), compiled->dstreams = kept(op.dstreams), compiled->accumulate = kept(op.accumulate);
  compiled->gates = op.gates;
  compiled->epilogues.resize(compiled->dstreams.size());
  builder.unused(op.experts), builder.unused(op.pre);
  builder.add(std::move(compiled));
}

}  // namespace mg_cuda
