// The mixture of gated experts on the device: its topology as tiles of weights, and the walk over them that both directions share.
//
//   a_i = f(x W_i + b_i), p_j = softmax((x G_j + c_j) / temperature), out_j = sum over the experts seen of p_j[i] a_i
//
// Per stream all experts and gates are one combined weight matrix: experts first, each padded to 4 columns, all of them to 32, then
// the gates' logits side by side. The kernels here read its panels (panels.h): each expert's, then those of the logits. A tile is one to
// four panels of one expert or of the logits, over the whole depth. A block keeps 16 to 80 rows and lets all tiles pass by, one per group
// of warps at a time, in pieces of the depth that are copied while the ones before are multiplied. Each warp of a group has 16 of the rows; a
// piece of them is in its registers, made ready for the matrix instructions, and stays there from tile to tile where the depth is one
// piece. [n, e, h] is never anywhere but in registers.
#pragma once
#include <type_traits>

#include "cuda/ops/panels.h"

namespace mg_cuda {

inline constexpr int kStages = 3;         // pieces under way or in use
inline constexpr int kGroups = 2;         // tiles at a time
inline constexpr int kWarpRows = 16;
inline constexpr int kMostRowWarps = 5;   // 80 rows: 132 multiprocessors share 10240 rows as 128 blocks. 168 registers a thread
inline constexpr int kFewerRowWarps = 4;  // of kernels that need up to 255
constexpr int threads_of(int row_warps) { return row_warps * kGroups * kWarp; }
inline constexpr int kLogitPanels = 2;    // of a tile of logits, at most
inline constexpr int kLeastPiece = 32;    // of the depth: of logits, and of experts where x passes by beside them
inline constexpr int64_t kMostRowsInShared = 128 << 10;  // bytes of x, or x passes by in pieces too
inline constexpr int64_t kMostSeatsInShared = 60 << 10;  // bytes of p (backward: and dp), or they lie in global memory

// Of the depth, where all of x is in shared memory. Rows take 8 registers per block. Float32, which is bound by the matrix instructions,
// leaves them to sums instead.
__host__ __device__ constexpr int piece_depth(Precision precision) { return precision == Precision::kFloat32 ? kLeastPiece : 128; }

// How a kernel is cut to size: what its registers, and the host's tables for it, depend on.
struct MixtureDivision {
  int panels;          // of a tile of experts
  int most_row_warps;  // of a group
  __host__ __device__ constexpr int columns() const { return panels * kPanel; }
};

struct alignas(16) MixtureTile {
  const float* weights;  // its first panel; null: an empty place beside the last tile of a stream
  int32_t width;         // of this expert, or of logits, from this tile's first column on; 0 beside null
  int32_t panel_floats;
  int32_t stream, depth;
  int32_t number;        // the expert's; of logits: the place of the first one in `seats_of_logits`
  int32_t column;        // of its first one in the combined matrix, which has `columns`
  RowPointer x;          // of its stream, row 0
  int32_t columns;
};

struct MixtureStream {
  int64_t columns_before;  // of the streams in front of this one
  int32_t columns, experts_end, logits_begin, logits, first_logit;  // columns of the combined matrix; first_logit: as a tile's number
};

// A seat: the place of a (gate, expert seen) pair in the order of gate_expert; a column of p.
struct Mixture {
  const MixtureTile *logit_tiles, *expert_tiles;  // one per group and item; those of an item are of one stream
  int32_t logit_items, expert_items;
  int32_t slices;  // group g works on columns from g % slices tiles on, of an expert
  const MixtureStream* streams;
  const int32_t* seats_of_logits;  // [seats]
  const int32_t* seats;            // [experts, gates]; -1: the gate does not see the expert
  const int32_t* gate_offset;      // [gates + 1]
  int32_t stream_count, gate_count, seat_count, units, activation;
  bool slope_needs_z;
  float inverse_temperature;
};

// How a block's shared memory is divided, in floats, and how many rows it has.
struct MixtureLayout {
  int32_t rows;          // of a block: kWarpRows per warp of a group
  int32_t group_floats;  // of a piece of a tile
  int32_t x_stride;      // between rows of x; 0: x passes by in pieces
  int32_t seat_stride;   // between rows of p and of dp; 0: they lie in global memory
  int32_t seat_tables;   // 1: p; 2: dp behind it
  int32_t piece_stride;  // between rows of a piece of x
  __host__ __device__ int seats_at() const { return rows * x_stride; }
  __host__ __device__ int stages_at() const { return (seats_at() + seat_tables * rows * seat_stride + 3) / 4 * 4; }
  __host__ __device__ int stage_floats() const { return kGroups * group_floats + (x_stride == 0 ? rows * piece_stride : 0); }
  __host__ __device__ int floats() const { return stages_at() + kStages * stage_floats(); }
  int threads() const { return threads_of(rows / kWarpRows); }
};

// A block at work: `rows` of its layout's exist, from `first_row` of the streams on.
struct MixtureBlock {
  const MixtureLayout& layout;
  int64_t first_row;
  int rows;
  float* shared;
  int group, warp_row;  // this warp's
  int stream = -1;      // whose x lies in shared memory

