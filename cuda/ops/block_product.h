// One block computes one tile of a product. Both operands come from global memory a stage at a time; copies of the next stages run while
// a stage is multiplied. The kernel applies bias and activation and stores the sums.
//
// In memory an operand has its depth side by side (kDepth: [m][k] of a, [n][k] of b) or across (kAcross: [k][m], [k][n]). Shared memory
// has the same numbers in the same lines. float32 is converted to the precision in registers; bfloat16 stays as it is.
//
// The assignment of numbers to lanes is free as long as both operands agree on the depth. It is chosen so that everything moves by 16 bytes. Of 32
// places across the depth a lane (g = lane / 4, t = lane % 4) has the four from 4 (g / 2) + 16 (g % 2) on; of a stage's depth it has those from 8 t
// on, four in each half of it. A load brings four of the depth for one place, or four places for one of the depth. A lane's sums are in four
// neighbouring columns, and four lanes make 64 bytes.
//
// Sums add up in the order of the depth, for any grid. In float32, 8 of the depth are summed separately and then added: the matrix
// instructions truncate a sum, but an addition rounds it, so the error of a long sum has no bias.
#pragma once
#include <cstddef>
#include <type_traits>

#include "cuda/ops/product.h"

namespace mg_cuda {

enum class Lines { kDepth, kAcross };

inline constexpr int kStageDepth = 32;
inline constexpr int kTileStages = 3;   // pending or in use
inline constexpr int kWarpPlaces = 32;  // a warp's columns; its rows are 1 or 2 times as many

// How a block divides its tile [kRows, kColumns]: kWarpRows x kWarpColumns warps, each with [16 kRowTiles, 32] sums. Small tiles have twice as
// many warps, which share the depth of a stage (kDepthParts).
template <int kRowTilesOfAWarp, int kWarpRowsOfABlock, int kWarpColumnsOfABlock, int kPartsOfAStage = 1>
struct Tile {
  static constexpr int kRowTiles = kRowTilesOfAWarp, kWarpRows = kWarpRowsOfABlock, kWarpColumns = kWarpColumnsOfABlock, kDepthParts = kPartsOfAStage;
  static constexpr int kRows = 16 * kRowTiles * kWarpRows, kColumns = kWarpPlaces * kWarpColumns;
  static constexpr int kWarps = kWarpRows * kWarpColumns, kThreads = kWarp * kWarps * kDepthParts;
  static constexpr int kBlocks = kThreads == 128 ? 3 : 512 / kThreads;  // least number on a multiprocessor: 168 or 128 registers a thread

