// The mixture on the matrix instructions of a warpgroup, in bfloat16, if the GPU has them and the topology fits. mixture.h has the rest.
//
// A block keeps 64 or 128 rows, 64 per warpgroup, in shared memory as cores (device/warpgroup.h), rounded once. The weights of a stream's experts
// are consecutive tiles of 64 columns: several small experts, one, or a part of a larger one. While the matrix instructions compute the next
// tile's products, the warps activate and mix the tile before. Logits are float32: operands are sums of three bfloat16, and the six largest
// of their products count.
#pragma once
#include "cuda/device/warpgroup.h"
#include "cuda/ops/mixture.h"

namespace mg_cuda {

inline constexpr int kTilePanels = kTileColumns / kPanel;
inline constexpr int kHalfPanels = kTilePanels / 2;
inline constexpr int kCoreStages = 4;                // tiles pending or in use
inline constexpr int kMostGroupsOfRows = 2;          // per block, and per multiprocessor: a thread has up to 255 registers
inline constexpr int64_t kSharedOfABlock = 1 << 10;  // bytes that the device takes besides
inline constexpr int kCoreThreads = kMostGroupsOfRows * kWarpgroup;
inline constexpr int kLogitTilePanels = 4;
inline constexpr int kMostLogitTiles = 4;  // per stream: 128 logits
inline constexpr int64_t kMostCoreDepth = 256;
inline constexpr int kStepsOfPanels = 2;  // panels' depth is a multiple of this many steps
inline constexpr int kStepBytes = kStepCores * kCoreBytes;

struct alignas(16) CoreStream {
  const float *tiles, *logits;  // logits: one part after the other
  RowPointer x;                 // row 0
  int32_t depth, tile_count, first_slot, logit_tiles, logit_count, first_logit;
};

// A slot: an expert's position in a tile. Empty slots have no gates and no column.
struct alignas(16) CoreSlot {
  MixtureRun run;
  int32_t column;  // in the combined matrix; -1: empty
  int32_t unused;
};

// A lane's sums of half of a tile.
using HalfTile = MixtureSums<kHalfPanels, 1>;

struct CoreMixture {
  Mixture m;  // its tables: streams, slots [passes over the gates, slot_count], places of logits, places of seats
  int32_t slots_at, slot_count;
  int32_t tiles_of_expert;  // one of them per pass over the units; 1 if a tile has several experts
};

// The layout of a block's shared memory, in floats.
struct CoreLayout {
  int32_t rows, x_floats, seat_stride, seat_tables, table_floats, stage_floats, stages_floats;
  __host__ __device__ int seats_at() const { return x_floats; }
  __host__ __device__ int tables_at() const { return seats_at() + seat_tables * rows * seat_stride; }
  __host__ __device__ int stages_at() const { return tables_at() + table_floats; }
  __host__ __device__ int floats() const { return stages_at() + stages_floats; }
};

struct CoreBlock {
  const CoreLayout& layout;
  const CoreMixture& cores;
  const Mixture& m;
  int64_t first_row;
  int rows;
  float* shared;
  const int32_t* tables;
  int stream = -1;  // its x is in shared memory

  __device__ CoreBlock(const CoreLayout& layout, const CoreMixture& cores, int64_t first_row, int64_t end_row)
      : layout(layout),
        cores(cores),
        m(cores.m),
        first_row(first_row),
        rows(end_row - first_row < layout.rows ? static_cast<int>(end_row - first_row) : layout.rows),
        shared(shared_memory<float>()) {
    auto* const here = reinterpret_cast<int32_t*>(shared + layout.tables_at());
    for (int i = static_cast<int>(threadIdx.x); i < m.table_words; i += static_cast<int>(blockDim.x)) here[i] = m.tables[i];
    tables = here;
  }

