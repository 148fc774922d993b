// Distinct texts, numbered in order of first appearance: the vocabularies of features. Texts are UTF-8 in blocks that never move. Their
// hash table is cut into parts that grow one at a time, so that no single text waits for a move of all others.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace multigate {

class Texts {
 public:
  Texts() = default;
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;

  int64_t size() const noexcept { return size_; }
  /// Memory for texts, entries and the hash table.
  int64_t bytes() const noexcept { return bytes_; }
  /// @throws Failure (argument) unless 0 <= number < size().
  std::string_view at(int64_t number) const;
  /// The number of a text, or -1.
  int64_t index_of(std::string_view text) const noexcept;
  /// The number of a text. A new text gets a new number. @throws Failure (out_of_memory) for the 2^31 - 1st text.
  int64_t add(std::string_view text);
  /// Adds a text of another index. @throws as `at` and `add`.
  void add_from(const Texts& other, int64_t number);

 private:
  struct Entry {
    const char* data;
    uint32_t length;
    uint32_t hash;
  };
  /// An open-addressing table of numbers plus one; 0 is free.
  struct Part {
    std::vector<uint32_t> slots;
    uint32_t used = 0;
  };
  static constexpr int kParts = 256;
  static constexpr int kEntriesPerBlock = 1 << 14;

  const Entry& entry(int64_t number) const noexcept { return entries_[number / kEntriesPerBlock][number % kEntriesPerBlock]; }
  Part& part_of(uint32_t hash) noexcept { return parts_[hash % kParts]; }
  const Part& part_of(uint32_t hash) const noexcept { return parts_[hash % kParts]; }
  static size_t slot_of(uint32_t hash) noexcept { return hash / kParts; }
  int64_t find(std::string_view text, uint32_t hash) const noexcept;
  int64_t add(std::string_view text, uint32_t hash);
  static void put(std::vector<uint32_t>& slots, uint32_t number, uint32_t hash) noexcept;
  void grow(Part& part);
  char* room_for(size_t length);

  int64_t size_ = 0;
  int64_t bytes_ = 0;
  std::vector<std::unique_ptr<Entry[]>> entries_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;  // of the last block
  size_t left_ = 0;
  Part parts_[kParts];
};

/// Sorts numbers of texts by count, the largest first, and among equal counts by text, in the order of UTF-16 code units as JavaScript
/// compares. Works in parts: a merge sort that can pause at any element.
class TextOrder {
 public:
  /// @param counts of every text, by number. @throws Failure (argument) for a number that no text has.
  TextOrder(const Texts& texts, const int32_t* numbers, int64_t length, const double* counts);

  int64_t length() const noexcept { return static_cast<int64_t>(items_.size()); }
  /// Goes on with at most about `work` elements. @returns whether all is sorted.
  bool advance(int64_t work);
  /// The sorted numbers. Only after `advance` has returned true.
  void write(int32_t* numbers) const noexcept;

 private:
  struct Item {
    uint64_t start;  // the first eight bytes: they decide most comparisons without a look at the text
    uint32_t count;
    uint32_t number;
  };

  bool less(const Item& a, const Item& b) const noexcept;

  const Texts& texts_;
  std::vector<Item> items_, merged_;
  size_t width_ = 0;  // of sorted runs; 0: sorting the first runs
  size_t start_ = 0;  // of the runs in work
  size_t left_ = 0, right_ = 0;
};

/// The number of bytes at the front that are UTF-8, up to all of them.
size_t utf8_prefix(std::string_view bytes) noexcept;

}  // namespace multigate
