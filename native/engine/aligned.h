// A host buffer aligned to 64 bytes that only grows: what a step needs again and again without allocating.
// Over malloc rather than aligned_alloc, whose freed blocks older C libraries seldom use again: the heap would grow without end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "abi/aligned.h"
#include "engine/failure.h"

namespace multigate {

class AlignedBuffer {
 public:
  /// At least `bytes` bytes; what was in it is lost when it grows.
  void* reserve(size_t bytes) {
    if (bytes > capacity_) {
      block_.reset();
      data_ = nullptr;
      capacity_ = 0;
      block_.reset(bytes > SIZE_MAX - kAlignment ? nullptr : std::malloc(bytes + kAlignment));
      if (block_ == nullptr) throw Failure(Code::out_of_memory, "cannot allocate " + bytes_text(static_cast<double>(bytes)));
      data_ = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(block_.get()) + kAlignment - 1) / kAlignment * kAlignment);
      capacity_ = bytes;
    }
    return data_;
  }
  void* data() const { return data_; }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(void* block) const { std::free(block); }
  };
  std::unique_ptr<void, Free> block_;
  void* data_ = nullptr;  // in block_, aligned
  size_t capacity_ = 0;
};

}  // namespace multigate
