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
    if (bytes > capacity_) {
      data_.reset();  // first: the old and the new need not fit side by side
      capacity_ = 0;
      data_.reset(mg_aligned_new(bytes));
      if (data_ == nullptr) throw Failure(Code::out_of_memory, "cannot allocate " + bytes_text(static_cast<double>(bytes)));
      capacity_ = bytes;
    }
    return data_.get();
  }
  void* data() const { return data_.get(); }

 private:
  struct Delete {
    void operator()(void* data) const { mg_aligned_delete(data); }
  };
  std::unique_ptr<void, Delete> data_;
  size_t capacity_ = 0;
};

}  // namespace multigate
