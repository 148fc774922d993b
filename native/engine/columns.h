// The encoded columns of a dataset, written part by part, and the order in which an epoch reads their rows. A row's values lie side by side:
// rows are picked at random, so a row costs a few cache lines and a page or two, instead of some for every column.
// Ids are range-checked in the copy, so later changes to the caller's array cannot make them wrong.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/aligned.h"

namespace multigate {

struct Column {
  int32_t dtype = 0;  // MG_F32 or MG_I32
  int64_t width = 0;
  int64_t limit = 0;     // ids lie in [0, limit)
  int64_t offset = 0;    // within a row
  bool complete = true;  // its floats have no NaN
};

class Columns {
 public:
  /// All values are zero. @throws Failure (out_of_memory) if this machine cannot hold them.
  Columns(int64_t rows, std::vector<Column> columns);
  Columns(const Columns&) = delete;
  Columns& operator=(const Columns&) = delete;
  ~Columns();

  /// Copies in rows [start, start + rows) of every column, [rows, width] each. @throws Failure (argument) naming column, row, id and
  /// limit, after writing the rows before it; (busy) while a run reads them.
  void write(int64_t start, int64_t rows, const std::vector<const void*>& values);

  /// Unique in the process. It changes when data that a run has read changes. Backends use it to identify copies of these columns.
  uint64_t number() const noexcept { return number_; }

  int64_t rows() const noexcept { return rows_; }
  const std::vector<Column>& columns() const noexcept { return columns_; }
  /// Elements of a row.
  int64_t stride() const noexcept { return stride_; }
  char* row(int64_t number) const noexcept { return static_cast<char*>(values_.data()) + number * stride_ * 4; }
  /// The shuffled order, or null before the first shuffle().
  const int32_t* order() const noexcept { return static_cast<const int32_t*>(order_.data()); }
  int64_t bytes() const noexcept { return rows_ * stride_ * 4; }

  void begin_use() noexcept { ++users_, used_ = true; }
  void end_use() noexcept { --users_; }
  /// Whether a shuffle is pending: runs that read the order must wait for it.
  bool shuffling() const noexcept { return shuffles_ > 0; }

 private:
  friend class Shuffle;

  void copy_rows(size_t number, const int32_t* from, int64_t first, int64_t rows, int32_t* scratch);

  uint64_t number_;
  int64_t rows_;
  int64_t stride_ = 0;
  std::vector<Column> columns_;
  AlignedBuffer values_, order_;
  int users_ = 0;
  int shuffles_ = 0;
  bool used_ = false;  // by any run since the last change
};

/// Shuffles the rows. Made and destroyed on the environment's thread; executed on the thread of its runs, in order with them.
class Shuffle {
 public:
  Shuffle(std::shared_ptr<Columns> columns, uint64_t seed, uint64_t epoch);
  Shuffle(const Shuffle&) = delete;
  Shuffle& operator=(const Shuffle&) = delete;
  ~Shuffle();

  void execute() noexcept;

 private:
  std::shared_ptr<Columns> columns_;
  uint64_t seed_, epoch_;
};

/// Copies `count` ids of rows from `first_row` on, then checks the copy. `what` starts the error's text. `width` is the number of ids per row.
void copy_ids(const int32_t* from, int32_t* to, int64_t count, int64_t limit, int64_t width, int64_t first_row, const std::string& what);

}  // namespace multigate
