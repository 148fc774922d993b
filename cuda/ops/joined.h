// Joins consecutive, independent ops of the same kind into one op: one launch, with one grid row per item.
//
// Items are passed as launch arguments, as many at a time as fit.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/plan.h"

namespace mg_cuda {

// Item: reads() and writes(), the views of activations and outputs; joins(other), whether one launch may do both; add_sums(plan, rows),
// as in Op; launch(context, items), static.
template <class Item>
class Joined : public Op {
 public:
  explicit Joined(Item item) { items_.push_back(std::move(item)); }

  bool join(Op& next) override {
    auto* const same = dynamic_cast<Joined*>(&next);
    if (same == nullptr) return false;
    for (const Item& mine : items_)
      for (const Item& other : same->items_)
        if (!mine.joins(other) || meet(mine.writes(), other.writes()) || meet(mine.writes(), other.reads()) || meet(mine.reads(), other.writes()))
          return false;
    std::move(same->items_.begin(), same->items_.end(), std::back_inserter(items_));
    return true;
  }
  void add_sums(Plan& plan, int64_t rows) override {
    for (Item& item : items_) item.add_sums(plan, rows);
  }
  void launch(const Context& context) const override { Item::launch(context, items_); }

 protected:
  std::vector<Item> items_;
};

// Defaults for most items.
struct SimpleItem {
  template <class Item>
  bool joins(const Item&) const {
    return true;
  }
  void add_sums(Plan&, int64_t) {}
};

template <class T>
struct Some {
  static constexpr size_t kMost = 3584 / sizeof(T);  // a launch takes at most 4 KiB of arguments
  T items[kMost];
};

// Calls work(Some<T>, count) with `make` of all items, at most kMost at a time.
template <class Items, class Make, class Work>
void for_some(const Items& items, const Make& make, const Work& work) {
  using T = decltype(make(items[0]));
  for (size_t first = 0; first < items.size(); first += Some<T>::kMost) {
    Some<T> some{};
    const size_t count = std::min(Some<T>::kMost, items.size() - first);
    for (size_t i = 0; i < count; i++) some.items[i] = make(items[first + i]);
    work(some, static_cast<unsigned>(count));
  }
}

}  // namespace mg_cuda
