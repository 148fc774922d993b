// The mixture of gated experts on the device: its topology as tiles of weights, and the walk over them that both directions share.
//
//   a_i = f(x W_i + b_i), p_j = softmax((x G_j + c_j) / temperature), out_j = sum over the experts seen of p_j[i] a_i
//
// Per stream all experts and gates are one combined weight matrix: experts first, each padded to 4 columns, all of them to 32, then
// the gates' logits side by side. A tile is 32 of its columns, of one expert or of the logits, over the whole depth. A block keeps
// 16 to 80 rows (16 per warp) and lets all tiles pass by: two at a time, one per group of warps, in pieces of 32 of the depth that
// are copied while the ones before are multiplied. [n, e, h] is never anywhere but in registers.
#pragma once
#include "cuda/ops/product.h"

namespace mg_cuda {

inline constexpr int kGroups = 2;         // tiles at a time
inline constexpr int kColumns = 32;       // of a tile
inline constexpr int kPiece = 32;         // of the depth
inline constexpr int kStages = 3;         // pieces under way or in use
inline constexpr int kWarpRows = 16;
inline constexpr int kMostRowWarps = 5;   // 80 rows: 132 multiprocessors share 10240 rows as 128 blocks. 168 registers a thread
inline constexpr int kFewerRowWarps = 4;  // of kernels that need up to 255
constexpr int threads_of(int row_warps) { return row_warps * kGroups * kWarp; }
inline constexpr int kWeightStride = stride_of<Precision::kFloat32, Lines::kAcross>(kColumns);  // no less than bfloat16's
inline constexpr int kGroupFloats = (kPiece + 1) * kWeightStride;                              // the last line is the bias
inline constexpr int64_t kMostRowsInShared = 64 << 10;   // bytes of x, or x passes by in pieces too
inline constexpr int64_t kMostSeatsInShared = 60 << 10;  // bytes of p (backward: and dp), or they lie in global memory

struct MixtureTile {
  RowPointer x;          // of its stream, row 0
  const float* weights;  // row 0 of its first column; null: an empty place beside the last tile of a stream
  int32_t stream, depth, columns, width;  // columns: between rows; width: of this expert, or logits left on this stream
  int32_t number;        // the expert's; of logits: the place of the first one in `seats_of_logits`
  int32_t column;        // of `weights` in the combined matrix
};

struct MixtureStream {
  int64_t columns_before;  // of the streams in front of this one
  int32_t columns, experts_end, logits_begin, logits, first_logit;  // columns of the combined matrix; first_logit: as a tile's number
};

// A seat: the place of a (gate, expert seen) pair in the order of gate_expert; a column of p.
struct Mixture {
  const MixtureTile *logit_tiles, *expert_tiles;  // kGroups per item; those of an item are of one stream
  int32_t logit_items, expert_items;
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
  int32_t x_stride;      // between rows of x; 0: x passes by in pieces
  int32_t seat_stride;   // between rows of p and of dp; 0: they lie in global memory
  int32_t seat_tables;   // 1: p; 2: dp behind it
  int32_t piece_stride;  // between rows of a piece of x
  __host__ __device__ int seats_at() const { return rows * x_stride; }
  __host__ __device__ int stages_at() const { return (seats_at() + seat_tables * rows * seat_stride + 3) / 4 * 4; }
  __host__ __device__ int stage_floats() const { return kGroups * kGroupFloats + (x_stride == 0 ? rows * piece_stride : 0); }
  __host__ __device__ int floats() const { return stages_at() + kStages * stage_floats(); }
  int threads() const { return threads_of(rows / kWarpRows); }
};

// A block at work: `rows` of its layout's exist, from `first_row` of the streams on.
struct MixtureBlock {
  MixtureLayout layout;
  int64_t first_row;
  int rows;
  float* shared;
  int stream = -1;  // whose x lies in shared memory

