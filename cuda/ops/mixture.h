// The mixture of gated experts on the device: its topology as tiles of weights, and the walk over them that both directions share.
//
//   a_i = f(x W_i + b_i), p_j = softmax((x G_j + c_j) / temperature), out_j = sum over the experts seen of p_j[i] a_i
//
// Per stream all experts and gates are one combined weight matrix: experts first, each padded to 4 columns, all of them to 32, then
// the gates' logits side by side. The kernels here read its panels (panels.h): each expert's, then those of the logits. A tile is a few
// panels of one expert or of the logits, over the whole depth. A block keeps 32 to 128 rows and processes all tiles, one per group of
// warps at a time, in pieces of the depth; it copies pieces while it multiplies earlier ones. Each warp of a group has 32 of the rows, so it
// uses each panel load twice. In bfloat16 the rows stay in registers from tile to tile if the depth is one piece. [n, e, h] exists only in
// registers.
//
// A row's probabilities are in the order of experts. Those of the gates that see an expert are side by side (a run), so a lane loads them
// at once.
#pragma once
#include <algorithm>
#include <type_traits>

#include "cuda/ops/activation.h"
#include "cuda/ops/panels.h"

namespace mg_cuda {

inline constexpr int kStages = 3;    // pieces pending or in use
inline constexpr int kGroups = 2;    // tiles at a time
inline constexpr int kRowTiles = 2;  // per warp, of 16 rows each
inline constexpr int kWarpRows = 16 * kRowTiles;
inline constexpr int kMostRowWarps = 4;  // per group: with 8 warps a thread has 255 registers
constexpr int threads_of(int row_warps) { return row_warps * kGroups * kWarp; }
inline constexpr int kMostThreads = threads_of(kMostRowWarps);
inline constexpr int kLogitPanels = 4;  // most panels of a tile of logits
// Pieces of the depth: for experts and for logits if all of x is in shared memory, and for both if x comes in pieces too.
inline constexpr int kExpertPiece = 128, kLogitPiece = 64, kLeastPiece = 32;
inline constexpr int64_t kMostSeatsInShared = 60 << 10;   // bytes of p (backward: p and dp) of a warp's rows; larger ones are in global memory
inline constexpr int64_t kMostTablesInShared = 16 << 10;  // bytes
inline constexpr int kTileColumns = 64;                   // of mixture_cores.h

// A kernel's size parameters, which determine its registers and the host's tables for it.
struct MixtureDivision {
  int panels;  // per tile of experts
  int gates;   // number of gates whose sums fit in registers
  __host__ __device__ constexpr int columns() const { return panels * kPanel; }
};

struct alignas(16) MixtureTile {
  const float* weights;  // its first panel; null: an empty place after the last tile of a stream
  int32_t width;         // of this expert, or of the logits, from this tile's first column on; 0 with null
  int32_t panel_floats;
  int32_t stream, depth;
  int32_t number;  // the expert's number; for logits: the place of the first one in `places_of_logits`
  int32_t column;  // its first column in the combined matrix, which has `columns`
  RowPointer x;    // row 0 of its stream
  int32_t columns;
};

struct MixtureStream {
  int64_t columns_before, rounded_before;                           // in the streams before this one: columns, and columns before their logits
  int32_t columns, experts_end, logits_begin, logits, first_logit;  // columns of the combined matrix; first_logit: like a tile's number
};

// Which of some gates see an expert, and where their probabilities begin. kWholeRun: all see it, and loads may take 16 bytes.
struct MixtureRun {
  int32_t place;
  uint32_t gates;  // one bit each
};
inline constexpr uint32_t kWholeRun = 1u << 31;

// A seat is a (gate, expert seen) pair in the order of gate_expert: a column of `gates`. Its place is its column in the kernels' own p.
struct Mixture {
  // Consecutive tables, in units of 4 bytes: tiles, one per group and item (an item's tiles share a stream); runs [passes over the gates,
  // experts]; places of the logits, in the order of the combined matrices; places of the seats.
  const int32_t* tables;
  int32_t table_words, expert_tiles_at, runs_at, logits_at, seats_at;
  int32_t logit_items, expert_items;
  int32_t slices;  // group g works on an expert's columns from g % slices tiles on
  const MixtureStream* streams;
  const int32_t* gate_offset;  // [gates + 1]: ranges of seats
  int32_t run_alignment;       // places between the runs of neighbouring experts, if all gates see all experts
  int32_t stream_count, gate_count, expert_count, seat_count, place_count, units, activation;
  float inverse_temperature;
};

// The layout of a block's shared memory, in floats, and its number of rows.
struct MixtureLayout {
  int32_t rows;          // per block: kWarpRows per warp of a group
  int32_t group_floats;  // per piece of a tile
  int32_t x_stride;      // between rows of x; 0: x comes in pieces
  int32_t seat_stride;   // between rows of p and of dp
  int32_t seat_tables;   // 1: p; 2: p, then dp; 0: they are in global memory
  int32_t piece_stride;  // between rows of a piece of x
  int32_t table_floats;  // 0: tables stay in global memory
  __host__ __device__ int seats_at() const { return rows * x_stride; }
  __host__ __device__ int tables_at() const { return seats_at() + seat_tables * rows * seat_stride; }
  __host__ __device__ int stages_at() const { return tables_at() + table_floats; }
  __host__ __device__ int stage_floats() const { return kGroups * group_floats + (x_stride == 0 ? rows * piece_stride : 0); }
  __host__ __device__ int floats() const { return stages_at() + kStages * stage_floats(); }
  int threads() const { return threads_of(rows / kWarpRows); }
};

// A running block: `rows` of its layout's rows exist, from `first_row` of the streams on.
struct MixtureBlock {
  const MixtureLayout& layout;
  const Mixture& m;
  int64_t first_row;
  int rows;
  float* shared;
  const int32_t* tables;
  int group, warp_row;   // this warp's
  int stream = -1;       // its x is in shared memory
  bool rounded = false;  // whether that x is rounded to tf32

