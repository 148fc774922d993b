// A host buffer, aligned to 64 bytes, that only grows: repeated steps do not allocate.
#pragma once

#include <cstddef>
#include <memory>

#include "abi/aligned.h"
#include "engine/failure.h"

namespace multigate {

class AlignedBuffer {
 public:
  /// At least `bytes` bytes. Growing loses the contents.
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
    data_.reset();  // free first: old and new need not fit side by side
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
