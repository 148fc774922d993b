// One tile of a product by one block: both operands come from global memory a stage at a time, copies of the next stages running while
// a stage is multiplied. Bias, activation and where sums go are the kernel's.
//
// An operand lies in memory with its depth side by side (kDepth: [m][k] of a, [n][k] of b) or across (kAcross: [k][m], [k][n]). Shared memory
// has float32 in the same lines; what precision asks for becomes of them in registers.
//
// Which lane has which numbers is free as long as both operands agree on the depth, so that everything moves by 16 bytes: of 32 places across
// the depth a lane (g = lane / 4, t = lane % 4) has the four from 4 (g / 2) + 16 (g % 2) on, of a stage's depth those from 8 t on, four in each half
// of it. A load brings four of the depth for one place, or four places for one of the depth; and of its sums a lane has four neighbouring columns,
// which four lanes continue to 64 bytes.
//
// Sums add up in the order of the depth, whatever the grid. In float32 16 of the depth are summed on their own and then added: the matrix
// instructions cut off the bits of a sum that do not fit, an addition rounds them, so that the error of a long sum does not grow to one side.
#pragma once
#include <cstddef>

#include "cuda/ops/product.h"

namespace mg_cuda {

enum class Lines { kDepth, kAcross };

inline constexpr int kStageDepth = 32;
inline constexpr int kTileStages = 3;  // under way or in use
inline constexpr int kWarpPlaces = 32;  // a warp's columns, and its rows by 1 or 2

// How a block shares its tile [kRows, kColumns]: kWarpRows x kWarpColumns warps, each with [16 kRowTiles, 32] sums; of small tiles twice as many, which
// share the depth of a stage (kDepthParts).
template <int kRowTilesOfAWarp, int kWarpRowsOfABlock, int kWarpColumnsOfABlock, int kPartsOfAStage = 1>
struct Tile {
  static constexpr int kRowTiles = kRowTilesOfAWarp, kWarpRows = kWarpRowsOfABlock, kWarpColumns = kWarpColumnsOfABlock, kDepthParts = kPartsOfAStage;
  static constexpr int kRows = 16 * kRowTiles * kWarpRows, kColumns = kWarpPlaces * kWarpColumns;
  static constexpr int kWarps = kWarpRows * kWarpColumns, kThreads = kWarp * kWarps * kDepthParts;
  static constexpr int kBlocks = kThreads == 128 ? 3 : 2;  // on a multiprocessor, at least: 168 or 128 registers a thread

  // Of this thread's warp.
  static __device__ __forceinline__ int part() { return warp() / kWarps; }
  static __device__ __forceinline__ int row() { return warp() % kWarps / kWarpColumns * (16 * kRowTiles); }
  static __device__ __forceinline__ int column() { return warp() % kWarpColumns * kWarpPlaces; }
};

// Between lines of a stage. kDepth: 4 g + 8 t in all banks, g of two neighbours. kAcross: see StageCopy.
inline constexpr int kDeepStride = kStageDepth + 4;
template <Lines kLines>
__host__ __device__ constexpr int stage_floats(int outer) {
  return outer * (kLines == Lines::kDepth ? kDeepStride : kStageDepth);
}
template <class Tile, Lines kA, Lines kB>
__host__ __device__ constexpr size_t tile_shared_bytes() {
  return sizeof(float) * kTileStages * (stage_floats<kA>(Tile::kRows) + stage_floats<kB>(Tile::kColumns));
}

// work(constant) with the precision as a constant: constant.value.
template <Precision kPrecision>
struct PrecisionConstant {
  static constexpr Precision value = kPrecision;
};
template <class Work>
void with_precision(Precision precision, const Work& work) {
  switch (precision) {
    case Precision::kFloat32: return work(PrecisionConstant<Precision::kFloat32>{});
    case Precision::kTf32: return work(PrecisionConstant<Precision::kTf32>{});
    case Precision::kBfloat16: return work(PrecisionConstant<Precision::kBfloat16>{});
  }
}

// A type as a constant.
template <class T>
struct Type {
  using Is = T;
};

// A part of a matrix in global memory, [lines, width], lines `stride` floats apart.
struct GlobalTile {
  const float* data;
  int64_t stride;
  int lines, width;  // of it that exist: the rest of the shared tile becomes 0
};

// Whether 16 bytes may move at a time. The same for all threads.
__device__ __forceinline__ bool moves_quads(const float* data, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 4 == 0;
}

// The first of the four places, among 32, that lanes with this g have.
__device__ __forceinline__ int first_place(int g) { return 4 * (g / 2) + 16 * (g % 2); }

// This thread's copies of an operand, stage after stage. Line l of kDepth is put where lanes look for it: their four places are 8 lines apart.
// Of line k of kAcross the quads change places: their number is xored with k / 8, so that lanes with four t find theirs in different banks.
template <Lines kLines, int kOuter, int kThreads>
class StageCopy {
  static constexpr bool kDeep = kLines == Lines::kDepth;
  static constexpr int kQuads = (kDeep ? kStageDepth : kOuter) / 4;  // of a line
  static constexpr int kStepLines = kThreads / kQuads, kCopies = (kDeep ? kOuter : kStageDepth) / kStepLines;
  static_assert(!kDeep || kStepLines == 16 || kStepLines == 32);