  // All threads of the block call it. Its copies are visible after a block_barrier(), such as the first of for_each_tile.
  __device__ MixtureBlock(const MixtureLayout& layout, const Mixture& m, int64_t first_row, int64_t end_row)
      : layout(layout),
        m(m),
        first_row(first_row),
        rows(end_row - first_row < layout.rows ? static_cast<int>(end_row - first_row) : layout.rows),
        shared(shared_memory<float>()),
        tables(m.tables),
        group(warp() / row_warps()),
        warp_row(warp() % row_warps() * kWarpRows) {
    if (layout.table_floats == 0) return;
    auto* const here = reinterpret_cast<int32_t*>(shared + layout.tables_at());
    for (int i = static_cast<int>(threadIdx.x); i < m.table_words; i += static_cast<int>(blockDim.x)) here[i] = m.tables[i];
    tables = here;
  }

  __device__ __forceinline__ int row_warps() const { return layout.rows / kWarpRows; }
  // The lane's row 0 in the block; its other rows are 8, 16 and 24 below.
  __device__ __forceinline__ int lane_row() const { return warp_row + lane() / 4; }
  __device__ __forceinline__ const MixtureTile* logit_tiles() const { return reinterpret_cast<const MixtureTile*>(tables); }
  __device__ __forceinline__ const MixtureTile* expert_tiles() const { return reinterpret_cast<const MixtureTile*>(tables + m.expert_tiles_at); }
  // The runs of pass `pass` over the gates.
  __device__ __forceinline__ const MixtureRun* runs(int pass) const {
    return reinterpret_cast<const MixtureRun*>(tables + m.runs_at) + pass * m.expert_count;
  }
  __device__ __forceinline__ MixtureRun run(int pass, int expert) const { return runs(pass)[expert]; }
  __device__ __forceinline__ const int32_t* places_of_logits() const { return tables + m.logits_at; }
  __device__ __forceinline__ const int32_t* places_of_seats() const { return tables + m.seats_at; }
};

// The sums of a warp: rows 16 i + g and + 8, columns 8 j + 2 t and + 1 (g = lane / 4, t = lane % 4).
template <int kPanels, int kRows = kRowTiles>
using MixtureSums = float[kRows][kPanels][4];

// Copies a lane's first four numbers to its last four.
template <int kRows, int kPanels>
__device__ __forceinline__ void rotate(float (&sums)[kRows][kPanels][4]) {
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const float first = sums[0][0][k];
#pragma unroll
    for (int i = 1; i < kRows * kPanels; i++) sums[(i - 1) / kPanels][(i - 1) % kPanels][k] = sums[i / kPanels][i % kPanels][k];
    sums[kRows - 1][kPanels - 1][k] = first;
  }
}

