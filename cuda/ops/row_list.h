// A list of row views of any length for a kernel: the first few are launch arguments, the others are in a table on the device. Compiling
// allocates the table. Each run copies it, because the pointers are known only when a run is queued.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/device/kernel.h"
#include "cuda/plan.h"

namespace mg_cuda {

struct ListedRows {
  float* data;
  int64_t stride;
  int32_t width;  // 0: absent
  bool accumulate;

  __device__ __forceinline__ float* at(int64_t row, int64_t column = 0) const { return data + row * stride + column; }
};

struct RowList {
  static constexpr int kByValue = 12;  // 24 bytes each: two lists take 600 of the 4096 bytes of arguments

  ListedRows first[kByValue];
  const ListedRows* others;
  int count;

  __device__ __forceinline__ const ListedRows& operator[](int i) const { return i < kByValue ? first[i] : others[i - kByValue]; }
};

// The views of an op's list.
class RowViews {
 public:
  RowViews() = default;
  RowViews(const mg_views& list, const mg_ints& accumulate) : views_(kept(list)), accumulate_(kept(accumulate)) {
    if (views_.size() <= RowList::kByValue) return;
    table_ = std::make_unique<Tables>();
    const size_t bytes = (views_.size() - RowList::kByValue) * sizeof(ListedRows);
    table_->device.reserve(bytes), table_->staged.reserve(bytes);
  }

  // Queues the copy of the table, if there is one.
  RowList at(const Context& context) const {
    RowList list{};
    list.count = static_cast<int>(views_.size());
    const auto rows = [&](size_t i) {
      const RowPointer p = context.at(views_[i]);
      const int32_t width = p.data == nullptr ? 0 : static_cast<int32_t>(views_[i].width);
      return ListedRows{p.data, p.stride, width, i < accumulate_.size() && accumulate_[i] != 0};
    };
    const size_t by_value = std::min<size_t>(views_.size(), RowList::kByValue);
    for (size_t i = 0; i < by_value; i++) list.first[i] = rows(i);
    if (!table_) return list;
    auto* staged = table_->staged.data<ListedRows>();
    for (size_t i = by_value; i < views_.size(); i++) staged[i - by_value] = rows(i);
    context.stream.upload(table_->device.data(), staged, (views_.size() - by_value) * sizeof(ListedRows));
    list.others = table_->device.data<const ListedRows>();
    return list;
  }

 private:
  struct Tables {
    DeviceMemory device;
    PinnedMemory staged;
  };

  std::vector<mg_view> views_;
  std::vector<int64_t> accumulate_;
  std::unique_ptr<Tables> table_;
};

}  // namespace mg_cuda
