// Backend memory; see memory.h.
#include "engine/memory.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <utility>
#include <vector>

#include "engine/failure.h"
#include "engine/program.h"
#include "engine/registry.h"

namespace multigate {
namespace {

constexpr int64_t kChunk = 1 << 15;  // elements converted or drawn at a time: at most 256 KiB of doubles, which stay in the cache

template <class From, class To>
void convert(const From* from, To* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i]);
}

}  // namespace

Memory::Memory(const mg_backend& backend, int64_t elements) : backend_(backend), elements_(elements) {
  if (elements < 1 || elements > kMaxElements) {
    throw Failure(Code::argument, text_of("elements is ", elements, ", expected 1 to ", kMaxElements));
  }
  if (is_host_backend(backend)) check_host_bytes(static_cast<double>(elements) * static_cast<double>(element_bytes(backend)));
  void* data = nullptr;
  mg_error error{};
  check_status(backend.allocate(elements, &data, &error), error, Code::argument);
  if (data == nullptr) throw Failure(Code::internal, "the backend allocated nothing");
  block_ = std::shared_ptr<void>(data, [release = backend.release](void* block) { release(block); });
  bump_version();
}

void Memory::bump_version() noexcept {
  static std::atomic<uint64_t> last{0};
  version_ = ++last;
}

void Memory::end_use(bool writes) noexcept {
  --(writes ? writer_ : readers_);
  if (writes) bump_version();
}

void Memory::check_live() const {
  if (disposed()) throw Failure(Code::disposed, "this memory was disposed");
}

void Memory::check_writable() const {
  check_live();
  if (!can_use(true)) throw Failure(Code::busy, "this memory is in use by a plan that is running; wait for the run to end");
}

void Memory::check_range(int64_t offset, int64_t count) const {
  check_live();
  if (offset < 0 || count < 0 || offset > elements_ || count > elements_ - offset) {
    throw Failure(Code::argument, text_of("the range is [", offset, ", ", offset, " + ", count, "), expected one inside [0, ", elements_, ")"));
  }
}

void Memory::write_block(int64_t offset, const void* values, int64_t count) {
  if (count == 0) return;
  bump_version();  // before the write: a failed write may have changed some elements
  mg_error error{};
  check_status(backend_.write(block_.get(), offset, values, count, &error), error, Code::argument);
}

void Memory::write(int64_t offset, const void* values, int64_t count) {
  check_range(offset, count);
  check_writable();
  write_block(offset, values, count);
}

void Memory::write_converted(int64_t offset, const void* values, bool doubles, int64_t count) {
  if (doubles == (backend_.element == MG_F64)) return write(offset, values, count);
  check_range(offset, count);
  check_writable();
  std::vector<double> chunk(static_cast<size_t>(std::min(count, kChunk)));
  for (int64_t done = 0; done < count; done += kChunk) {
    const int64_t part = std::min(kChunk, count - done);
    if (doubles) {
      convert(static_cast<const double*>(values) + done, reinterpret_cast<float*>(chunk.data()), part);
    } else {
      convert(static_cast<const float*>(values) + done, chunk.data(), part);
    }
    write_block(offset + done, chunk.data(), part);
  }
}

void Memory::read(int64_t offset, void* values, int64_t count) const {
  check_range(offset, count);
  if (!can_use(false)) throw Failure(Code::busy, "this memory is being written by a plan that is running; wait for the run to end");
  if (count == 0) return;
  mg_error error{};
  check_status(backend_.read(block_.get(), offset, values, count, &error), error, Code::argument);
}

void Memory::initialize(int64_t offset, int64_t count, const WeightStream& weights) {
  check_range(offset, count);
  check_writable();
  bump_version();
  draw(block_.get(), offset, count, weights, 0);
}

void Memory::draw(void* block, int64_t offset, int64_t count, const WeightStream& weights, int64_t first) const {
  const bool doubles = backend_.element == MG_F64;
  std::vector<double> chunk(static_cast<size_t>(std::min(count, kChunk)));
  auto* floats = reinterpret_cast<float*>(chunk.data());
  for (int64_t done = 0; done < count; done += kChunk) {
    const int64_t part = std::min(kChunk, count - done);
    for (int64_t i = 0; i < part; ++i) {
      const float weight = weights(static_cast<uint64_t>(first + done + i));
      if (doubles)
        chunk[static_cast<size_t>(i)] = weight;
      else
        floats[i] = weight;
    }
    mg_error error{};
    check_status(backend_.write(block, offset + done, chunk.data(), part, &error), error, Code::argument);
  }
}

Drawing::Drawing(std::shared_ptr<Memory> memory, const Range& range, const WeightStream& weights, int threads)
    : memory_(std::move(memory)), range_(range), weights_(weights), threads_(threads) {
  memory_->check_range(range.offset, range.count);
  block_ = memory_->block();
  memory_->begin_use(true);
}

Drawing::~Drawing() { memory_->end_use(true); }

void Drawing::draw_part(int64_t part, int64_t parts) {
  const int64_t begin = range_.count * part / parts, end = range_.count * (part + 1) / parts;
  memory_->draw(block_.get(), range_.offset + begin, end - begin, weights_, range_.first + begin);
}

void Drawing::execute() {
  const int64_t parts = std::clamp<int64_t>(range_.count / kChunk, 1, threads_);
  std::vector<std::future<void>> others;
  others.reserve(static_cast<size_t>(parts));
  for (int64_t part = 1; part < parts; ++part) {
    // If no thread can start, this thread draws the part below.
    others.push_back(std::async(std::launch::async | std::launch::deferred, [this, part, parts] { draw_part(part, parts); }));
  }
  draw_part(0, parts);
  for (std::future<void>& other : others) other.get();
}

}  // namespace multigate