// Calls work(f, four numbers of each of the sums) for all sums; f has value and slope as in activation.h. A loop emits long functions only
// once.
template <Activations kActivations, int kRows, int kPanels, class Work, class... More>
__device__ __forceinline__ void activate_all(int activation, const Work& work, float (&sums)[kRows][kPanels][4], More&... more) {
  if (kActivations == Activations::kReluOrLinear || is_relu_or_linear(activation)) {
    const ReluOrLinear f(activation);
#pragma unroll
    for (int i = 0; i < kRows; i++)
#pragma unroll
      for (int j = 0; j < kPanels; j++) work(f, sums[i][j], more[i][j]...);
  } else {
#pragma unroll 1
    for (int i = 0; i < kRows * kPanels; i++) {
      with_function(activation, [&](const auto& f) { work(f, sums[0][0], more[0][0]...); });
      rotate(sums);
      (rotate(more), ...);
    }
  }
}

// A block of the depth of a warp's rows.
using WarpRows = RowBlock[kRowTiles];

template <Precision kPrecision>
__device__ __forceinline__ void load_warp_rows(WarpRows& to, const float* x, int stride) {
#pragma unroll
  for (int i = 0; i < kRowTiles; i++) load_rows<kPrecision>(to[i], x + 16 * i * stride, stride);
}

// sums += rows * panels, over one block. mine: this lane's part of the first panel. kWhole: all panels exist.
template <Precision kPrecision, bool kWhole, int kPanels>
__device__ __forceinline__ void multiply_block(MixtureSums<kPanels>& sums, const WarpRows& rows, const float* mine, int panel_stride,
                                               int panel_count) {
  FragmentA<kPrecision> a[kRowTiles][2];
#pragma unroll
  for (int i = 0; i < kRowTiles; i++)
#pragma unroll
    for (int step = 0; step < 2; step++) a[i][step] = fragment_of<kPrecision>(rows[i].step[step]);
#pragma unroll
  for (int j = 0; j < kPanels; j++) {
    if (!kWhole && j >= panel_count) break;
    const auto weights = *reinterpret_cast<const PanelBlock*>(mine + j * panel_stride);
#pragma unroll
    for (int step = 0; step < 2; step++) {
      const auto b = fragment_of<kPrecision>(weights.step[step]);
#pragma unroll
      for (int i = 0; i < kRowTiles; i++) multiply<kPrecision>(sums[i][j], a[i][step], b);
    }
  }
}

// A run of probabilities: 16 bytes at a time.
template <int kGates>
__device__ __forceinline__ void load_run(float (&to)[kGates], const float* from) {
  if constexpr (kGates >= 4) {
    const auto quad = *reinterpret_cast<const Quad*>(from);
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = quad.column[i];
  }
  if constexpr (kGates % 4 == 2) {
    const auto pair = *reinterpret_cast<const Pair*>(from + kGates - 2);
    to[kGates - 2] = pair.first, to[kGates - 1] = pair.second;
  }
  if constexpr (kGates == 1) to[0] = *from;
}

// Calls each(place in shared memory, row, column) for the quads of `width` columns of the block's rows that this thread copies. One warp per
// row. It runs once per stream, or on a path that weights do not take, so saving the registers of rows and sums matters more than speed.
template <class Each>
__device__ __forceinline__ void each_own_quad(const MixtureBlock& block, int width, float* to, int stride, const Each& each) {
#pragma unroll 1
  for (int row = warp(); row < block.layout.rows; row += static_cast<int>(blockDim.x) / kWarp)
#pragma unroll 1
    for (int c = 4 * lane(); c < width; c += 4 * kWarp) each(to + row * stride + c, row, c);
}

// Starts copying `width` columns of the block's rows of a tile's x, from column k on. Writes zeros where x has none.
__device__ __forceinline__ void copy_rows(const MixtureBlock& block, const MixtureTile& tile, int k, int width, float* to, int stride) {
  const bool quads = moves_quads(tile.x.data, tile.x.stride);
  const float* const first = tile.x.data + block.first_row * tile.x.stride + k;
  each_own_quad(block, width, to, stride, [&](float* at, int row, int c) {
    const int left = row < block.rows ? tile.depth - k - c : 0;
    const float* const from = first + row * tile.x.stride + c;
    if (quads && left >= 4) return async_copy<16>(at, from);
#pragma unroll 1
    for (int i = 0; i < 4; i++) {
      if (i < left)
        async_copy<4>(at + i, from + i);
      else
        at[i] = 0;
    }
  });
}