  __device__ MixtureBlock(const MixtureLayout& layout, int64_t first_row, int64_t end_row)
      : layout(layout), first_row(first_row), rows(end_row - first_row < layout.rows ? static_cast<int>(end_row - first_row) : layout.rows),
        shared(shared_memory<float>()), group(warp() / row_warps()), warp_row(warp() % row_warps() * kWarpRows) {}

  __device__ __forceinline__ int row_warps() const { return layout.rows / kWarpRows; }
};

// The sums of a warp: rows warp_row + g and + 8, columns 8 j + 2 t and + 1 (g = lane / 4, t = lane % 4).
template <int kPanels>
using MixtureSums = float[kPanels][4];

// sums += rows * panels, over `blocks` blocks and `panel_count` panels. kWhole: none is missing.
template <Precision kPrecision, bool kWhole, int kPanels, int kBlocks>
__device__ __forceinline__ void multiply_piece(MixtureSums<kPanels>& sums, const RowBlock (&rows)[kBlocks], const float* panels, int panel_stride,
                                               int blocks, int panel_count) {
  const float* const mine = panels + 4 * lane();
#pragma unroll
  for (int b = 0; b < kBlocks; b++) {
    if (!kWhole && b >= blocks) break;
#pragma unroll
    for (int j = 0; j < kPanels; j++) {
      if (!kWhole && j >= panel_count) break;
      const auto weights = *reinterpret_cast<const PanelBlock*>(mine + j * panel_stride + b * kBlockFloats);
#pragma unroll
      for (int step = 0; step < 2; step++)
        multiply<kPrecision>(sums[j], fragment_of<kPrecision>(rows[b].step[step]), fragment_of<kPrecision>(weights.step[step]));
    }
  }
}

// Asks for `width` columns of the block's rows of a tile's x, from column k on; zeros where there is none. A warp per row: it is done once
// per stream, or takes a path that weights do not, and must not cost registers that rows and sums are in meanwhile.
__device__ __forceinline__ void copy_rows(const MixtureBlock& block, const MixtureTile& tile, int k, int width, float* to, int stride) {
  const bool aligned = reinterpret_cast<uintptr_t>(tile.x.data) % 16 == 0 && tile.x.stride % 4 == 0;
#pragma unroll 1
  for (int row = warp(); row < block.layout.rows; row += static_cast<int>(blockDim.x) / kWarp) {
    const float* const from = tile.x.data + (block.first_row + row) * tile.x.stride + k;
#pragma unroll 1
    for (int c = 4 * lane(); c < width; c += 4 * kWarp) {
      const int left = row < block.rows ? tile.depth - k - c : 0;
      float* const at = to + row * stride + c;
      if (aligned && left >= 4) {
        async_copy<16>(at, from + c);
        continue;
      }
#pragma unroll 1
      for (int i = 0; i < 4; i++) {
        if (i < left)
          async_copy<4>(at + i, from + c + i);
        else
          at[i] = 0;
      }
    }
  }
}

// Floats between panels in a stage.
template <Precision kPrecision>
__device__ __forceinline__ int slot_floats(const MixtureTile& t, int piece) {
  const int most = piece * (kBlockFloats / block_depth(kPrecision)) + kPanel;
  return t.panel_floats < most ? t.panel_floats : most;
}

// Asks for the piece of the depth from `k` on of an item's tiles, from column `unit` of each on: each group for its own.
template <Precision kPrecision, int kPanels>
__device__ __forceinline__ void copy_piece(const MixtureBlock& block, const MixtureTile* tiles, int k, int piece, int unit, float* stage) {
  const MixtureLayout& layout = block.layout;
  const int threads = block.row_warps() * kWarp, thread = static_cast<int>(threadIdx.x) - block.group * threads;
  const MixtureTile t = tiles[block.group];
  const int left = t.width - unit;
  if (left > 0) {
    const int panels = left < kPanels * kPanel ? (left + kPanel - 1) / kPanel : kPanels;
    const int first = k * (kBlockFloats / block_depth(kPrecision)), slot = slot_floats<kPrecision>(t, piece);
    const float* from = t.weights + unit / kPanel * static_cast<int64_t>(t.panel_floats) + first;
    float* to = stage + block.group * layout.group_floats;
    const bool whole = slot == t.panel_floats;  // a piece has all of the depth: panels follow each other here and there
    const int rest = t.panel_floats - first, count = whole ? panels * slot : rest > slot ? slot - kPanel : rest;
#pragma unroll 1
    for (int j = 0; j < (whole ? 1 : panels); j++, from += t.panel_floats, to += slot)
#pragma unroll 1
      for (int i = 4 * thread; i < count; i += 4 * threads) async_copy<16>(to + i, from + i);
  }
  if (layout.x_stride == 0) copy_rows(block, *tiles, k, kLeastPiece, stage + kGroups * layout.group_floats, layout.piece_stride);
}

// Calls each(tile, sums) with the product of every tile of this warp's group, from column `unit` of each on, the biases added; zeros beyond
// the panels that exist. All threads of the block take part.
template <Precision kPrecision, int kPanels, class Each>
__device__ __forceinline__ void for_each_tile(MixtureBlock& block, const MixtureTile* tiles, int items, int unit, const Each& each) {
  constexpr int kBlockDepth = block_depth(kPrecision), kBlocks = piece_depth(kPrecision) / kBlockDepth;
  const MixtureLayout& layout = block.layout;
  const bool resident = layout.x_stride != 0;
  const int piece = resident ? piece_depth(kPrecision) : kLeastPiece;
  float* const stages = block.shared + layout.stages_at();
  const int group = block.group;

  int next_item = 0, next_k = 0;
  const auto ask = [&](int stage) {
    if (next_item < items) {
      const MixtureTile* asked = tiles + next_item * kGroups;
      copy_piece<kPrecision, kPanels>(block, asked, next_k, piece, unit, stages + stage * layout.stage_floats());
      next_k += piece;
      if (next_k >= asked->depth) next_k = 0, next_item++;
    }
    async_commit();
  };
  block_barrier();  // whoever used the stages before is done
#pragma unroll 1
  for (int i = 0; i < kStages - 1; i++) ask(i);

  RowBlock rows[kBlocks];  // this warp's, of the piece of x that was multiplied last
  int stage = 0;
#pragma unroll 1
  for (int item = 0; item < items; item++) {
    const MixtureTile first = tiles[item * kGroups], tile = tiles[item * kGroups + group];
    const int slot = slot_floats<kPrecision>(tile, piece);
    const int depth = first.depth, width = tile.width - unit;
    const int panel_count = width < kPanels * kPanel ? (width + kPanel - 1) / kPanel : kPanels;  // none: no tile
    bool keeps_rows = item > 0 && resident && depth <= piece;
    if (resident && first.stream != block.stream) {
      block.stream = first.stream, keeps_rows = false;
      block_barrier();
      copy_rows(block, first, 0, (depth + kLeastPiece - 1) / kLeastPiece * kLeastPiece, block.shared, layout.x_stride);
      async_commit();
      async_wait<0>();  // others see it after the barrier below
    }
    MixtureSums<kPanels> sums = {};
#pragma unroll 1
    for (int k = 0; k < depth; k += piece) {
      async_wait<kStages - 2>();
      block_barrier();  // the piece is there for all, and all are done with the stage that is filled next
      ask(stage == 0 ? kStages - 1 : stage - 1);
      const float* const weights = stages + stage * layout.stage_floats() + group * layout.group_floats;
      const float* const x = resident ? block.shared + k : stages + stage * layout.stage_floats() + kGroups * layout.group_floats;
      stage = stage == kStages - 1 ? 0 : stage + 1;
      const int left = depth - k, blocks = left < piece ? (left + kBlockDepth - 1) / kBlockDepth : piece / kBlockDepth;
      if (!keeps_rows) {
        const int stride = resident ? layout.x_stride : layout.piece_stride;
#pragma unroll
        for (int b = 0; b < kBlocks; b++)
          if (b < blocks) load_rows<kPrecision>(rows[b], x + block.warp_row * stride + b * kBlockDepth, stride);
      }
      if (panel_count <= 0) continue;
      if (blocks == kBlocks && panel_count == kPanels)
        multiply_piece<kPrecision, true>(sums, rows, weights, slot, blocks, panel_count);
      else
        multiply_piece<kPrecision, false>(sums, rows, weights, slot, blocks, panel_count);
      if (left > piece) continue;
#pragma unroll
      for (int j = 0; j < kPanels; j++) {
        if (j >= panel_count) break;
        const Pair bias = *reinterpret_cast<const Pair*>(weights + j * slot + blocks * kBlockFloats + 2 * (lane() % 4));
#pragma unroll
        for (int c = 0; c < 4; c++) sums[j][c] += c % 2 == 0 ? bias.first : bias.second;
      }
      each(tile, sums);
    }
  }
  async_wait<0>();
}

// Calls work(precision, gates), both constants of the kernel to launch; it takes so many gates at a time.
template <class Work>
void with_precision_and_gates(Precision precision, int gate_count, const Work& work) {
  const auto with_gates = [&](auto of_kernel) {
    if (gate_count == 1) return work(of_kernel, std::integral_constant<int, 1>{});
    if (gate_count == 2) return work(of_kernel, std::integral_constant<int, 2>{});
    if (gate_count <= 4) return work(of_kernel, std::integral_constant<int, 4>{});
    work(of_kernel, std::integral_constant<int, 6>{});
  };
  switch (precision) {
    case Precision::kFloat32: return with_gates(std::integral_constant<Precision, Precision::kFloat32>{});
    case Precision::kTf32: return with_gates(std::integral_constant<Precision, Precision::kTf32>{});
    case Precision::kBfloat16: return with_gates(std::integral_constant<Precision, Precision::kBfloat16>{});
  }
}

// The host's side: what a topology is compiled to.
struct MixtureTopology {
  std::vector<mg_view> streams;
  std::vector<Weights*> weights;        // by stream
  std::vector<MixtureStream> ranges;    // by stream
  std::vector<int64_t> expert_stream;
  std::vector<int32_t> expert_column;   // in its stream's matrix
  std::vector<int32_t> expert_panel;    // among its stream's
  std::vector<bool> seen;               // by expert: whether any gate sees it
  int64_t columns = 0, depth = 0;       // of all streams together; of the deepest
  Mixture mixture{};                    // all but the tiles
  Table<MixtureStream> streams_table;
  Table<int32_t> seats_of_logits, seats, gate_offset;
  Table<MixtureTile> tiles;

  // Tiles with the addresses that the context has. `all`: of the experts that no gate sees too. `slices`: see Mixture.
  void bind(const Context& context, const MixtureDivision& division, int slices, bool all);
  // For so many rows, the least work of the multiprocessor that has most. The bits of a row do not depend on it.
  MixtureLayout layout(const Plan& plan, int64_t rows, const MixtureDivision& division, int seat_tables) const;
  bool seats_may_be_global(const Plan& plan, const MixtureDivision& division, int seat_tables) const;
};

template <class Op>
void compile_topology(PlanBuilder& builder, const Op& op, MixtureTopology& topology);
extern template void compile_topology(PlanBuilder&, const mg_mixture_forward&, MixtureTopology&);
extern template void compile_topology(PlanBuilder&, const mg_mixture_backward&, MixtureTopology&);

}  // namespace mg_cuda
