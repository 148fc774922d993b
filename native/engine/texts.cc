// Distinct texts; see texts.h.
#include "engine/texts.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "engine/failure.h"

namespace multigate {
namespace {

constexpr int64_t kMostTexts = INT32_MAX - 1;
constexpr size_t kBlockBytes = size_t{1} << 18;
constexpr size_t kFirstSlots = 16;
/// An empty text may come with a null pointer.
constexpr std::string_view kEmpty = "";

/// Differs from process to process, so that no data can be made to collide. No result depends on it.
uint64_t seed() {
  static const uint64_t value = [] {
    std::random_device random;
    return (static_cast<uint64_t>(random()) << 32) | random();
  }();
  return value;
}

uint64_t mixed(uint64_t a) noexcept {
  a ^= a >> 32;
  a *= 0x9fb21c651e98df25ULL;
  a ^= a >> 29;
  return a;
}

uint64_t word_at(const char* data, size_t length) noexcept {
  uint64_t word = 0;
  std::memcpy(&word, data, length);
  return word;
}

uint32_t hash_of(std::string_view text) noexcept {
  uint64_t hash = seed() ^ (text.size() * 0xd6e8feb86659fd93ULL);
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) hash = mixed(hash ^ word_at(text.data() + at, 8)) * 0xa0761d6478bd642fULL;
  return static_cast<uint32_t>(mixed(mixed(hash ^ word_at(text.data() + at, text.size() - at))) >> 32);
}

/// Orders lead bytes as UTF-16 orders their characters: those beyond 16 bits (F0 to F4) come before U+E000 to U+FFFF (EE and EF).
uint8_t rank_of(char byte) noexcept {
  const auto value = static_cast<uint8_t>(byte);
  if (value >= 0xF0) return static_cast<uint8_t>(value - 2);
  return value >= 0xEE ? static_cast<uint8_t>(value + 5) : value;
}

uint64_t start_of(std::string_view text) noexcept {
  uint64_t start = 0;
  for (size_t at = 0; at < 8; ++at) start = (start << 8) | (at < text.size() ? rank_of(text[at]) : 0);
  return start;
}

bool text_less(std::string_view a, std::string_view b) noexcept {
  const size_t shared = std::min(a.size(), b.size());
  const auto [left, right] = std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shared), b.begin());
  if (left == a.begin() + static_cast<std::ptrdiff_t>(shared)) return a.size() < b.size();
  return rank_of(*left) < rank_of(*right);
}

}  // namespace

std::string_view Texts::at(int64_t number) const {
  if (number < 0 || number >= size_) throw Failure(Code::argument, text_of("number is ", number, ", expected 0 to ", size_ - 1));
  const Entry& found = entry(number);
  return {found.data, found.length};
}

int64_t Texts::index_of(std::string_view text) const noexcept {
  if (text.empty()) text = kEmpty;
  return find(text, hash_of(text));
}

int64_t Texts::find(std::string_view text, uint32_t hash) const noexcept {
  const Part& part = part_of(hash);
  if (part.used == 0) return -1;
  const size_t mask = part.slots.size() - 1;
  for (size_t slot = slot_of(hash) & mask;; slot = (slot + 1) & mask) {
    const uint32_t number = part.slots[slot];
    if (number == 0) return -1;
    const Entry& found = entry(number - 1);
    if (found.hash == hash && found.length == text.size() && std::memcmp(found.data, text.data(), text.size()) == 0) return number - 1;
  }
}

int64_t Texts::add(std::string_view text) {
  if (text.empty()) text = kEmpty;
  return add(text, hash_of(text));
}

void Texts::add_from(const Texts& other, int64_t number) {
  const std::string_view text = other.at(number);
  add(text, other.entry(number).hash);
}

int64_t Texts::add(std::string_view text, uint32_t hash) {
  const int64_t known = find(text, hash);
  if (known >= 0) return known;
  if (size_ >= kMostTexts) throw Failure(Code::out_of_memory, text_of("found more than ", kMostTexts, " distinct texts"));
  Part& part = part_of(hash);
  if (2 * (part.used + 1) > part.slots.size()) grow(part);
  if (static_cast<int64_t>(entries_.size()) * kEntriesPerBlock == size_) {
    entries_.push_back(std::make_unique<Entry[]>(kEntriesPerBlock));
    bytes_ += static_cast<int64_t>(sizeof(Entry)) * kEntriesPerBlock;
  }
  char* const data = room_for(text.size());
  std::memcpy(data, text.data(), text.size());
  entries_.back()[size_ % kEntriesPerBlock] = {data, static_cast<uint32_t>(text.size()), hash};
  put(part.slots, static_cast<uint32_t>(size_ + 1), hash);
  ++part.used;
  return size_++;
}