// Rounds what this thread copied with copy_rows.
__device__ __forceinline__ void round_rows(const MixtureBlock& block, int width, float* to, int stride) {
  each_own_quad(block, width, to, stride, [&](float* at, int, int) {
    auto& quad = *reinterpret_cast<Quad*>(at);
#pragma unroll
    for (float& value : quad.column) value = float_of_bits(to_tf32(value));
  });
}

// Floats between panels in a stage.
template <Precision kPrecision>
__device__ __forceinline__ int slot_floats(const MixtureTile& t, int piece) {
  const int most = piece * (kBlockFloats / block_depth(kPrecision)) + kPanel;
  return t.panel_floats < most ? t.panel_floats : most;
}

// Starts copying the piece of the depth from `k` on of an item's tiles, from column `unit` of each on. Each group copies its own tile.
template <Precision kPrecision, int kPanels>
__device__ __forceinline__ void copy_piece(const MixtureBlock& block, const MixtureTile* tiles, int k, int piece, int unit, float* stage) {
  const MixtureLayout& layout = block.layout;
  const int threads = block.row_warps() * kWarp, thread = static_cast<int>(threadIdx.x) - block.group * threads;
  const MixtureTile& t = tiles[block.group];
  const int left = t.width - unit;
  if (left > 0) {
    const int panels = left < kPanels * kPanel ? (left + kPanel - 1) / kPanel : kPanels;
    const int first = k * (kBlockFloats / block_depth(kPrecision)), slot = slot_floats<kPrecision>(t, piece);
    const float* from = t.weights + unit / kPanel * static_cast<int64_t>(t.panel_floats) + first;
    float* to = stage + block.group * layout.group_floats;
    const bool whole = slot == t.panel_floats;  // a piece has all of the depth: panels are contiguous in both memories
    const int rest = t.panel_floats - first, count = whole ? panels * slot : rest > slot ? slot - kPanel : rest;
#pragma unroll 1
    for (int j = 0; j < (whole ? 1 : panels); j++, from += t.panel_floats, to += slot)
#pragma unroll 1
      for (int i = 4 * thread; i < count; i += 4 * threads) async_copy<16>(to + i, from + i);
  }
  if (layout.x_stride == 0) copy_rows(block, *tiles, k, kLeastPiece, stage + kGroups * layout.group_floats, layout.piece_stride);
}

