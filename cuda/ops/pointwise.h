// Work on single elements, which follows a product as its epilogue or is a launch of its own: dropout, then the slope of an activation.
//
//   y = x m f'(source)     m: 0, or the scale of what dropout keeps
// Dropout is as in native/abi/ops.h: one call of Philox gives the halves for eight columns of a row. source: y or z of the layer, as
// slope_needs_z() says. x and y may be the same view. The random numbers are never in memory.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cuda/ops/activation.h"
#include "cuda/ops/joined.h"
#include "cuda/ops/product.h"

namespace mg_cuda {

// What all elements of a dropout share.
struct Mask {
  uint32_t key0, key1, high;
  uint32_t limit;  // 0: no dropout
  float scale;
  const double *step, *first_row;  // on the device
};

// What a thread reads of it once.
struct Counters {
  uint32_t step, first_row;
};

// Random halves for eight columns.
struct Halves {
  uint32_t word[4];
  __device__ __forceinline__ uint32_t at(int k) const { return word[k / 2] >> k % 2 * 16 & 0xFFFF; }
};

struct PointwiseRows {
  RowPointer y;  // null: there is nothing to do
  RowPointer source;
  int32_t activation;   // linear: no slope
  bool keeps_x;         // whether a product that this follows stores x too
  int64_t rows_before;  // of the run, before those of the launch
  Mask mask;

  __device__ __forceinline__ Counters counters() const {
    if (mask.limit == 0) return {};
    return {static_cast<uint32_t>(static_cast<uint64_t>(*mask.step)), static_cast<uint32_t>(static_cast<int64_t>(*mask.first_row) + rows_before)};
  }

  __device__ __forceinline__ Halves halves(const Counters& counters, int64_t row, int64_t column) const {
    if (mask.limit == 0) return {};
    uint32_t w0 = counters.first_row + static_cast<uint32_t>(row), w1 = counters.step, w2 = static_cast<uint32_t>(column / 8), w3 = mask.high;
    uint32_t key0 = mask.key0, key1 = mask.key1;
#pragma unroll
    for (int round = 0; round < 10; round++) {
      const uint32_t high0 = multiply_high(0xD2511F53u, w0), low0 = 0xD2511F53u * w0;
      const uint32_t high2 = multiply_high(0xCD9E8D57u, w2), low2 = 0xCD9E8D57u * w2;
      w0 = high2 ^ w1 ^ key0, w1 = low2, w2 = high0 ^ w3 ^ key1, w3 = low0;
      key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
    }
    return {{w0, w1, w2, w3}};
  }

  // Columns [column, column + left) of a row, from x in `quad`. column: a multiple of 4.
  __device__ __forceinline__ void store(const Halves& halves, int64_t row, int64_t column, Quad quad, int left) const {
    if (mask.limit != 0) {
      const bool second = column % 8 != 0;
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const uint32_t half = second ? halves.at(4 + k) : halves.at(k);
        quad.column[k] = half >= mask.limit ? quad.column[k] * mask.scale : 0.0f;
      }
    }
    if (activation != MG_LINEAR) {
      const Quad from = load_quad(source.data + row * source.stride + column, left, moves_quads(source.data, source.stride));
#pragma unroll
      for (int k = 0; k < 4; k++) quad.column[k] *= slope(activation, from.column[k]);
    }
    store_quad(y.data + row * y.stride + column, quad, left, moves_quads(y.data, y.stride));
  }
};

// The same on the host, as views.
struct Pointwise : SimpleItem {
  mg_view x, y;
  bool keeps_x = true;  // whether an op that follows reads x
  Mask mask{};
  int64_t step = 0;
  mg_view source{-1, 0, 0};
  int64_t activation = MG_LINEAR;

  std::array<mg_view, 2> reads() const { return {x, source}; }
  std::array<mg_view, 1> writes() const { return {y}; }

  // Whether the same launch can also do `next`, which it then does.
  bool fuse(const Pointwise& next) {
    if (!same_view(y, next.x) || next.keeps_x || next.mask.limit != 0 || activation != MG_LINEAR || overlap(next.source, y)) return false;
    y = next.y, source = next.source, activation = next.activation;
    return true;
  }

  PointwiseRows rows(const Context& context, int64_t rows_before = 0) const;
  static void launch(const Context& context, const std::vector<Pointwise>& items);
};

// The work of one item of a launch.
struct PointwiseLaunch {
  RowPointer x;
  int64_t width;
  PointwiseRows rows;
};
void launch_pointwise(const Context& context, const std::vector<PointwiseLaunch>& launches);

// What follows a product, if anything. Part of an op that stores the product to a view.
class Epilogue {
 public:
  // Whether the op may also do `next`, which it then does. written: what the product stores to; others: what else the op reads or writes.
  template <class Others>
  bool fuse(const mg_view& written, const Pointwise& next, const Others& others) {
    if (meet(next.writes(), others) || overlap(next.source, written)) return false;
    if (work_) return work_->fuse(next);
    if (!same_view(written, next.x)) return false;
    work_ = next;
    return true;
  }
  // What it writes and reads besides; absent views if there is none.
  mg_view writes() const { return work_ ? work_->y : mg_view{-1, 0, 0}; }
  mg_view reads() const { return work_ ? work_->source : mg_view{-1, 0, 0}; }
  PointwiseRows rows(const Context& context, int64_t rows_before = 0) const { return work_ ? work_->rows(context, rows_before) : PointwiseRows{}; }

 private:
  std::optional<Pointwise> work_;
};

// Joined items that pointwise work may follow. Item: fuse(next), whether it does the work too.
template <class Item>
class Fusing final : public Joined<Item> {
 public:
  using Joined<Item>::Joined;

  bool fuse(const Pointwise& next) override {
    Item* writer = nullptr;
    for (Item& item : this->items_) {
      if (meet(item.writes(), std::array{next.x})) writer = &item;
    }
    for (const Item& item : this->items_)
      if (&item != writer && (meet(next.writes(), item.reads()) || meet(next.writes(), item.writes()) || meet(next.reads(), item.writes())))
        return false;
    return writer != nullptr && writer->fuse(next);
  }
};

// Adds the work to the op before it, if that can do it, or as an op.
void add_pointwise(PlanBuilder& builder, const Pointwise& work);

}  // namespace mg_cuda
