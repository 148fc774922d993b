// Backend memory; see memory.h.
#include "engine/memory.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "engine/failure.h"
#include "engine/program.h"
#include "engine/registry.h"

namespace multigate {
namespace {

constexpr int64_t kChunk = 1 << 18;  // elements converted at a time: 2 MiB of doubles at most

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
  bump_version();  // before: a write that fails may have changed some elements
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

void Memory::initialize(int64_t offset, int64_t count, const Initializer& initializer, uint64_t seed, uint64_t stream) {
  check_range(offset, count);
  check_writable();
  const WeightStream draw(initializer, seed, stream);
  std::vector<double> chunk(static_cast<size_t>(std::min(count, kChunk)));
  for (int64_t done = 0; done < count; done += kChunk) {
    const int64_t part = std::min(kChunk, count - done);
    if (backend_.element == MG_F64) {
      for (int64_t i = 0; i < part; ++i) chunk[static_cast<size_t>(i)] = draw(static_cast<uint64_t>(done + i));
    } else {
      auto* floats = reinterpret_cast<float*>(chunk.data());
      for (int64_t i = 0; i < part; ++i) floats[i] = draw(static_cast<uint64_t>(done + i));
    }
    write_block(offset + done, chunk.data(), part);
  }
}

}  // namespace multigate
