// Noise on the logits of gates; native/abi/ops.h has the definition.
// One thread per row: whether all of its elements are dropped takes them all, and a gate has few. Two columns take a call of Philox, a
// logarithm, a root and a sine with its cosine.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "cuda/ops/joined.h"
#include "cuda/ops/lanes.h"

namespace mg_cuda {
namespace {

constexpr float kDroppedLogit = -1e30f;

struct NoisyRows {
  RowPointer x, y;
  int64_t width;
  uint32_t key0, key1, high;
  uint32_t limit;  // an element is dropped if its word is below
  float deviation;
  const double* step;  // on the device

  struct Words {
    uint32_t word[4];
  };

  __device__ __forceinline__ Words draw(uint32_t row, uint32_t now, uint32_t pair) const {
    uint32_t w0 = row, w1 = now, w2 = pair, w3 = high, first = key0, second = key1;
#pragma unroll
    for (int round = 0; round < 10; round++) {
      const uint32_t high0 = multiply_high(0xD2511F53u, w0), low0 = 0xD2511F53u * w0;
      const uint32_t high2 = multiply_high(0xCD9E8D57u, w2), low2 = 0xCD9E8D57u * w2;
      w0 = high2 ^ w1 ^ first, w1 = low2, w2 = high0 ^ w3 ^ second, w3 = low0;
      first += 0x9E3779B9u, second += 0xBB67AE85u;
    }
    return {{w0, w1, w2, w3}};
  }

  // Writes a row. below: as limit. Returns whether an element is kept.
  __device__ __forceinline__ bool put(int64_t row, uint32_t row_of_run, uint32_t now, uint32_t below) const {
    bool kept = false;
    for (int64_t pair = 0; 2 * pair < width; pair++) {
      const Words words = draw(row_of_run, now, static_cast<uint32_t>(pair));
      const uint32_t w1 = words.word[1];
      const float u = static_cast<float>((words.word[0] >> 9) * 2 + 1) * 0x1p-24f;
      const float angle = 1.57079632679f * (static_cast<float>(((w1 & 0x3FFFFFFFu) >> 7) * 2 + 1) * 0x1p-24f);
      const float radius = sqrtf(-2.0f * logf(u));
      const float normals[2] = {(w1 >> 31 ? -radius : radius) * cosf(angle), (w1 >> 30 & 1 ? -radius : radius) * sinf(angle)};
#pragma unroll
      for (int k = 0; k < 2; k++) {
        const int64_t column = 2 * pair + k;
        if (column >= width) continue;
        const bool keeps = words.word[2 + k] >= below;
        y.data[row * y.stride + column] = keeps ? x.data[row * x.stride + column] + deviation * normals[k] : kDroppedLogit;
        kept |= keeps;
      }
    }
    return kept;
  }
};

// One grid row per gate.
__global__ void __launch_bounds__(RowLanes::kThreads) gate_noise_kernel(RowLanes lanes, Some<NoisyRows> gates, const double* first_row) {
  begin_kernel();
  const NoisyRows& own = gates.items[blockIdx.y];
  const auto now = static_cast<uint32_t>(static_cast<uint64_t>(*own.step)), first = static_cast<uint32_t>(static_cast<int64_t>(*first_row));
  lanes.each([&](int64_t row, int64_t) {
    const uint32_t row_of_run = first + static_cast<uint32_t>(row);
    if (!own.put(row, row_of_run, now, own.limit)) own.put(row, row_of_run, now, 0);
  });
}

struct GateNoise : SimpleItem {
  mg_view x, y;
  NoisyRows rows{};
  int64_t step;

  explicit GateNoise(const mg_gate_noise& op) : x(op.x), y(op.y), step(op.step) {
    const auto seed = static_cast<uint64_t>(op.seed);
    rows.width = op.x.width;
    rows.key0 = static_cast<uint32_t>(seed), rows.key1 = static_cast<uint32_t>(op.stream);
    rows.high = static_cast<uint32_t>(seed >> 32) | 3u << 22;
    rows.limit = static_cast<uint32_t>(std::min(std::round(op.dropout * 4294967296.0), 4294967295.0));
    rows.deviation = static_cast<float>(op.deviation);
  }
  std::array<mg_view, 1> reads() const { return {x}; }
  std::array<mg_view, 1> writes() const { return {y}; }

  static void launch(const Context& context, const std::vector<GateNoise>& gates) {
    const RowLanes lanes(context.rows, 1);
    for_some(
        gates,
        [&](const GateNoise& gate) {
          NoisyRows rows = gate.rows;
          rows.x = context.at(gate.x), rows.y = context.at(gate.y), rows.step = context.scalars() + gate.step;
          return rows;
        },
        [&](const Some<NoisyRows>& some, unsigned count) {
          context.stream.launch(gate_noise_kernel, {lanes.grid().x, count}, RowLanes::kThreads, 0, lanes, some, context.first_row());
        });
  }
};

}  // namespace

void compile_op(PlanBuilder& builder, const mg_gate_noise& op) { builder.add(std::make_unique<Joined<GateNoise>>(GateNoise(op))); }

}  // namespace mg_cuda