  // Position of a thread's warp.
  static __device__ __forceinline__ int part(int thread) { return thread / kWarp / kWarps; }
  static __device__ __forceinline__ int row(int thread) { return thread / kWarp % kWarps / kWarpColumns * (16 * kRowTiles); }
  static __device__ __forceinline__ int column(int thread) { return thread / kWarp % kWarpColumns * kWarpPlaces; }
};

// Stride between lines of a stage. kDepth: 4 g + 8 t covers all banks, with g of two neighbours. kAcross: see StageCopy.
inline constexpr int kDeepStride = kStageDepth + 4;
template <Lines kLines>
__host__ __device__ constexpr int stage_floats(int outer) {
  return outer * (kLines == Lines::kDepth ? kDeepStride : kStageDepth);
}
template <class Tile, Lines kA, Lines kB>
__host__ __device__ constexpr size_t tile_shared_bytes() {
  return sizeof(float) * kTileStages * (stage_floats<kA>(Tile::kRows) + stage_floats<kB>(Tile::kColumns));
}

// Calls work(constant) with the precision as a constant: constant.value.
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

// A part of a matrix in global memory, [lines, width]; lines are `stride` numbers apart.
template <class Number = float>
struct GlobalTile {
  const Number* data;
  int64_t stride;
  int lines, width;  // that exist: the rest of the shared tile becomes 0
};

// The first of the four places, among 32, that lanes with this g have.
__device__ __forceinline__ int first_place(int g) { return 4 * (g / 2) + 16 * (g % 2); }

// Stride in numbers between lines of a stage with their depth side by side. With bfloat16 two lines cover all banks without padding.
template <class Number>
inline constexpr int kLineStride = sizeof(Number) == sizeof(float) ? kDeepStride : kStageDepth;

// Line k of kAcross, in a block of 8 lines (k / 8), xors its 16-byte index with this, so that lanes with four t read different banks. With bfloat16
// they read 8 bytes, those at 0 and 2 of every four at once.
template <class Number, int kOuter>
__device__ __forceinline__ int mixed(int block) {
  return sizeof(Number) == sizeof(float) ? block : block % 2 + (kOuter < 64 ? 0 : block / 2 * 4);
}

// This thread's copies of an operand, stage after stage, 16 bytes each, from consecutive lines. Line l of kDepth goes where lanes read it: their
// four places are 8 lines apart. In a line of kAcross the 16-byte parts are permuted; see mixed().
template <Lines kLines, int kOuter, int kThreads, class Number>
class StageCopy {
  static constexpr bool kAlong = kLines == Lines::kDepth, kExact = sizeof(Number) == sizeof(float);
  static constexpr int kSome = 16 / sizeof(Number);                        // numbers per copy
  static constexpr int kOfLine = (kAlong ? kStageDepth : kOuter) / kSome;  // copies per line
  static constexpr int kCopies = (kAlong ? kOuter : kStageDepth) * kOfLine / kThreads, kStride = kLineStride<Number>;
  static_assert(kCopies >= 1 && kCopies <= 8);

 public:
  __device__ __forceinline__ explicit StageCopy(const GlobalTile<Number>& from) {
    const int thread = static_cast<int>(threadIdx.x), line = thread / kOfLine * kCopies, of_line = thread % kOfLine;
    at_ = from.data + line * from.stride + kSome * of_line;
    stride_ = from.stride;
    lines_ = from.lines - line;
    bytes_ = static_cast<int>(sizeof(Number)) * (from.width - kSome * of_line);
    if constexpr (kExact) quads_ = moves_quads(from.data, from.stride);
    place_ = kAlong ? (line / 32 * 32 + line % 4 * 8 + line / 4 % 4 * 2 + line / 16 % 2) * kStride + kSome * of_line
                    : line * kOuter + kSome * (of_line ^ mixed<Number, kOuter>(line / 8));
  }

  // Starts copying the next stage; device/async_copy.h says when it arrives. bfloat16 is aligned to 16 bytes.
  __device__ __forceinline__ void next(float* stage) {
    if (!kExact || quads_)
      copy(stage, [](float* to, const float* from, int bytes) { async_copy<16>(to, from, bytes < 16 ? bytes : 16); });
    else
      copy(stage, [](float* to, const float* from, int bytes) {
#pragma unroll
        for (int k = 0; k < 4; k++) async_copy<4>(to + k, from + k, bytes > 4 * k ? 4 : 0);
      });
    if (kAlong)
      at_ += kStageDepth, bytes_ -= static_cast<int>(sizeof(Number)) * kStageDepth;
    else
      at_ += kStageDepth * stride_, lines_ -= kStageDepth;
  }

 private:
  template <class Copy>
  __device__ __forceinline__ void copy(float* stage, const Copy& copy_quad) const {
    const int bytes = bytes_ < 0 ? 0 : bytes_;
    const Number* at = at_;
#pragma unroll
    for (int i = 0; i < kCopies; i++, at += stride_) {
      Number* const to = reinterpret_cast<Number*>(stage) + place_ + (kAlong ? (8 * (i % 4) + i / 4 * 2) * kStride : i * kOuter);
      copy_quad(reinterpret_cast<float*>(to), reinterpret_cast<const float*>(at), i < lines_ ? bytes : 0);
    }
  }

