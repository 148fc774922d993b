// Dataset columns; see columns.h.
#include "engine/columns.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "abi/multigate.h"
#include "engine/program.h"
#include "engine/random.h"
#include "engine/registry.h"

namespace multigate {

namespace {

// One copy covers some rows of all columns, so that writes stay in the cache, or a part of one row.
constexpr int64_t kRowsAtOnce = 256;
constexpr int64_t kElementsAtOnce = 1 << 14;

uint64_t next_number() noexcept {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

Columns::Columns(int64_t rows, std::vector<Column> columns) : number_(next_number()), rows_(rows), columns_(std::move(columns)) {
  if (rows < 0 || rows > kMaxRows) throw Failure(Code::argument, text_of("rows is ", rows, ", expected 0 to ", kMaxRows));
  for (Column& column : columns_) {
    column.offset = stride_;
    stride_ += column.width;
  }
  // At most 2^31 rows of 2^16 columns of 2^24 elements: the product fits a double but no integer.
  check_host_bytes(static_cast<double>(rows) * static_cast<double>(stride_) * 4);
  values_.renew(static_cast<size_t>(std::max<int64_t>(bytes(), 1)));
}

Columns::~Columns() { forget_data_set(number_); }

void Columns::write(int64_t start, int64_t rows, const std::vector<const void*>& values) {
  if (users_ > 0) throw Failure(Code::busy, "these columns are in use by a run or a shuffle; wait for it to end");
  if (start < 0 || start > rows_ || rows > rows_ - start) {
    throw Failure(Code::argument,
                  text_of("start is ", start, " and data has ", rows, " rows, expected a range inside the columns' ", rows_, " rows"));
  }
  if (used_) {
    // A backend may have copies of the old rows.
    forget_data_set(number_);
    number_ = next_number();
    used_ = false;
  }
  int64_t widest = 1;
  for (const Column& column : columns_) widest = std::max(widest, column.width);
  const int64_t at_once = std::clamp<int64_t>(kElementsAtOnce / widest, 1, kRowsAtOnce);
  std::vector<int32_t> scratch(static_cast<size_t>(std::min(kElementsAtOnce, std::min(at_once, rows) * widest)));
  for (int64_t first = 0; first < rows; first += at_once) {
    const int64_t count = std::min(at_once, rows - first);
    for (size_t k = 0; k < columns_.size(); ++k) {
      const auto* from = static_cast<const int32_t*>(values[k]) + first * columns_[k].width;
      copy_rows(k, from, start + first, count, scratch.data());
    }
  }
}

/// With several rows, each row is one part. A row wider than the scratch memory has several parts.
void Columns::copy_rows(size_t number, const int32_t* from, int64_t first, int64_t rows, int32_t* scratch) {
  Column& column = columns_[number];
  for (int64_t at = 0; at < column.width; at += kElementsAtOnce) {
    const int64_t width = std::min(kElementsAtOnce, column.width - at), count = rows * width;
    if (column.dtype == MG_I32) {
      copy_ids(from + at, scratch, count, column.limit, width, first, text_of("column ", number));
    } else {
      std::memcpy(scratch, from + at, static_cast<size_t>(count) * 4);
      const auto* floats = reinterpret_cast<const float*>(scratch);
      if (column.complete) column.complete = std::none_of(floats, floats + count, [](float value) { return std::isnan(value); });
    }
    for (int64_t r = 0; r < rows; ++r) std::memcpy(row(first + r) + (column.offset + at) * 4, scratch + r * width, static_cast<size_t>(width) * 4);
  }
}

Shuffle::Shuffle(std::shared_ptr<Columns> columns, uint64_t seed, uint64_t epoch) : columns_(std::move(columns)), seed_(seed), epoch_(epoch) {
  columns_->order_.reserve(static_cast<size_t>(std::max<int64_t>(columns_->rows_, 1)) * 4);
  columns_->begin_use();
  ++columns_->shuffles_;
}

Shuffle::~Shuffle() {
  --columns_->shuffles_;
  columns_->end_use();
}

void Shuffle::execute() noexcept { shuffle_order(static_cast<int32_t*>(columns_->order_.data()), columns_->rows_, seed_, epoch_); }

void copy_ids(const int32_t* from, int32_t* to, int64_t count, int64_t limit, int64_t width, int64_t first_row, const std::string& what) {
  if (count == 0) return;
  std::memcpy(to, from, static_cast<size_t>(count) * 4);
  // One branch-free comparison per id, which the compiler vectorizes. Search for the wrong id only if there is one.
  const auto bound = static_cast<uint32_t>(limit);
  uint32_t wrong = 0;
  for (int64_t i = 0; i < count; ++i) wrong |= static_cast<uint32_t>(static_cast<uint32_t>(to[i]) >= bound);
  if (wrong == 0) return;
  for (int64_t i = 0; i < count; ++i) {
    if (static_cast<uint32_t>(to[i]) < bound) continue;
    throw Failure(Code::argument, text_of(what, ", row ", first_row + i / width, ": id is ", to[i], ", expected an id in [0, ", limit, ")"));
  }
}

}  // namespace multigate