 public:
  __device__ __forceinline__ explicit StageCopy(const GlobalTile& from) {
    const int thread = static_cast<int>(threadIdx.x), line = thread / kQuads, quad = thread % kQuads;
    at_ = from.data + line * from.stride + 4 * quad;
    step_ = kStepLines * from.stride;
    lines_ = from.lines - line;
    bytes_ = 4 * (from.width - 4 * quad);
    quads_ = moves_quads(from.data, from.stride);
    place_ = kDeep ? (8 * (line % 4) + line / 4 % 4 * 2 + line / 16) * kDeepStride + 4 * quad : line * kOuter + 4 * (quad ^ line / 8);
  }

  // Asks for the next stage; see device/async_copy.h for when it is there.
  __device__ __forceinline__ void next(float* stage) {
    if (quads_)
      copy(stage, [](float* to, const float* from, int bytes) { async_copy<16>(to, from, bytes < 16 ? bytes : 16); });
    else
      copy(stage, [](float* to, const float* from, int bytes) {
#pragma unroll
        for (int k = 0; k < 4; k++) async_copy<4>(to + k, from + k, bytes > 4 * k ? 4 : 0);
      });
  }

 private:
  template <class Copy>
  __device__ __forceinline__ void copy(float* stage, const Copy& copy_quad) {
    const int bytes = bytes_ < 0 ? 0 : bytes_;
    const float* at = at_;
#pragma unroll
    for (int i = 0; i < kCopies; i++, at += step_) copy_quad(stage + place(i), at, i * kStepLines < lines_ ? bytes : 0);
    if (kDeep)
      at_ += kStageDepth, bytes_ -= 4 * kStageDepth;
    else
      at_ = at, lines_ -= kStageDepth;
  }

  __device__ __forceinline__ int place(int i) const {
    const int lines = i * kStepLines;
    return kDeep ? place_ + (lines / 32 * 32 + lines % 32 / 16) * kDeepStride : (place_ ^ lines / 8 % 4 * 4) + lines * kOuter;
  }

  const float* at_;
  int64_t step_;
  int lines_, bytes_, place_;  // from this thread's on; bytes of a line
  bool quads_;
};

// The first of a lane's numbers in a stage.
template <Lines kLines, int kOuter>
__device__ __forceinline__ int first_number() {
  const int g = lane() / 4, t = lane() % 4;
  return kLines == Lines::kDepth ? g * kDeepStride + 8 * t : 8 * t * kOuter + 4 * (first_place(g) / 4 ^ t);
}

// A lane's numbers of 32 places and half a stage, [place][depth].
using Square = float[4][4];

template <Lines kLines, int kOuter>
__device__ __forceinline__ void load_square(Square& to, const float* from) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const auto quad = *reinterpret_cast<const Quad*>(from + i * (kLines == Lines::kDepth ? 8 * kDeepStride : kOuter));
#pragma unroll
    for (int k = 0; k < 4; k++) (kLines == Lines::kDepth ? to[i][k] : to[k][i]) = quad.column[k];
  }
}

// Words `first` and `first` + `behind` of a fragment of step `step`, from four numbers along the depth.
template <Precision kPrecision, int kWords>
__device__ __forceinline__ void set_words(Fragment<kPrecision, kWords>& to, int first, int behind, const float (&depth)[4], int step) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int word = first + i * behind;
    if constexpr (kPrecision == Precision::kBfloat16) {
      to.high[word] = to_bf16_pair(depth[2 * i], depth[2 * i + 1]);
    } else {
      const float value = depth[2 * step + i];
      if constexpr (kPrecision == Precision::kFloat32)
        split_tf32(value, to.high[word], to.low[word]);
      else
        to.high[word] = to_tf32(value);
    }
  }
}