  const Number* at_;
  int64_t stride_;
  int lines_, bytes_, place_;  // lines_ counts from this thread's line on; bytes_ is per line
  bool quads_ = true;
};

// The place of a lane's first number in a stage, for a warp whose places begin at `outer`.
template <Lines kLines, int kOuter, class Number>
__device__ __forceinline__ int first_number(int outer) {
  constexpr int kSome = 16 / sizeof(Number);
  const int g = lane() / 4, t = lane() % 4, place = outer + first_place(g);
  if (kLines == Lines::kDepth) return (outer + g) * kLineStride<Number> + 8 * t;
  return 8 * t * kOuter + kSome * (place / kSome ^ mixed<Number, kOuter>(t)) + place % kSome;
}

// Numbers of the depth that a lane loads at once. Fewer in float32, because their parts take registers too.
template <Precision kPrecision>
inline constexpr int kDeep = kPrecision == Precision::kFloat32 ? 2 : 4;

// A lane's numbers of 32 places and some of the depth, [place][depth].
template <int kDepth>
using Square = float[4][kDepth];

// The same for bfloat16, as pairs along the depth.
using SquareOfPairs = uint32_t[4][2];
template <class Number, int kDepth>
using SquareOf = std::conditional_t<std::is_same_v<Number, float>, Square<kDepth>, SquareOfPairs>;

struct alignas(8) TwoWords {
  uint32_t word[2];
};

template <Lines kLines, int kOuter>
__device__ __forceinline__ void load_square(SquareOfPairs& to, const Bfloat16* from) {
  if constexpr (kLines == Lines::kDepth) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const auto pairs = *reinterpret_cast<const TwoWords*>(from + i * 8 * kLineStride<Bfloat16>);
      to[i][0] = pairs.word[0], to[i][1] = pairs.word[1];
    }
  } else {
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const auto first = *reinterpret_cast<const TwoWords*>(from + 2 * k * kOuter),
                 second = *reinterpret_cast<const TwoWords*>(from + (2 * k + 1) * kOuter);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        to[2 * i][k] = low_halves(first.word[i], second.word[i]);
        to[2 * i + 1][k] = high_halves(first.word[i], second.word[i]);
      }
    }
  }
}

template <Lines kLines, int kOuter, int kDepth>
__device__ __forceinline__ void load_square(Square<kDepth>& to, const float* from) {
  struct alignas(4 * kDepth) Along {
    float number[kDepth];
  };
  if constexpr (kLines == Lines::kDepth) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const auto along = *reinterpret_cast<const Along*>(from + i * 8 * kDeepStride);
#pragma unroll
      for (int k = 0; k < kDepth; k++) to[i][k] = along.number[k];
    }
  } else {
#pragma unroll
    for (int k = 0; k < kDepth; k++) {
      const auto across = *reinterpret_cast<const Quad*>(from + k * kOuter);
#pragma unroll
      for (int i = 0; i < 4; i++) to[i][k] = across.column[i];
    }
  }
}

// Words `first` and `first` + `behind` of a fragment of step `step`, from numbers along the depth.
template <Precision kPrecision, int kWords, int kDepth>
__device__ __forceinline__ void set_words(Fragment<kPrecision, kWords>& to, int first, int behind, const float (&depth)[kDepth], int step) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int word = first + i * behind;
    if constexpr (kPrecision == Precision::kBfloat16)
      to.high[word] = to_bf16_pair(depth[2 * i], depth[2 * i + 1]);
    else if constexpr (kPrecision == Precision::kTf32)
      to.high[word] = to_tf32(depth[2 * step + i]);
    else
      split_tf32(depth[i], to.high[word], to.low[word]);
  }
}

