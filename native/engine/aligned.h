// A host buffer aligned to 64 bytes that only grows: what a step needs again and again without allocating.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "engine/failure.h"

namespace multigate {

class AlignedBuffer {
 public:
  /// At least `bytes` bytes; what was in it is lost when it grows.
  void* reserve(size_t bytes) {
    if (bytes > capacity_) {
      data_.reset();
      capacity_ = 0;
      const size_t rounded = (bytes + 63) / 64 * 64;
      void* data = rounded < bytes ? nullptr : std::aligned_alloc(64, rounded);
      if (data == nullptr) throw Failure(Code::out_of_memory, "cannot allocate " + bytes_text(static_cast<double>(bytes)));
      data_.reset(data);
      capacity_ = rounded;
    }
    return data_.get();
  }
  void* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  std::unique_ptr<void, Free> data_;
  size_t capacity_ = 0;
};

}  // namespace multigate