// c += a b for the tiles of a row of them; in float32 all wait for each other's terms, not for their own.
template <Precision kPrecision, int kSteps>
__device__ __forceinline__ void multiply_row(float (&c)[4][4], const FragmentA<kPrecision> (&a)[kSteps], const FragmentB<kPrecision> (&b)[kSteps][4]) {
  if constexpr (kPrecision == Precision::kFloat32) {
    float part[4][4] = {};
#pragma unroll
    for (int step = 0; step < kSteps; step++) {
#pragma unroll
      for (int j = 0; j < 4; j++) matrix_step_tf32(part[j], a[step].low, b[step][j].high);  // small ones first
#pragma unroll
      for (int j = 0; j < 4; j++) matrix_step_tf32(part[j], a[step].high, b[step][j].low);
#pragma unroll
      for (int j = 0; j < 4; j++) matrix_step_tf32(part[j], a[step].high, b[step][j].high);
    }
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int k = 0; k < 4; k++) c[j][k] += part[j][k];
  } else {
#pragma unroll
    for (int step = 0; step < kSteps; step++)
#pragma unroll
      for (int j = 0; j < 4; j++) multiply<kPrecision>(c[j], a[step], b[step][j]);
  }
}

// A warp's sums, and those of b over the depth, one per column that lanes with this g have.
template <class Tile>
struct TileSums {
  float c[Tile::kRowTiles][4][4] = {};
  float of_b[4] = {};

  // += half a stage. a, b: this lane's first numbers.
  template <Precision kPrecision, Lines kA, Lines kB>
  __device__ __forceinline__ void add(const float* a, const float* b, bool sums_b) {
    constexpr int kSteps = 16 / kStep<kPrecision>;
    Square square;
    load_square<kB, Tile::kColumns>(square, b);
    if (sums_b)
#pragma unroll
      for (int j = 0; j < 4; j++) of_b[j] += square[j][0] + square[j][1] + (square[j][2] + square[j][3]);
    FragmentB<kPrecision> of_columns[kSteps][4];
#pragma unroll
    for (int step = 0; step < kSteps; step++)
#pragma unroll
      for (int j = 0; j < 4; j++) set_words<kPrecision>(of_columns[step][j], 0, 1, square[j], step);
#pragma unroll
    for (int i = 0; i < Tile::kRowTiles; i++) {
      if (i % 2 == 0) load_square<kA, Tile::kRows>(square, a + i / 2 * kWarpPlaces * (kA == Lines::kDepth ? kDeepStride : 1));
      FragmentA<kPrecision> of_rows[kSteps];
#pragma unroll
      for (int step = 0; step < kSteps; step++)
#pragma unroll
        for (int half = 0; half < 2; half++) set_words<kPrecision>(of_rows[step], half, 2, square[2 * (i % 2) + half], step);
      multiply_row<kPrecision, kSteps>(c[i], of_rows, of_columns);
    }
  }

  // Where warps share the depth: those of the first part get the sums of both. Takes shared memory.
  __device__ __forceinline__ void join(float* shared) {
    if constexpr (Tile::kDepthParts == 2) {
      constexpr int kHalf = Tile::kThreads / 2;
      float* const mine = shared + static_cast<int>(threadIdx.x) % kHalf;
      const auto each = [&](const auto& work) {
        int number = 0;
#pragma unroll
        for (int i = 0; i < Tile::kRowTiles; i++)
#pragma unroll
          for (int j = 0; j < 4; j++)
#pragma unroll
            for (int k = 0; k < 4; k++) work(c[i][j][k], mine[number++ * kHalf]);
#pragma unroll
        for (int j = 0; j < 4; j++) work(of_b[j], mine[number++ * kHalf]);
      };
      block_barrier();
      if (Tile::part() == 1) each([](float sum, float& place) { place = sum; });
      block_barrier();
      if (Tile::part() == 0) each([](float& sum, float place) { sum += place; });
    }
  }