  // The lane's row 0 in the block; its other row is 8 below.
  __device__ __forceinline__ int lane_row() const { return warp() * 16 + lane() / 4; }
  __device__ __forceinline__ const CoreStream& streams(int s) const { return reinterpret_cast<const CoreStream*>(tables)[s]; }
  __device__ __forceinline__ const CoreSlot* slots(int pass) const {
    return reinterpret_cast<const CoreSlot*>(tables + cores.slots_at) + pass * cores.slot_count;
  }
  __device__ __forceinline__ MixtureRun run(int pass, int slot) const { return slots(pass)[slot].run; }
  __device__ __forceinline__ const int32_t* places_of_logits() const { return tables + m.logits_at; }
  __device__ __forceinline__ const int32_t* places_of_seats() const { return tables + m.seats_at; }
  __device__ __forceinline__ float* stages() const { return shared + layout.stages_at(); }
};

// The remainder of a pair after rounding to bfloat16, and the remainder after rounding that.
__device__ __forceinline__ void split_rest(float first, float second, uint32_t rounded, uint32_t& middle, uint32_t& low) {
  first -= float_of_bits(rounded << 16), second -= float_of_bits(rounded & 0xFFFF0000u);
  middle = to_bf16_pair(first, second);
  low = to_bf16_pair(first - float_of_bits(middle << 16), second - float_of_bits(middle & 0xFFFF0000u));
}

// Two steps' depth of the lane's two rows.
struct XRows {
  Quad quads[kStepsOfPanels][2];
};

// Copies a stream's x to shared memory, each warp its own rows. Calls each(first step, words, rows) for every two steps, in registers. Matrix
// instructions see x after shared_written() and a block_barrier().
template <class Each>
__device__ __forceinline__ void load_x(CoreBlock& block, int s, const Each& each) {
  const CoreStream& stream = block.streams(s);
  const int depth = stream.depth, cores = static_cast<int>(cores_of(depth)), steps = cores / kStepCores, row = block.lane_row();
  const bool quads = moves_quads(stream.x.data, stream.x.stride) && depth % 4 == 0;
  const float* const from = stream.x.data + (block.first_row + row) * stream.x.stride + lane() % 4 * 4;
  const int64_t below = 8 * stream.x.stride;
  auto* const to = reinterpret_cast<uint32_t*>(block.shared) + warp() * 2 * cores * (kCoreBytes / 4) + lane();
  // Calls work(quad, its place, number of its existing numbers) for the quads from step `first` on.
  const auto each_quad = [&](XRows& rows, int first, const auto& work) {
#pragma unroll
    for (int i = 0; i < kStepsOfPanels; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int k = (first + i) * 16;
        work(rows.quads[i][half], from + half * below + k, row + 8 * half < block.rows ? depth - k - lane() % 4 * 4 : 0);
      }
  };
  block.stream = s;
  XRows rows, next{};
#pragma unroll 1
  for (int first = -kStepsOfPanels; first < steps; first += kStepsOfPanels) {
    rows = next, next = {};
    if (quads)
      each_quad(next, first + kStepsOfPanels, [](Quad& quad, const float* at, int left) {
        if (left > 0) quad = *reinterpret_cast<const Quad*>(at);
      });
    else
      each_quad(next, first + kStepsOfPanels, [](Quad& quad, const float* at, int left) {
#pragma unroll
        for (int i = 0; i < 4; i++)
          if (i < left) quad.column[i] = at[i];
      });
    if (first < 0) continue;
    uint32_t words[kStepsOfPanels][4];
#pragma unroll
    for (int i = 0; i < kStepsOfPanels; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const auto& column = rows.quads[i][half].column;
        words[i][half] = to_bf16_pair(column[0], column[1]);
        words[i][half + 2] = to_bf16_pair(column[2], column[3]);
        uint32_t* const core = to + (half * cores + (first + i) * kStepCores) * (kCoreBytes / 4);
        core[0] = words[i][half];
        core[kCoreBytes / 4] = words[i][half + 2];
      }
    each(first, words, rows);
  }
}

// Starts copying contiguous floats, a multiple of 4.
__device__ __forceinline__ void copy_floats(float* to, const float* from, int floats) {
#pragma unroll 4
  for (int i = 4 * static_cast<int>(threadIdx.x); i < floats; i += 4 * static_cast<int>(blockDim.x)) async_copy<16>(to + i, from + i);
}

// Adds the products of x and its parts, over two steps' depth, to the logits of the first kTiles tiles. weights: the first part at these steps.
template <int kTiles>
__device__ __forceinline__ void multiply_logits(float (&sums)[kMostLogitTiles][16], const uint32_t (&high)[kStepsOfPanels][4],
                                                const uint32_t (&middle)[kStepsOfPanels][4], const uint32_t (&low)[kStepsOfPanels][4],
                                                Operand weights, int panel_bytes, bool adds) {
  const int tile_bytes = kLogitTilePanels * panel_bytes, part_bytes = kTiles * tile_bytes;
  warpgroup_begin();
#pragma unroll
  for (int i = 0; i < kStepsOfPanels; i++)
#pragma unroll
    for (int n = 0; n < kTiles; n++) {
      const Operand first = weights.behind(i * kStepBytes + n * tile_bytes);
      const Operand parts[kLogitParts] = {first, first.behind(part_bytes), first.behind(2 * part_bytes)};
      warpgroup_step(sums[n], low[i], parts[0], adds || i > 0);  // small terms first
      warpgroup_step(sums[n], high[i], parts[2], true);
      warpgroup_step(sums[n], middle[i], parts[1], true);
      warpgroup_step(sums[n], middle[i], parts[0], true);
      warpgroup_step(sums[n], high[i], parts[1], true);
      warpgroup_step(sums[n], high[i], parts[0], true);
    }
  warpgroup_commit();
  warpgroup_wait<0>();
#pragma unroll
  for (int n = 0; n < kTiles; n++) pin(sums[n]);
}

// Computes a stream's logits and copies its x to shared memory. Calls put(column, logits of the lane's two rows). All threads of the block take part.
template <class Put>
__device__ __forceinline__ void make_logits(CoreBlock& block, int s, const Put& put) {
  const CoreStream& stream = block.streams(s);
  const int panel = static_cast<int>(core_panel_floats(stream.depth)), tiles = stream.logit_tiles;
  copy_floats(block.stages(), stream.logits, kLogitParts * tiles * kLogitTilePanels * panel);
  async_commit();
  async_wait<0>();
  shared_written();
  block_barrier();
  if (tiles > 0) {  // else the first expert copies x
    float sums[kMostLogitTiles][16] = {};
    load_x(block, s, [&](int first, const uint32_t(&high)[kStepsOfPanels][4], const XRows& rows) {
      uint32_t middle[kStepsOfPanels][4], low[kStepsOfPanels][4];
#pragma unroll
      for (int i = 0; i < kStepsOfPanels; i++)
#pragma unroll
        for (int word = 0; word < 4; word++) {
          const float* const pair = rows.quads[i][word % 2].column + word / 2 * 2;
          split_rest(pair[0], pair[1], high[i][word], middle[i][word], low[i][word]);
        }
      const auto multiply = [&](auto count) {
        const Operand weights = operand_of({reinterpret_cast<const char*>(block.stages()) + first * kStepBytes, panel * 4});
        multiply_logits<decltype(count)::value>(sums, high, middle, low, weights, panel * 4, first > 0);
      };
      static_assert(kMostLogitTiles == 4);
      switch (tiles) {
        case 1: return multiply(std::integral_constant<int, 1>{});
        case 2: return multiply(std::integral_constant<int, 2>{});
        case 3: return multiply(std::integral_constant<int, 3>{});
        default: return multiply(std::integral_constant<int, 4>{});
      }
    });
    const int first = 2 * (lane() % 4), left = stream.logit_count - first;  // first of the lane's columns
    const float* const biases = block.stages() + panel - kPanel + first;
#pragma unroll
    for (int j = 0; j < kMostLogitTiles * kLogitTilePanels; j++) {
      const auto& of_tile = sums[j / kLogitTilePanels];
#pragma unroll
      for (int odd = 0; odd < 2; odd++)
        if (j * kPanel + odd < left) {
          const int at = j % kLogitTilePanels * 4 + odd;
          const float bias = biases[j * panel + odd];
          put(j * kPanel + first + odd, of_tile[at] + bias, of_tile[at + 2] + bias);
        }
    }
  }
  block_barrier();
}

// Calls each(half, slot, sums) with the products of both halves of every tile of a stream, biases added. If experts have several tiles, takes tile
// `pass` of each. kWhole: both halves belong to one expert. kSteps: the steps of the depth; 0: read them. Copies the stream's x to shared memory if
// needed. All threads of the block take part.
template <bool kWhole, int kSteps = 0, class Each>
__device__ __forceinline__ void for_each_core_tile(CoreBlock& block, int s, int pass, const Each& each) {
  const CoreStream& stream = block.streams(s);
  const int cores = static_cast<int>(cores_of(stream.depth)), steps = cores / kStepCores, panel = static_cast<int>(core_panel_floats(stream.depth));
  const int tile_floats = kTilePanels * panel, count = stream.tile_count;
  block_barrier();  // earlier users of the stages and of x are done
  const float* from = stream.tiles + static_cast<int64_t>(pass) * tile_floats;
  const int64_t step_floats = static_cast<int64_t>(block.cores.tiles_of_expert) * tile_floats;
  int asked = 0;
  const auto ask = [&](int stage) {
    if (asked < count) copy_floats(block.stages() + stage * block.layout.stage_floats, from, tile_floats);
    from += step_floats, asked++;
    async_commit();
  };
#pragma unroll 1
  for (int i = 0; i < kCoreStages - 1; i++) ask(i);
  if (block.stream != s) load_x(block, s, [](auto...) {});

  const Operand x =
      operand_of({reinterpret_cast<const char*>(block.shared) + warp() / 4 * (kGroupRows / 8) * cores * kCoreBytes, cores * kCoreBytes});
  const auto issue = [&](int stage, float(&sums)[32]) {
    const Operand b = operand_of({reinterpret_cast<const char*>(block.stages() + stage * block.layout.stage_floats), panel * 4});
    warpgroup_begin();
    if constexpr (kSteps > 0) {
#pragma unroll
      for (int step = 0; step < kSteps; step++) warpgroup_step(sums, x.behind(step * kStepBytes), b.behind(step * kStepBytes), step > 0);
    } else {
#pragma unroll 1
      for (int first = 0; first < steps; first += kStepsOfPanels)
#pragma unroll
        for (int step = first; step < first + kStepsOfPanels; step++)
          warpgroup_step(sums, x.behind(step * kStepBytes), b.behind(step * kStepBytes), step > 0);
    }
    warpgroup_commit();
  };
  const auto next_stage = [](int stage) { return stage == kCoreStages - 1 ? 0 : stage + 1; };
  int stage = 0;
  // Tile i is done: starts the next tile's products and passes on this one's. After the last tile the products are meaningless and unused: they
  // run because the registers of sums must not depend on a branch.
  const auto advance = [&](int i, float(&sums)[32], float(&next)[32]) {
    async_wait<kCoreStages - 3>();  // for tile i + 1
    shared_written();
    warpgroup_wait<0>();
    pin(sums);
    block_barrier();  // all see tile i + 1, and all are done with tile i - 1, which the next copies overwrite
    issue(next_stage(stage), next);
    ask(stage == 0 ? kCoreStages - 1 : stage - 1);
    const float* const weights = block.stages() + stage * block.layout.stage_floats;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      HalfTile z;
#pragma unroll
      for (int j = 0; j < kHalfPanels; j++) {
        const Pair bias = *reinterpret_cast<const Pair*>(weights + (half * kHalfPanels + j + 1) * panel - kPanel + 2 * (lane() % 4));
#pragma unroll
        for (int k = 0; k < 4; k++) z[0][j][k] = sums[4 * (half * kHalfPanels + j) + k] + (k % 2 == 0 ? bias.first : bias.second);
      }
      each(half, stream.first_slot + (kWhole ? i : 2 * i + half), z);
    }
    stage = next_stage(stage);
  };
  if (count == 0) return;
  float even[32], odd[32];
  async_wait<kCoreStages - 2>();
  shared_written();
  block_barrier();
  issue(0, even);
#pragma unroll 1
  for (int i = 0;;) {
    advance(i, even, odd);
    if (++i == count) break;
    advance(i, odd, even);
    if (++i == count) break;
  }
  warpgroup_wait<0>();
}

// Calls work(gates at a time, whether an expert fills a tile), as constants, for the kernels of simple activations.
template <class Work>
void with_core_kernel(const MixtureTopology& topology, int gates, const Work& work) {
  const auto with_whole = [&](auto gates_of_kernel) {
    return topology.is_whole() ? work(gates_of_kernel, std::true_type{}) : work(gates_of_kernel, std::false_type{});
  };
  switch (gates) {
    case 1: return with_whole(std::integral_constant<int, 1>{});
    case 2: return with_whole(std::integral_constant<int, 2>{});
    case 4: return work(std::integral_constant<int, 4>{}, std::false_type{});
    default: return work(std::integral_constant<int, 6>{}, std::false_type{});
  }
}

}  // namespace mg_cuda
