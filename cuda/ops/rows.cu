// Ops that move the elements of a row: copy_columns.
#include <algorithm>
#include <array>
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
  begin_kernel();
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

}  // namespace

void compile_op(PlanBuilder& builder, const mg_copy_columns& op) { builder.add(std::make_unique<Joined<CopyColumns>>(CopyColumns(op))); }

}  // namespace mg_cuda
