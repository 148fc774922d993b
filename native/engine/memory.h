// Backend memory behind a JavaScript handle: parameters, gradients, moments, tables.
//
// Lifetime: a Memory and each run that uses it hold the block by reference count. dispose() releases the block, which is freed
// at once or when the last run ends. Only a run's use of the block happens off the thread of the environment that made it,
// so use counts need no lock.
#pragma once

#include <cstdint>
#include <memory>

#include "abi/multigate.h"
#include "engine/random.h"

namespace multigate {

class Memory {
 public:
  Memory(const mg_backend& backend, int64_t elements);

  const mg_backend& backend() const noexcept { return backend_; }
  int64_t elements() const noexcept { return elements_; }
  bool disposed() const noexcept { return block_ == nullptr; }
  /// Unique in the process and new after every change: equal versions mean equal contents.
  uint64_t version() const noexcept { return version_; }
  void bump_version() noexcept;

  // These check ranges; values have the backend's type. @throws Failure (argument, busy, disposed).
  void write(int64_t offset, const void* values, int64_t count);
  void write_converted(int64_t offset, const void* values, bool doubles, int64_t count);
  void read(int64_t offset, void* values, int64_t count) const;
  void check_range(int64_t offset, int64_t count) const;
  void initialize(int64_t offset, int64_t count, const WeightStream& weights);

  void dispose() noexcept { block_.reset(); }

  // A run takes the block and marks its use. Many runs may read it, or one may write it.
  std::shared_ptr<void> block() const noexcept { return block_; }
  bool can_use(bool writes) const noexcept { return writer_ == 0 && (!writes || readers_ == 0); }
  void begin_use(bool writes) noexcept { ++(writes ? writer_ : readers_); }
  void end_use(bool writes) noexcept;

 private:
  void check_writable() const;
  void check_live() const;
  void write_block(int64_t offset, const void* values, int64_t count);
  void draw(void* block, int64_t offset, int64_t count, const WeightStream& weights, int64_t first) const;

  friend class Drawing;

  const mg_backend& backend_;
  int64_t elements_;
  std::shared_ptr<void> block_;
  uint64_t version_ = 0;
  int readers_ = 0;
  int writer_ = 0;
};

/// Draws initial weights: element offset + i is number first + i of the stream. Made and destroyed on the environment's thread. Executed on
/// the thread of its runs, in order with them, with the help of other threads. The memory is in use meanwhile.
class Drawing {
 public:
  struct Range {
    int64_t offset, count, first;
  };

  /// @throws Failure (argument, disposed).
  Drawing(std::shared_ptr<Memory> memory, const Range& range, const WeightStream& weights, int threads);
  Drawing(const Drawing&) = delete;
  Drawing& operator=(const Drawing&) = delete;
  ~Drawing();

  /// @throws Failure.
  void execute();

 private:
  void draw_part(int64_t part, int64_t parts);

  std::shared_ptr<Memory> memory_;
  std::shared_ptr<void> block_;
  Range range_;
  WeightStream weights_;
  int threads_;
};

}  // namespace multigate
