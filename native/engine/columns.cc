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

constexpr int64_t kRowsAtOnce = 256;

uint64_t next_number() noexcept {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

Columns::Columns(int64_t rows, std::vector<Column> columns) : number_(next_number()), rows_(rows), columns_(std::move(columns)) {
  if (rows < 0 || rows > kMaxRows) throw Failure(Code::argument, text_of("rows is ", rows, ", expected 0 to ", kMaxRows));
  int64_t widest = 1;
  for (Column& column : columns_) {
    column.offset = stride_;
    stride_ += column.width;
    widest = std::max(widest, column.width);
  }
  values_.reserve(static_cast<size_t>(std::max<int64_t>(bytes(), 1)));
  // Some rows of all columns at a time, so that what is written lies in the cache.
  std::vector<int32_t> some(static_cast<size_t>(kRowsAtOnce * widest));
  for (int64_t first = 0; first < rows; first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, rows - first);
    for (size_t k = 0; k < columns_.size(); ++k) copy_rows(k, first, count, some.data());
  }
  for (Column& column : columns_) column.values = nullptr;
}

Columns::~Columns() { forget_data_set(number_); }

void Columns::copy_rows(size_t number, int64_t first, int64_t rows, int32_t* scratch) {
  Column& column = columns_[number];
  const int64_t width = column.width, count = rows * width;
  const auto* from = static_cast<const int32_t*>(column.values) + first * width;
  if (column.dtype == MG_I32) {
    copy_ids(from, scratch, count, column.limit, width, first, text_of("column ", number));
  } else {
    std::memcpy(scratch, from, static_cast<size_t>(count) * 4);
    const auto* floats = reinterpret_cast<const float*>(scratch);
    if (column.complete) column.complete = std::none_of(floats, floats + count, [](float value) { return std::isnan(value); });
  }
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(row(first + r) + column.offset * 4, scratch + r * width, static_cast<size_t>(width) * 4);
}

void Columns::shuffle(uint64_t seed, uint64_t epoch) {
  if (users_ > 0) throw Failure(Code::busy, "these columns are in use by a plan that is running; wait for the run to end");
  shuffle_order(static_cast<int32_t*>(order_.reserve(static_cast<size_t>(rows_ > 0 ? rows_ : 1) * 4)), rows_, seed, epoch);
}

void copy_ids(const int32_t* from, int32_t* to, int64_t count, int64_t limit, int64_t width, int64_t first_row, const std::string& what) {
  if (count == 0) return;
  std::memcpy(to, from, static_cast<size_t>(count) * 4);
  // One comparison without a branch per id, which the compiler makes SIMD; the culprit is looked for only if there is one.
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
