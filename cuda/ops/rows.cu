// Ops that move or mask the elements of a row: copy_columns, dropout.
#include <memory>

#include "cuda/ops/lanes.h"

namespace mg_cuda {
namespace {

// y[n, width] = x[n, width]. Reads and writes each element once.
__global__ void copy_columns_kernel(RowLanes lanes, RowPointer x, RowPointer y) {
  lanes.each([&](int64_t row, int64_t column) { y.data[row * y.stride + column] = x.data[row * x.stride + column]; });
}

struct CopyColumns final : Op {
  mg_view x, y;

  void launch(const Context& context) const override {
    const RowLanes lanes(context.rows, x.width);
    context.stream.launch(copy_columns_kernel, lanes.grid(), RowLanes::kThreads, 0, lanes, context.at(x), context.at(y));
  }
};

// Of Philox4x32-10: what all calls of an op share.
struct Counted {
  uint32_t key0, key1, high;
};

struct Words {
  uint32_t word[4];
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

// y[n, width] = x / (1 - rate) where word column % 4 of the call for (row, column / 4) is >= limit, else 0. One thread per call, four
// columns (width of lanes: calls of a row), 16 bytes at a time where x and y are aligned. The random numbers are never written. 8 bytes
// and 10 multiplications per element.
__global__ void dropout_kernel(RowLanes lanes, int64_t width, RowPointer x, RowPointer y, bool aligned, Counted shared, const double* step,
                               const double* first_row, uint32_t limit, float scale) {
  const auto at_step = static_cast<uint32_t>(*step);
  const auto from = static_cast<uint32_t>(static_cast<int64_t>(*first_row));
  lanes.each([&](int64_t row, int64_t group) {
    const Words random = philox(shared, from + static_cast<uint32_t>(row), at_step, static_cast<uint32_t>(group));
    const float* in = x.data + row * x.stride + 4 * group;
    float* out = y.data + row * y.stride + 4 * group;
    const auto masked = [&](int k, float value) { return random.word[k] >= limit ? value * scale : 0.0f; };
    if (aligned && 4 * group + 4 <= width) {
      const Quad from_x = *reinterpret_cast<const Quad*>(in);
      *reinterpret_cast<Quad*>(out) = {
          {masked(0, from_x.value[0]), masked(1, from_x.value[1]), masked(2, from_x.value[2]), masked(3, from_x.value[3])}};
      return;
    }
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (4 * group + k < width) out[k] = masked(k, in[k]);
  });
}

bool is_aligned(const RowPointer& rows) { return reinterpret_cast<uintptr_t>(rows.data) % 16 == 0 && rows.stride % 4 == 0; }

struct Dropout final : Op {
  mg_view x, y;
  Counted shared;
  int64_t step;
  uint32_t limit;
  float scale;

  explicit Dropout(const mg_dropout& op)
      : x(op.x), y(op.y), step(op.step), limit(static_cast<uint32_t>(op.rate * 4294967296.0)), scale(static_cast<float>(1 / (1 - op.rate))) {
    const auto seed = static_cast<uint64_t>(op.seed);
    shared = {static_cast<uint32_t>(seed), static_cast<uint32_t>(op.stream), static_cast<uint32_t>(seed >> 32) | 2u << 22};
  }

  void launch(const Context& context) const override {
    const RowLanes lanes(context.rows, blocks_of(x.width, 4));
    const RowPointer from = context.at(x), to = context.at(y);
    context.stream.launch(dropout_kernel, lanes.grid(), RowLanes::kThreads, 0, lanes, x.width, from, to, is_aligned(from) && is_aligned(to),
                          shared, context.scalars() + step, context.first_row(), limit, scale);
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_copy_columns& op) {
  auto compiled = std::make_unique<CopyColumns>();
  compiled->x = op.x, compiled->y = op.y;
  builder.add(std::move(compiled));
}

void compile_op(PlanBuilder& builder, const mg_dropout& op) { builder.add(std::make_unique<Dropout>(op)); }

}  // namespace mg_cuda