template <Precision kPrecision, int kWords>
__device__ __forceinline__ void set_words(Fragment<kPrecision, kWords>& to, int first, int behind, const uint32_t (&pairs)[2], int) {
  to.high[first] = pairs[0], to.high[first + behind] = pairs[1];
}

// c += a b for the four tiles of a row. In float32 the tiles take turns term by term, so none waits for its own sum.
template <Precision kPrecision>
__device__ __forceinline__ void multiply_row(float (&c)[4][4], const FragmentA<kPrecision>& a, const FragmentB<kPrecision> (&b)[4]) {
  if constexpr (kPrecision == Precision::kFloat32) {
    float part[4][4] = {};
#pragma unroll
    for (int j = 0; j < 4; j++) matrix_step_tf32(part[j], a.low, b[j].high);  // small terms first
#pragma unroll
    for (int j = 0; j < 4; j++) matrix_step_tf32(part[j], a.high, b[j].low);
#pragma unroll
    for (int j = 0; j < 4; j++) matrix_step_tf32(part[j], a.high, b[j].high);
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int k = 0; k < 4; k++) c[j][k] += part[j][k];
  } else {
#pragma unroll
    for (int j = 0; j < 4; j++) multiply<kPrecision>(c[j], a, b[j]);
  }
}

__device__ __forceinline__ void add_quad(Quad& quad, Quad other) {
#pragma unroll
  for (int i = 0; i < 4; i++) quad.column[i] += other.column[i];
}

// A warp's sums, and the sums of b over the depth, one per column of the lanes with this g.
template <class Tile>
struct TileSums {
  float c[Tile::kRowTiles][4][4] = {};
  float of_b[4] = {};