// Calls each(tile, sums) with the product of every tile of this warp's group, from column `unit` of each on, biases added; zeros beyond
// the existing panels. kPiece: the piece of the depth if all of x is in shared memory. kKeepsRows: keep one piece of x in registers. All threads
// of the block take part.
template <Precision kPrecision, int kPanels, int kPiece, bool kKeepsRows, class Each>
__device__ __forceinline__ void for_each_tile(MixtureBlock& block, const MixtureTile* tiles, int items, int unit, const Each& each) {
  constexpr int kBlockDepth = block_depth(kPrecision), kBlocks = kPiece / kBlockDepth;
  const MixtureLayout& layout = block.layout;
  const bool resident = layout.x_stride != 0;
  const int piece = resident ? kPiece : kLeastPiece, stride = resident ? layout.x_stride : layout.piece_stride;
  float* const stages = block.shared + layout.stages_at();
  const int group = block.group, stage_floats = layout.stage_floats();

  int next_item = 0, next_k = 0;
  const auto ask = [&](int stage) {
    if (next_item < items) {
      const MixtureTile* asked = tiles + next_item * kGroups;
      copy_piece<kPrecision, kPanels>(block, asked, next_k, piece, unit, stages + stage * stage_floats);
      next_k += piece;
      if (next_k >= asked->depth) next_k = 0, next_item++;
    }
    async_commit();
  };
  block_barrier();  // earlier users of the stages are done
#pragma unroll 1
  for (int i = 0; i < kStages - 1; i++) ask(i);

  WarpRows kept[kKeepsRows ? kBlocks : 1];  // rows of the last multiplied piece of x
  int stage = 0;
#pragma unroll 1
  for (int item = 0; item < items; item++) {
    const MixtureTile& tile = tiles[item * kGroups + group];
    const int item_stream = tiles[item * kGroups].stream, depth = tiles[item * kGroups].depth;
    const int slot = slot_floats<kPrecision>(tile, piece), width = tile.width - unit;
    const int panel_count = width < kPanels * kPanel ? (width + kPanel - 1) / kPanel : kPanels;  // 0: no tile
    bool keeps_rows = item > 0 && resident && depth <= piece;
    if (resident && (item_stream != block.stream || (kPrecision == Precision::kTf32 && !block.rounded))) {
      const int columns = (depth + kLeastPiece - 1) / kLeastPiece * kLeastPiece;
      block_barrier();
      if (item_stream != block.stream) copy_rows(block, tiles[item * kGroups], 0, columns, block.shared, stride);
      async_commit();
      async_wait<0>();  // other threads see it after the barrier below
      if constexpr (kPrecision == Precision::kTf32) round_rows(block, columns, block.shared, stride);
      block.stream = item_stream, block.rounded = kPrecision == Precision::kTf32, keeps_rows = false;
    }
    MixtureSums<kPanels> sums = {};
#pragma unroll 1
    for (int k = 0; k < depth; k += piece) {
      async_wait<kStages - 2>();
      float* const here = stages + stage * stage_floats;
      if constexpr (kPrecision == Precision::kTf32)
        if (!resident) round_rows(block, kLeastPiece, here + kGroups * layout.group_floats, stride);
      block_barrier();  // all see the piece, and all are done with the stage to fill next
      ask(stage == 0 ? kStages - 1 : stage - 1);
      const float* const weights = here + group * layout.group_floats;
      const float* const x = (resident ? block.shared + k : here + kGroups * layout.group_floats) + block.warp_row * stride;
      stage = stage == kStages - 1 ? 0 : stage + 1;
      const int left = depth - k, blocks = left < piece ? (left + kBlockDepth - 1) / kBlockDepth : piece / kBlockDepth;
      if constexpr (kKeepsRows) {
        if (!keeps_rows) {
#pragma unroll
          for (int b = 0; b < kBlocks; b++)
            if (b < blocks) load_warp_rows<kPrecision>(kept[b], x + b * kBlockDepth, stride);
        }
      }
      if (panel_count <= 0) continue;
      const float* const mine = weights + 4 * lane();
      const auto multiply_at = [&](int b, auto whole) {
        constexpr bool kWhole = decltype(whole)::value;
        if constexpr (kKeepsRows) {
          multiply_block<kPrecision, kWhole>(sums, kept[b], mine + b * kBlockFloats, slot, panel_count);
        } else {
          WarpRows rows;
          load_warp_rows<kPrecision>(rows, x + b * kBlockDepth, stride);
          multiply_block<kPrecision, kWhole>(sums, rows, mine + b * kBlockFloats, slot, panel_count);
        }
      };
      if (blocks == kBlocks && panel_count == kPanels) {
#pragma unroll
        for (int b = 0; b < kBlocks; b++) multiply_at(b, std::true_type{});
      } else if constexpr (kKeepsRows) {
#pragma unroll
        for (int b = 0; b < kBlocks; b++) {
          if (b >= blocks) break;
          multiply_at(b, std::false_type{});
        }
      } else {
#pragma unroll 1
        for (int b = 0; b < blocks; b++) multiply_at(b, std::false_type{});
      }
      if (left > piece) continue;
#pragma unroll
      for (int j = 0; j < kPanels; j++) {
        if (j >= panel_count) break;
        const Pair bias = *reinterpret_cast<const Pair*>(weights + j * slot + blocks * kBlockFloats + 2 * (lane() % 4));
#pragma unroll
        for (int i = 0; i < kRowTiles; i++)
#pragma unroll
          for (int c = 0; c < 4; c++) sums[i][j][c] += c % 2 == 0 ? bias.first : bias.second;
      }
      each(tile, sums);
    }
  }
}

// The number of gates that a kernel takes at a time: 2, 4 or most.
inline int gates_at_a_time(int gate_count, int most) { return gate_count <= 2 ? 2 : gate_count <= 4 ? std::min(4, most) : most; }