  __device__ __forceinline__ int row_warps() const { return layout.rows / kWarpRows; }
  __device__ __forceinline__ int group() const { return warp() / row_warps(); }
  __device__ __forceinline__ int warp_row() const { return warp() % row_warps() * kWarpRows; }
};

// The sums of a warp: rows warp_row() + g and + 8, columns 8 j + 2 t and + 1 (g = lane / 4, t = lane % 4).
using MixtureSums = float[kColumns / 8][4];

// += a b for `steps` steps; of b only the columns in front of `width` count, the sums of others stay.
template <Precision kPrecision>
__device__ __forceinline__ void multiply_piece(MixtureSums& c, const float* a, int a_stride, const float* b, int steps, int width) {
  constexpr int kStride = stride_of<kPrecision, Lines::kAcross>(kColumns);
  for (int word = 0; word < 8 * steps; word += 8) {
    FragmentA<kPrecision> fa;
    fa.template load<Lines::kDepth>(a, a_stride, 0, word);
#pragma unroll
    for (int j = 0; j < kColumns / 8; j++) {
      if (8 * j >= width) break;
      FragmentB<kPrecision> fb;
      fb.template load<Lines::kAcross>(b, kStride, 8 * j, word);
      multiply<kPrecision>(c[j], fa, fb);
    }
  }
}

// Asks for piece `k` of the tiles of an item, from column `unit` of each on.
template <Precision kPrecision>
__device__ __forceinline__ void copy_piece(const MixtureBlock& block, const MixtureTile* tiles, int k, int unit, float* stage) {
  constexpr int kStride = stride_of<kPrecision, Lines::kAcross>(kColumns);
  const auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
#pragma unroll
  for (int i = 0; i < kGroups; i++) {
    const MixtureTile& t = tiles[i];
    if (t.weights == nullptr) continue;
    float* to = stage + i * kGroupFloats;
    const float* from = t.weights + unit;
    copy_tile(to, kStride, kPiece, kColumns, {from + static_cast<int64_t>(k) * t.columns, t.columns, t.depth - k, t.width - unit}, thread, threads);
    if (k + kPiece >= t.depth)
      copy_tile(to + kPiece * kWeightStride, kColumns, 1, kColumns, {from + static_cast<int64_t>(t.depth) * t.columns, t.columns, 1, t.width - unit},
                thread, threads);
  }
  const MixtureLayout& layout = block.layout;
  if (layout.x_stride == 0)
    copy_tile(stage + kGroups * kGroupFloats, layout.piece_stride, layout.rows, kPiece,
              {tiles->x.data + block.first_row * tiles->x.stride + k, tiles->x.stride, block.rows, tiles->depth - k}, thread, threads);
}

// Calls each(tile, sums, bias) with the product of every tile of this warp's group, from column `unit` of each on. bias: in shared
// memory, zero beyond the tile's width. All threads of the block take part.
template <Precision kPrecision, class Each>
__device__ __forceinline__ void for_each_tile(MixtureBlock& block, const MixtureTile* tiles, int items, int unit, const Each& each) {
  const MixtureLayout& layout = block.layout;
  float* const stages = block.shared + layout.stages_at();
  const int group = block.group(), warp_row = block.warp_row();

  int next_item = 0, next_k = 0;
  const auto ask = [&](int stage) {
    if (next_item < items) {
      const MixtureTile* asked = tiles + next_item * kGroups;
      copy_piece<kPrecision>(block, asked, next_k, unit, stages + stage * layout.stage_floats());
      next_k += kPiece;
      if (next_k >= asked->depth) next_k = 0, next_item++;
    }
    async_commit();
  };
  block_barrier();  // whoever used the stages before is done
#pragma unroll 1
  for (int i = 0; i < kStages - 1; i++) ask(i);

  int stage = 0;
  for (int item = 0; item < items; item++) {
    const MixtureTile& first = tiles[item * kGroups];
    const MixtureTile& tile = tiles[item * kGroups + group];
    const int depth = first.depth, width = tile.width - unit;
    if (layout.x_stride != 0 && first.stream != block.stream) {
      block.stream = first.stream;
      block_barrier();
      copy_tile(block.shared, layout.x_stride, layout.rows, (first.depth + kPiece - 1) / kPiece * kPiece,
                {first.x.data + block.first_row * first.x.stride, first.x.stride, block.rows, first.depth}, static_cast<int>(threadIdx.x),
                static_cast<int>(blockDim.x));
      async_commit();
      async_wait<0>();  // others see it after the barrier below
    }
    const bool present = tile.weights != nullptr;
    MixtureSums sums = {};
    for (int k = 0; k < depth; k += kPiece) {
      async_wait<kStages - 2>();
      block_barrier();  // the piece is there for all, and all are done with the stage that is filled next
      ask((stage + kStages - 1) % kStages);
      const float* const piece = stages + stage * layout.stage_floats();
      stage = (stage + 1) % kStages;
      if (!present) continue;
      const bool resident = layout.x_stride != 0;
      const int a_stride = resident ? layout.x_stride : layout.piece_stride;
      const float* a = (resident ? block.shared + k : piece + kGroups * kGroupFloats) + warp_row * a_stride;
      const int left = depth - k < kPiece ? depth - k : kPiece;
      const float* weights = piece + group * kGroupFloats;
      multiply_piece<kPrecision>(sums, a, a_stride, weights, (left + kStep<kPrecision> - 1) / kStep<kPrecision>, width);
      if (k + kPiece >= depth) each(tile, sums, weights + kPiece * kWeightStride);
    }
  }
  async_wait<0>();
}

// A column of p (or dp) at rows `row` and `row` + 8 of the `rows` that exist; 0 beyond.
__device__ __forceinline__ void load_seat(float (&to)[2], RowPointer p, int seat, int row, int rows) {
#pragma unroll
  for (int i = 0; i < 2; i++) to[i] = row + 8 * i < rows ? p.data[(row + 8 * i) * p.stride + seat] : 0;
}

// The host's side: what a topology is compiled to.
struct MixtureTopology {
  std::vector<mg_view> streams;
  std::vector<Weights*> weights;        // by stream
  std::vector<MixtureStream> ranges;    // by stream
  std::vector<int64_t> expert_stream;
  std::vector<int32_t> expert_column;   // in its stream's matrix
  std::vector<bool> seen;               // by expert: whether any gate sees it
  int64_t columns = 0, depth = 0;       // of all streams together; of the deepest
  Mixture mixture{};                    // all but the tiles
  Table<MixtureStream> streams_table;
  Table<int32_t> seats_of_logits, seats, gate_offset;
  Table<MixtureTile> tiles;

  // Tiles with the addresses that the context has. `all`: of the experts that no gate sees too.
  void bind(const Context& context, bool all);
  // For so many rows, the least work of the multiprocessor that has most. The bits of a row do not depend on it.
  MixtureLayout layout(const Plan& plan, int64_t rows, int most_row_warps, int seat_tables) const;
  bool seats_may_be_global(int seat_tables) const;
};

template <class Op>
void compile_topology(PlanBuilder& builder, const Op& op, MixtureTopology& topology);
extern template void compile_topology(PlanBuilder&, const mg_mixture_forward&, MixtureTopology&);
extern template void compile_topology(PlanBuilder&, const mg_mixture_backward&, MixtureTopology&);

}  // namespace mg_cuda