  // += kDeep of the depth for each of four lanes. a, b: this lane's first numbers.
  template <Precision kPrecision, Lines kA, Lines kB, class A, class B>
  __device__ __forceinline__ void add(const A* a, const B* b, bool sums_b) {
    constexpr int kDepth = kDeep<kPrecision>;
    SquareOf<B, kDepth> of_columns;
    SquareOf<A, kDepth> of_rows;
    load_square<kB, Tile::kColumns>(of_columns, b);
    if constexpr (std::is_same_v<B, float>) {
      if (sums_b)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int k = 0; k < kDepth; k += 2) of_b[j] += of_columns[j][k] + of_columns[j][k + 1];
    }
#pragma unroll
    for (int pair = 0; pair < Tile::kRowTiles / 2; pair++) {
      load_square<kA, Tile::kRows>(of_rows, a + pair * kWarpPlaces * (kA == Lines::kDepth ? kLineStride<A> : 1));
#pragma unroll
      for (int step = 0; step < 4 * kDepth / kStep<kPrecision>; step++) {
        FragmentB<kPrecision> columns[4];
#pragma unroll
        for (int j = 0; j < 4; j++) set_words<kPrecision>(columns[j], 0, 1, of_columns[j], step);
#pragma unroll
        for (int i = 0; i < 2; i++) {
          FragmentA<kPrecision> rows;
#pragma unroll
          for (int half = 0; half < 2; half++) set_words<kPrecision>(rows, half, 2, of_rows[2 * i + half], step);
          multiply_row<kPrecision>(c[2 * pair + i], rows, columns);
        }
      }
    }
  }

  // If warps share the depth, those of the first part get the sums of both. Uses shared memory.
  __device__ __forceinline__ void join(float* shared) {
    if constexpr (Tile::kDepthParts == 2) {
      constexpr int kHalf = Tile::kThreads / 2;
      const int thread = thread_again();
      float* const mine = shared + thread % kHalf;
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
      if (Tile::part(thread) == 1) each([](float sum, float& place) { place = sum; });
      block_barrier();
      if (Tile::part(thread) == 0) each([](float& sum, float place) { sum += place; });
    }
  }

  // Calls work(row, column, quad) for this lane's sums in a pair of row tiles, four columns at a time. It may change them.
  template <class Work>
  __device__ __forceinline__ void each(int thread, int pair, const Work& work) {
    const int row = Tile::row(thread) + kWarpPlaces * pair + first_place(thread % kWarp / 4), column = Tile::column(thread) + 4 * (thread % 4);
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int k = 0; k < 4; k++) {
        auto& of_tile = c[2 * pair + i];
        Quad quad{{of_tile[0][k], of_tile[1][k], of_tile[2][k], of_tile[3][k]}};
        work(row + 2 * i + k / 2, column + k % 2 * 16, quad);
#pragma unroll
        for (int j = 0; j < 4; j++) of_tile[j][k] = quad.column[j];
      }
  }
  // The same for all row tiles.
  template <class Work>
  __device__ __forceinline__ void each(int thread, const Work& work) {
#pragma unroll
    for (int pair = 0; pair < Tile::kRowTiles / 2; pair++) each(thread, pair, work);
  }

  // Calls work(column, left, each_row) once for each thread that has four of the first [rows, columns], `left` of which exist; each_row calls its
  // argument with the rows and their quads. They go through shared memory, so that the code of `work` is emitted once. Call it after join, if any.
  template <class Work>
  __device__ __forceinline__ void spread(float* shared, int rows, int columns, const Work& work) {
    constexpr int kQuads = Tile::kColumns / 4;
    auto* const quads = reinterpret_cast<Quad*>(shared);
    const int thread = thread_again();
    block_barrier();
    if (Tile::part(thread) == 0) each(thread, [&](int r, int column, const Quad& quad) { quads[r * kQuads + column / 4] = quad; });
    block_barrier();
    const int first = thread / kQuads, c = thread % kQuads * 4;
    if (c >= columns) return;
    work(c, columns - c, [&](const auto& of_row) {
#pragma unroll 1
      for (int r = first; r < rows; r += Tile::kThreads / kQuads) of_row(r, quads[r * kQuads + c / 4]);
    });
  }

  // Stores the first [rows, columns], = or +=. Call it after join, if any. kWhole: `to` is aligned to 16 bytes; stride and columns are multiples
  // of 4.
  template <bool kWhole>
  __device__ __forceinline__ void store(float* to, int64_t stride, int rows, int columns, bool adds) {
    const int thread = thread_again();
    if (Tile::part(thread) != 0) return;
    if (kWhole || (moves_quads(to, stride) && columns % 4 == 0)) {
      const auto at = [&](int row, int column) { return reinterpret_cast<Quad*>(to + row * stride + column); };
#pragma unroll
      for (int pair = 0; pair < Tile::kRowTiles / 2; pair++) {
        if (adds)  // load all before storing any, so that loads do not wait for each other
          each(thread, pair, [&](int row, int column, Quad& quad) {
            if (row < rows && column < columns) add_quad(quad, *at(row, column));
          });
        each(thread, pair, [&](int row, int column, const Quad& quad) {
          if (row < rows && column < columns) *at(row, column) = quad;
        });
      }
    } else {
      each(thread, [&](int row, int column, const Quad& quad) {
        float* const at = to + row * stride + column;
#pragma unroll
        for (int i = 0; i < 4; i++)
          if (row < rows && column + i < columns) at[i] = adds ? at[i] + quad.column[i] : quad.column[i];
      });
    }
  }
};

// The stride in numbers along the depth.
template <Lines kLines>
__host__ __device__ constexpr int along(int outer) {
  return kLines == Lines::kDepth ? 1 : outer;
}

// A lane's part of an operand in a stage.
template <Lines kLines, int kOuter, class Number>
struct StagePart {
  int first;
  __device__ __forceinline__ explicit StagePart(int outer) : first(first_number<kLines, kOuter, Number>(outer)) {}
  __device__ __forceinline__ const Number* in(const float* stage) const { return reinterpret_cast<const Number*>(stage) + first; }
};

