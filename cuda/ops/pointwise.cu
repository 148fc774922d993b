// Launches of pointwise.h, and the op dropout.
// One thread per eight columns of a row, 16 bytes at a time if they are aligned; lanes cover a row. 8 bytes and 5 multiplications per element of a
// dropout, 4 more bytes and the slope of an activation.
#include "cuda/ops/pointwise.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cuda/ops/lanes.h"

namespace mg_cuda {
namespace {

constexpr int kColumnsOfAThread = 8;

// One grid row per item.
__global__ void __launch_bounds__(RowLanes::kThreads) pointwise_kernel(RowLanes lanes, Some<PointwiseLaunch> items) {
  begin_kernel();
  const PointwiseLaunch& own = items.items[blockIdx.y];
  const Counters counters = own.rows.counters();
  lanes.of_width((own.width + kColumnsOfAThread - 1) / kColumnsOfAThread).each([&](int64_t row, int64_t group) {
    const int64_t first = kColumnsOfAThread * group;
    const Halves halves = own.rows.halves(counters, row, first);
#pragma unroll
    for (int quad = 0; quad < kColumnsOfAThread; quad += 4) {
      const int left = least(own.width - first - quad, 4);
      if (left <= 0) break;
      const float* const from = own.x.data + row * own.x.stride + first + quad;
      own.rows.store(halves, row, first + quad, load_quad(from, left, moves_quads(own.x.data, own.x.stride)), left);
    }
  });
}

}  // namespace

void launch_pointwise(const Context& context, const std::vector<PointwiseLaunch>& launches) {
  int64_t widest = 1;
  for (const PointwiseLaunch& launch : launches) widest = std::max(widest, blocks_of(launch.width, kColumnsOfAThread));
  const RowLanes lanes(context.rows, widest);
  for_some(
      launches, [](const PointwiseLaunch& launch) { return launch; },
      [&](const Some<PointwiseLaunch>& some, unsigned count) {
        context.stream.launch(pointwise_kernel, {lanes.grid().x, count}, RowLanes::kThreads, 0, lanes, some);
      });
}

PointwiseRows Pointwise::rows(const Context& context, int64_t rows_before) const {
  const auto from = [&](const mg_view& view) {
    RowPointer at = context.at(view);
    at.data += rows_before * at.stride;
    return at;
  };
  Mask bound = mask;
  bound.step = context.scalars() + step, bound.first_row = context.first_row();
  return {from(y), from(source), static_cast<int32_t>(activation), keeps_x, rows_before, bound};
}

void Pointwise::launch(const Context& context, const std::vector<Pointwise>& items) {
  std::vector<PointwiseLaunch> launches;
  for (const Pointwise& item : items) launches.push_back({context.at(item.x), item.x.width, item.rows(context)});
  launch_pointwise(context, launches);
}

void add_pointwise(PlanBuilder& builder, const Pointwise& work) {
  if (!builder.fuse(work)) builder.add(std::make_unique<Fusing<Pointwise>>(work));
}

void compile_op(PlanBuilder& builder, const mg_dropout& op) {
  Pointwise work;
  work.x = op.x, work.y = op.y, work.keeps_x = !builder.is_last_use(op.x), work.step = op.step;
  const auto seed = static_cast<uint64_t>(op.seed);
  const auto limit = static_cast<uint32_t>(std::min(std::round(op.rate * 65536), 65535.0));
  work.mask.key0 = static_cast<uint32_t>(seed), work.mask.key1 = static_cast<uint32_t>(op.stream);
  work.mask.high = static_cast<uint32_t>(seed >> 32) | 2u << 22;
  work.mask.limit = limit, work.mask.scale = static_cast<float>(1 / (1 - limit / 65536.0));
  add_pointwise(builder, work);
}

}  // namespace mg_cuda