  // Calls at(row, column, quad) for this lane's sums, four columns at a time; after join, if any.
  template <class At>
  __device__ __forceinline__ void each(const At& at) const {
    if (Tile::part() != 0) return;
    const int row = Tile::row() + first_place(lane() / 4), column = Tile::column() + 4 * (lane() % 4);
#pragma unroll
    for (int i = 0; i < Tile::kRowTiles; i++)
#pragma unroll
      for (int half = 0; half < 2; half++)
#pragma unroll
        for (int side = 0; side < 2; side++) {
          const int k = 2 * half + side;
          at(row + i / 2 * kWarpPlaces + i % 2 * 2 + half, column + 16 * side, Quad{{c[i][0][k], c[i][1][k], c[i][2][k], c[i][3][k]}});
        }
  }
};

// sums += a b over `depth`. a, b: the whole depth of the tile's rows and columns. From `rounded` of the depth on, whole stages, in
// float32, where kRest. sums_b: whether sums.of_b is asked for, of this warp. Ends with the stages still being read; see join.
template <class Tile, Precision kPrecision, Lines kA, Lines kB, bool kRest = false>
__device__ __forceinline__ void add_tile_product(TileSums<Tile>& sums, const GlobalTile& a, const GlobalTile& b, int depth, int rounded, float* shared,
                                                 bool sums_b = false) {
  constexpr int kAFloats = stage_floats<kA>(Tile::kRows), kStageFloats = kAFloats + stage_floats<kB>(Tile::kColumns);
  constexpr int kAHalf = 4 * (kA == Lines::kDepth ? 1 : Tile::kRows), kBHalf = 4 * (kB == Lines::kDepth ? 1 : Tile::kColumns);
  StageCopy<kA, Tile::kRows, Tile::kThreads> next_a(a);
  StageCopy<kB, Tile::kColumns, Tile::kThreads> next_b(b);
  const int of_a = first_number<kA, Tile::kRows>() + Tile::row() * (kA == Lines::kDepth ? kDeepStride : 1);
  const int of_b = kAFloats + first_number<kB, Tile::kColumns>() + Tile::column() * (kB == Lines::kDepth ? kDeepStride : 1);
  const int stages = (depth + kStageDepth - 1) / kStageDepth, rounded_stages = (rounded + kStageDepth - 1) / kStageDepth;
  float* const end = shared + kTileStages * kStageFloats;
  float *filled = shared, *used = shared;
#pragma unroll 1
  for (int number = 1 - kTileStages; number < stages; number++) {
    if (number >= 0) {
      async_wait<kTileStages - 2>();
      block_barrier();  // stage `number` is there, and all have done with the one before it, whose place the next copies take
    }
    if (number + kTileStages - 1 < stages) {
      next_a.next(filled);
      next_b.next(filled + kAFloats);
      filled += kStageFloats;
      if (filled == end) filled = shared;
    }
    async_commit();  // beyond the end too: waits count groups
    if (number < 0) continue;
    const auto multiply_stage = [&](auto precision) {
      // Halves of float32 one after the other: side by side they need more registers than there are.
#pragma unroll(decltype(precision)::value == Precision::kFloat32 ? 1 : 2)
      for (int half = 0; half < 2 / Tile::kDepthParts; half++) {
        const int at = Tile::kDepthParts == 1 ? half : Tile::part();
        sums.template add<decltype(precision)::value, kA, kB>(used + of_a + at * kAHalf, used + of_b + at * kBHalf, sums_b);
      }
    };
    if (kRest && number >= rounded_stages)
      multiply_stage(PrecisionConstant<Precision::kFloat32>{});
    else
      multiply_stage(PrecisionConstant<kPrecision>{});
    used += kStageFloats;
    if (used == end) used = shared;
  }
}

// Stores the first `left` of a quad (= or +=); aligned: 16 bytes may move at a time.
__device__ __forceinline__ void store_quad(float* to, Quad quad, int left, bool aligned, bool adds) {
  if (aligned && left >= 4) {
    auto* const at = reinterpret_cast<Quad*>(to);
    if (adds) {
      const Quad before = *at;
#pragma unroll
      for (int i = 0; i < 4; i++) quad.column[i] += before.column[i];
    }
    *at = quad;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (i < left) to[i] = adds ? to[i] + quad.column[i] : quad.column[i];
}

// The least of two numbers, as an int: what is left of a tile.
__device__ __forceinline__ int least(int64_t left, int most) { return left < most ? static_cast<int>(left) : most; }

}  // namespace mg_cuda
