// Ops that move or mask the elements of a row: copy_columns, dropout.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "cuda/ops/joined.h"
#include "cuda/ops/lanes.h"

namespace mg_cuda {
namespace {

// As many lanes as the widest item's rows need; one grid row per item.
template <class Items, class Width>
RowLanes lanes_of(const Context& context, const Items& items, const Width& width) {
  int64_t widest = 1;
  for (const auto& item : items) widest = std::max<int64_t>(widest, width(item));
  return {context.rows, widest};
}

struct CopiedRows {
  RowPointer x, y;
  int64_t width;
};

// y[n, width] = x[n, width]. Reads and writes each element once.
__global__ void copy_columns_kernel(RowLanes lanes, Some<CopiedRows> copies) {
  const CopiedRows& own = copies.items[blockIdx.y];
  lanes.of_width(own.width).each(
      [&](int64_t row, int64_t column) { own.y.data[row * own.y.stride + column] = own.x.data[row * own.x.stride + column]; });
}

struct CopyColumns : SimpleItem {
  mg_view x, y;

  explicit CopyColumns(const mg_copy_columns& op) : x(op.x), y(op.y) {}
  std::array<mg_view, 1> reads() const { return {x}; }
  std::array<mg_view, 1> writes() const { return {y}; }

  static void launch(const Context& context, const std::vector<CopyColumns>& copies) {
    const RowLanes lanes = lanes_of(context, copies, [](const CopyColumns& copy) { return copy.x.width; });
    for_some(
        copies,
        [&](const CopyColumns& copy) {
          return CopiedRows{context.at(copy.x), context.at(copy.y), copy.x.width};
        },
        [&](const Some<CopiedRows>& some, unsigned count) {
          context.stream.launch(copy_columns_kernel, {lanes.grid().x, count}, RowLanes::kThreads, 0, lanes, some);
        });
  }
};

// The part of Philox4x32-10 that all calls of an op share.
struct Counted {
  uint32_t key0, key1, high;
};

struct Words {
  uint32_t word[4];
  __device__ __forceinline__ uint32_t half(int k) const { return word[k / 2] >> k % 2 * 16 & 0xFFFF; }
};
struct alignas(16) Quad {
  float value[4];
};

__device__ __forceinline__ Words philox(const Counted& shared, uint32_t row, uint32_t step, uint32_t group) {
  uint32_t w0 = row, w1 = step, w2 = group, w3 = shared.high, key0 = shared.key0, key1 = shared.key1;
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint32_t high0 = multiply_high(0xD2511F53u, w0), low0 = 0xD2511F53u * w0;
    const uint32_t high2 = multiply_high(0xCD9E8D57u, w2), low2 = 0xCD9E8D57u * w2;
    w0 = high2 ^ w1 ^ key0, w1 = low2, w2 = high0 ^ w3 ^ key1, w3 = low0;
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return {{w0, w1, w2, w3}};
}

struct DroppedRows {
  int64_t width;
  RowPointer x, y;
  bool aligned;  // both x and y are
  Counted shared;
  const double* step;
  uint32_t limit;
  float scale;
};

// y[n, width] = x scale if half column % 8 of the call for (row, column / 8) is >= limit, else 0. One thread per call of eight
// columns; lanes cover the calls of a row. Moves 16 bytes at a time if x and y are aligned. Never writes the random numbers. 8 bytes
// and 5 multiplications per element.
__global__ void dropout_kernel(RowLanes lanes, Some<DroppedRows> drops, const double* first_row) {
  const DroppedRows& own = drops.items[blockIdx.y];
  const int64_t width = own.width;
  const auto at_step = static_cast<uint32_t>(static_cast<uint64_t>(*own.step));
  const auto from = static_cast<uint32_t>(static_cast<int64_t>(*first_row));
  lanes.of_width((width + 7) / 8).each([&](int64_t row, int64_t group) {
    const Words random = philox(own.shared, from + static_cast<uint32_t>(row), at_step, static_cast<uint32_t>(group));
    const float* in = own.x.data + row * own.x.stride + 8 * group;
    float* out = own.y.data + row * own.y.stride + 8 * group;
    const auto masked = [&](int k, float value) { return random.half(k) >= own.limit ? value * own.scale : 0.0f; };
#pragma unroll
    for (int quad = 0; quad < 8; quad += 4) {
      if (own.aligned && 8 * group + quad + 4 <= width) {
        Quad all = *reinterpret_cast<const Quad*>(in + quad);
#pragma unroll
        for (int k = 0; k < 4; k++) all.value[k] = masked(quad + k, all.value[k]);
        *reinterpret_cast<Quad*>(out + quad) = all;
        continue;
      }
#pragma unroll
      for (int k = quad; k < quad + 4; k++)
        if (8 * group + k < width) out[k] = masked(k, in[k]);
    }
  });
}

bool is_aligned(const RowPointer& rows) { return reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 && rows.stride % 4 == 0; }

struct Dropout : SimpleItem {
  mg_view x, y;
  Counted shared;
  int64_t step;
  uint32_t limit;
  float scale;

  explicit Dropout(const mg_dropout& op)
      : x(op.x),
        y(op.y),
        step(op.step),
        limit(static_cast<uint32_t>(std::min(std::round(op.rate * 65536), 65535.0))),
        scale(static_cast<float>(1 / (1 - limit / 65536.0))) {
    const auto seed = static_cast<uint64_t>(op.seed);
    shared = {static_cast<uint32_t>(seed), static_cast<uint32_t>(op.stream), static_cast<uint32_t>(seed >> 32) | 2u << 22};
  }

  std::array<mg_view, 1> reads() const { return {x}; }
  std::array<mg_view, 1> writes() const { return {y}; }

  DroppedRows rows(const Context& context) const {
    const RowPointer from = context.at(x), to = context.at(y);
    return {x.width, from, to, is_aligned(from) && is_aligned(to), shared, context.scalars() + step, limit, scale};
  }

  static void launch(const Context& context, const std::vector<Dropout>& drops) {
    const RowLanes lanes = lanes_of(context, drops, [](const Dropout& drop) { return blocks_of(drop.x.width, 8); });
    for_some(
        drops, [&](const Dropout& drop) { return drop.rows(context); },
        [&](const Some<DroppedRows>& some, unsigned count) {
          context.stream.launch(dropout_kernel, {lanes.grid().x, count}, RowLanes::kThreads, 0, lanes, some, context.first_row());
        });
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_copy_columns& op) { builder.add(std::make_unique<Joined<CopyColumns>>(CopyColumns(op))); }

void compile_op(PlanBuilder& builder, const mg_dropout& op) { builder.add(std::make_unique<Joined<Dropout>>(Dropout(op))); }

}  // namespace mg_cuda