// Calls work(precision, gates), both constants for the kernel to launch. gates: 2, 4 or kMost.
template <int kMost, class Work>
void with_precision_and_gates(Precision precision, int gates, const Work& work) {
  const auto with_gates = [&](auto of_kernel) {
    switch (gates) {
      case 2: return work(of_kernel, std::integral_constant<int, 2>{});
      case 4: return work(of_kernel, std::integral_constant<int, 4>{});
      default: return work(of_kernel, std::integral_constant<int, kMost>{});
    }
  };
  switch (precision) {
    case Precision::kFloat32: return with_gates(std::integral_constant<Precision, Precision::kFloat32>{});
    case Precision::kTf32: return with_gates(std::integral_constant<Precision, Precision::kTf32>{});
    case Precision::kBfloat16: return with_gates(std::integral_constant<Precision, Precision::kBfloat16>{});
  }
}

struct CoreMixture;
struct CoreLayout;

// A layout and what it costs the busiest multiprocessor, in rows.
template <class Layout>
struct Chosen : Layout {
  int64_t work = INT64_MAX;
};

// The host's side: a compiled topology.
struct MixtureTopology {
  std::vector<mg_view> streams;
  std::vector<Weights*> weights;      // by stream
  std::vector<MixtureStream> ranges;  // by stream
  std::vector<int64_t> expert_stream;
  std::vector<int32_t> expert_column;         // its first column in its stream's matrix
  std::vector<int32_t> expert_panel;          // its first panel among its stream's
  std::vector<std::vector<int32_t>> seen_by;  // by expert: the gates that see it
  std::vector<int32_t> expert_place;          // place of its run of probabilities
  std::vector<int32_t> places_of_logits, places_of_seats;
  int64_t run_alignment = 1;           // alignment of all runs
  bool cores = false;                  // whether panels and kernels are those of mixture_cores.h
  int64_t columns = 0, rounded = 0;    // sums over all streams; rounded: columns before logits
  int64_t depth = 0, most_logits = 0;  // maxima over all streams
  Mixture mixture{};                   // without the tables
  Table<MixtureStream> streams_table;
  Table<int32_t> gate_offset, tables;

  // Columns that an expert takes in a tile of cores.
  int64_t core_columns() const { return mixture.units <= kTileColumns / 2 ? kTileColumns / 2 : kTileColumns; }
  // Makes tiles with the context's addresses. `all`: include experts that no gate sees. `slices`: see Mixture.
  void bind(const Context& context, const MixtureDivision& division, int slices, bool all);
  // The layout for this many rows that minimizes the work of the busiest multiprocessor. Up to `passes` blocks share rows. A row's bits do not depend
  // on it.
  Chosen<MixtureLayout> layout(const Plan& plan, int64_t rows, const MixtureDivision& division, int seat_tables, int64_t passes) const;
  bool seats_in_shared(int seat_tables) const;
  // Bytes of p, or of p and dp, in global memory; 0 if they are in shared memory.
  size_t seat_bytes(int64_t rows, int seat_tables) const;
  // Like bind and layout, for mixture_cores.h. `gates`: gates per pass.
  CoreMixture bind_cores(const Context& context, int gates);
  // Has no rows if nothing fits. seat_tables: 2 is backward, which computes no logits.
  Chosen<CoreLayout> core_layout(int64_t rows, int seat_tables) const;
  bool fits_cores(const Plan& plan) const;
  // Whether every gate sees every expert.
  bool is_dense() const { return mixture.seat_count == mixture.gate_count * mixture.expert_count; }
  bool is_simple() const { return is_relu_or_linear(mixture.activation); }
  int core_steps() const;                                           // the matrix steps along the depth; 0: streams differ
  bool is_whole() const { return core_columns() == kTileColumns; }  // see mixture_cores.h

 private:
  // The run of gates [first, first + gates).
  MixtureRun run_of(size_t expert, int32_t first, int gates) const;
  // Stores the tables so far, then the places.
  void assign_tables(std::vector<int32_t>& words);
};

template <class Op>
void compile_topology(PlanBuilder& builder, const Op& op, MixtureTopology& topology);
extern template void compile_topology(PlanBuilder&, const mg_mixture_forward&, MixtureTopology&);
extern template void compile_topology(PlanBuilder&, const mg_mixture_backward&, MixtureTopology&);

}  // namespace mg_cuda