// sums += a b over `depth`. a, b: the whole depth of the tile's rows and columns. With kRest the depth from `rounded` on, in whole stages, is
// multiplied in float32; then a in bfloat16 has only the rounded depth and `rest` has what follows. sums_b: whether this warp computes sums.of_b, for
// a b in float32. On return other warps may still read the stages; see join.
template <class Tile, Precision kPrecision, Lines kA, Lines kB, bool kRest = false, class A, class B>
__device__ __forceinline__ void add_tile_product(TileSums<Tile>& sums, const GlobalTile<A>& a, const GlobalTile<B>& b, int depth, int rounded,
                                                 float* shared, bool sums_b = false, const GlobalTile<>& rest = {}) {
  constexpr int kAFloats = stage_floats<kA>(Tile::kRows), kStageFloats = kAFloats + stage_floats<kB>(Tile::kColumns);
  constexpr bool kRestApart = kRest && !std::is_same_v<A, float>;
  const auto thread = static_cast<int>(threadIdx.x);
  StageCopy<kA, Tile::kRows, Tile::kThreads, A> next_a(a);
  StageCopy<kA, Tile::kRows, Tile::kThreads, float> next_rest(rest);
  StageCopy<kB, Tile::kColumns, Tile::kThreads, B> next_b(b);
  const StagePart<kA, Tile::kRows, A> part_of_a(Tile::row(thread));
  const StagePart<kA, Tile::kRows, float> part_of_rest(Tile::row(thread));
  const StagePart<kB, Tile::kColumns, B> part_of_b(Tile::column(thread));
  const int stages = (depth + kStageDepth - 1) / kStageDepth, rounded_stages = (rounded + kStageDepth - 1) / kStageDepth;
  constexpr int kEnd = (kTileStages - 1) * kStageFloats;
  int filled = 0, used = 0;
#pragma unroll 1
  for (int number = 1 - kTileStages; number < stages; number++) {
    if (number >= 0) {
      async_wait<kTileStages - 2>();
      block_barrier();  // stage `number` has arrived, and all are done with the one before, which the next copies overwrite
    }
    if (number + kTileStages - 1 < stages) {
      if (kRestApart && number + kTileStages - 1 >= rounded_stages)
        next_rest.next(shared + filled);
      else
        next_a.next(shared + filled);
      next_b.next(shared + filled + kAFloats);
      filled = filled == kEnd ? 0 : filled + kStageFloats;
    }
    async_commit();  // even beyond the end, because waits count groups
    if (number < 0) continue;
    const auto multiply_stage = [&](auto precision, const auto& of_a) {
      constexpr Precision kIts = decltype(precision)::value;
      constexpr int kTimes = kStageDepth / 4 / kDeep<kIts> / Tile::kDepthParts;
      const int part = Tile::kDepthParts == 1 ? 0 : Tile::part(thread) * kTimes;
      constexpr int kAStep = kDeep<kIts> * along<kA>(Tile::kRows), kBStep = kDeep<kIts> * along<kB>(Tile::kColumns);
      const auto* from_a = of_a.in(shared + used) + part * kAStep;
      const auto* from_b = part_of_b.in(shared + used + kAFloats) + part * kBStep;
#pragma unroll 1  // unrolled they would need too many registers
      for (int i = 0; i < kTimes; i++, from_a += kAStep, from_b += kBStep) sums.template add<kIts, kA, kB>(from_a, from_b, sums_b);
    };
    if constexpr (kRest) {
      if (number >= rounded_stages)
        multiply_stage(PrecisionConstant<Precision::kFloat32>{}, part_of_rest);
      else
        multiply_stage(PrecisionConstant<kPrecision>{}, part_of_a);
    } else {
      multiply_stage(PrecisionConstant<kPrecision>{}, part_of_a);
    }
    used = used == kEnd ? 0 : used + kStageFloats;
  }
}

}  // namespace mg_cuda
