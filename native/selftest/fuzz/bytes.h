// A fuzzer's input as a sequence of choices; zeros after its end.
#pragma once
#include <cstdint>
#include <vector>

namespace selftest {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), end_(data + size) {}

  bool empty() const { return data_ == end_; }
  uint8_t byte() { return empty() ? 0 : *data_++; }
  int64_t number() {
    const int64_t low = byte();
    return low | int64_t{byte()} << 8;
  }
  /// One of `count` choices.
  size_t choice(size_t count) { return count < 2 ? 0 : static_cast<size_t>(count <= 256 ? byte() : number()) % count; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[choice(from.size())];
  }

 private:
  const uint8_t *data_, *end_;
};

}  // namespace selftest
