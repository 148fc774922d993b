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

uint64_t next_number() noexcept {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

Columns::Columns(int64_t rows) : number_(next_number()), rows_(rows) {
  if (rows < 0 || rows > kMaxRows) throw Failure(Code::argument, text_of("rows is ", rows, ", expected 0 to ", kMaxRows));
}

Columns::~Columns() { forget_data_set(number_); }

void Columns::add(int32_t dtype, int64_t width, int64_t limit, const void* values) {
  const int64_t count = rows_ * width;
  Column column{dtype, width, limit, true, {}};
  void* data = column.data.reserve(static_cast<size_t>(count > 0 ? count : 1) * 4);
  if (dtype == MG_I32) {
    copy_ids(static_cast<const int32_t*>(values), static_cast<int32_t*>(data), count, limit, width,
             text_of("column ", columns_.size()));
  } else if (count > 0) {
    std::memcpy(data, values, static_cast<size_t>(count) * 4);
    const auto* floats = static_cast<const float*>(data);
    column.complete = std::none_of(floats, floats + count, [](float value) { return std::isnan(value); });
  }
  bytes_ += count * 4;
  columns_.push_back(std::move(column));
}

void Columns::shuffle(uint64_t seed, uint64_t epoch) {
  if (users_ > 0) throw Failure(Code::busy, "these columns are in use by a plan that is running; wait for the run to end");
  shuffle_order(static_cast<int32_t*>(order_.reserve(static_cast<size_t>(rows_ > 0 ? rows_ : 1) * 4)), rows_, seed, epoch);
}

void copy_ids(const int32_t* from, int32_t* to, int64_t count, int64_t limit, int64_t width, const std::string& what) {
  if (count == 0) return;
  std::memcpy(to, from, static_cast<size_t>(count) * 4);
  // One comparison without a branch per id, which the compiler makes SIMD; the culprit is looked for only if there is one.
  const auto bound = static_cast<uint32_t>(limit);
  uint32_t wrong = 0;
  for (int64_t i = 0; i < count; ++i) wrong |= static_cast<uint32_t>(static_cast<uint32_t>(to[i]) >= bound);
  if (wrong == 0) return;
  for (int64_t i = 0; i < count; ++i) {
    if (static_cast<uint32_t>(to[i]) < bound) continue;
    throw Failure(Code::argument, text_of(what, ", row ", i / width, ": id is ", to[i], ", expected an id in [0, ", limit, ")"));
  }
}

}  // namespace multigate