void Texts::put(std::vector<uint32_t>& slots, uint32_t number, uint32_t hash) noexcept {
  const size_t mask = slots.size() - 1;
  size_t slot = slot_of(hash) & mask;
  while (slots[slot] != 0) slot = (slot + 1) & mask;
  slots[slot] = number;
}

void Texts::grow(Part& part) {
  std::vector<uint32_t> slots(std::max(kFirstSlots, 2 * part.slots.size()));
  for (const uint32_t number : part.slots) {
    if (number != 0) put(slots, number, entry(number - 1).hash);
  }
  bytes_ += static_cast<int64_t>(4 * (slots.size() - part.slots.size()));
  part.slots = std::move(slots);
}

char* Texts::room_for(size_t length) {
  if (length > left_ || free_ == nullptr) {
    const size_t bytes = std::max(length, kBlockBytes);
    blocks_.push_back(std::make_unique<char[]>(bytes));
    bytes_ += static_cast<int64_t>(bytes);
    free_ = blocks_.back().get();
    left_ = bytes;
  }
  char* const room = free_;
  free_ += length;
  left_ -= length;
  return room;
}

TextOrder::TextOrder(const Texts& texts, const int32_t* numbers, int64_t length, const double* counts) : texts_(texts) {
  items_.reserve(static_cast<size_t>(length));
  for (int64_t at = 0; at < length; ++at) {
    const int32_t number = numbers[at];
    const uint64_t start = start_of(texts.at(number));
    const double count = counts[number];
    items_.push_back({start, count > 0 ? static_cast<uint32_t>(std::min(count, 4294967295.0)) : 0, static_cast<uint32_t>(number)});
  }
  merged_.resize(items_.size());
}

bool TextOrder::less(const Item& a, const Item& b) const noexcept {
  if (a.count != b.count) return a.count > b.count;
  if (a.start != b.start) return a.start < b.start;
  return a.number != b.number && text_less(texts_.at(a.number), texts_.at(b.number));
}

bool TextOrder::advance(int64_t work) {
  constexpr size_t kRun = 1024;
  const size_t length = items_.size();
  const auto before = [this](const Item& a, const Item& b) { return less(a, b); };
  while (width_ == 0) {
    if (work <= 0) return false;
    const size_t end = std::min(start_ + kRun, length);
    std::sort(items_.begin() + static_cast<std::ptrdiff_t>(start_), items_.begin() + static_cast<std::ptrdiff_t>(end), before);
    work -= 8 * static_cast<int64_t>(kRun);
    start_ = end;
    if (start_ < length) continue;
    width_ = kRun;
    start_ = left_ = 0;
    right_ = std::min(width_, length);
  }
  while (width_ < length) {
    const size_t middle = std::min(start_ + width_, length);
    const size_t end = std::min(start_ + 2 * width_, length);
    for (size_t at = left_ + right_ - middle; at < end; ++at) {
      if (work-- <= 0) return false;
      const bool take_left = right_ >= end || (left_ < middle && !less(items_[right_], items_[left_]));
      merged_[at] = items_[take_left ? left_++ : right_++];
    }
    start_ = end;
    if (start_ >= length) {
      items_.swap(merged_);
      width_ *= 2;
      start_ = 0;
    }
    left_ = start_;
    right_ = std::min(start_ + width_, length);
  }
  return true;
}

void TextOrder::write(int32_t* numbers) const noexcept {
  for (const Item& item : items_) *numbers++ = static_cast<int32_t>(item.number);
}

size_t utf8_prefix(std::string_view bytes) noexcept {
  const auto byte = [&](size_t at) { return at < bytes.size() ? static_cast<uint8_t>(bytes[at]) : 0; };
  size_t at = 0;
  while (at < bytes.size()) {
    const uint8_t lead = byte(at);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    // The second byte tells overlong forms, halves of surrogate pairs and values beyond U+10FFFF from characters.
    const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead < 0xC2 || lead > 0xF4 || byte(at + 1) < low || byte(at + 1) > high) return at;
    for (size_t next = 2; next < length; ++next) {
      if (byte(at + next) < 0x80 || byte(at + next) > 0xBF) return at;
    }
    at += length;
  }
  return at;
}

}  // namespace multigate
