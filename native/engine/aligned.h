// A host buffer aligned to 64 bytes that only grows: what a step needs again and again without allocating.
#pragma once

#include <cstddef>
#include <memory>

#include "abi/aligned.h"
#include "engine/failure.h"

namespace multigate {

class AlignedBuffer {
 public:
  /// At least `bytes` bytes; what was in it is lost when it grows.
  void* reserve(size_t bytes) {
    if (bytes > capacity_) grow(bytes, mg_aligned_new);
    return data_.get();
  }
  /// `bytes` bytes of new memory, all zero.
  void* renew(size_t bytes) {
    grow(bytes, mg_aligned_zeroed);
    return data_.get();
  }
  void* data() const { return data_.get(); }

 private:
  void grow(size_t bytes, void* (*allocate)(size_t)) {
    data_.reset();  // first: the old and the new need not fit side by side
    capacity_ = 0;
    data_.reset(allocate(bytes));
    if (data_ == nullptr) throw Failure(Code::out_of_memory, "cannot allocate " + bytes_text(static_cast<double>(bytes)));
    capacity_ = bytes;
  }

  struct Delete {
    void operator()(void* data) const { mg_aligned_delete(data); }
  };
  std::unique_ptr<void, Delete> data_;
  size_t capacity_ = 0;
};

}  // namespace multigate
