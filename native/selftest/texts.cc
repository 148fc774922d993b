#include "selftest/texts.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "engine/texts.h"
#include "selftest/random.h"

namespace selftest {
namespace {

const char32_t kAlphabet[] = {'a', 'b', 0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFF, 0x10000, 0x10FFFF};

std::u32string random_text(Random& random) {
  std::u32string text;
  // Shared beginnings, so that sorting has to look beyond the first bytes.
  if (random.chance(0.5)) text = U"the same beginning ";
  for (int64_t left = random.between(0, 4); left > 0; --left) text += kAlphabet[random.between(0, 12)];
  return text;
}

std::string utf8(const std::u32string& text) {
  std::string bytes;
  const auto put = [&](char32_t value) { bytes += static_cast<char>(value); };
  for (const char32_t c : text) {
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | c >> 6), put(0x80 | (c & 63));
    } else if (c < 0x10000) {
      put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    } else {
      put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    }
  }
  return bytes;
}

std::u16string utf16(const std::u32string& text) {
  std::u16string units;
  for (const char32_t c : text) {
    if (c >= 0x10000) units += static_cast<char16_t>(0xD800 + ((c - 0x10000) >> 10));
    units += static_cast<char16_t>(c < 0x10000 ? c : 0xDC00 + ((c - 0x10000) & 1023));
  }
  return units;
}

void check_order(Report& report, const multigate::Texts& texts, const std::vector<std::u16string>& units, const std::vector<double>& counts,
                 int64_t work) {
  std::vector<int32_t> numbers;
  for (size_t number = 0; number < units.size(); ++number)
    if (number % 5 != 0) numbers.push_back(static_cast<int32_t>(number));
  multigate::TextOrder order(texts, numbers.data(), static_cast<int64_t>(numbers.size()), counts.data());
  while (!order.advance(work)) {
  }
  std::vector<int32_t> got(numbers.size());
  order.write(got.data());
  std::sort(numbers.begin(), numbers.end(), [&](int32_t a, int32_t b) {
    const auto [left, right] = std::pair{static_cast<size_t>(a), static_cast<size_t>(b)};
    return counts[left] != counts[right] ? counts[left] > counts[right] : units[left] < units[right];
  });
  report.check(got == numbers, "texts sort by count and UTF-16 code units, " + std::to_string(work) + " at a time", "other order");
}

}  // namespace

void check_texts(Report& report) {
  Random random(7);
  multigate::Texts texts;
  std::map<std::string, int64_t> known;
  std::vector<std::u16string> units;
  std::vector<double> counts;
  bool same = true;
  for (int round = 0; round < 60000; ++round) {
    const std::u32string text = random_text(random);
    const std::string bytes = utf8(text);
    const auto [place, added] = known.try_emplace(bytes, static_cast<int64_t>(known.size()));
    if (added) units.push_back(utf16(text)), counts.push_back(static_cast<double>(random.between(1, 3)));
    same = same && (added ? texts.index_of(bytes) == -1 : texts.index_of(bytes) == place->second) && texts.add(bytes) == place->second &&
           texts.at(place->second) == bytes && multigate::utf8_prefix(bytes) == bytes.size();
  }
  report.check(same && texts.size() == static_cast<int64_t>(known.size()), "texts have the numbers of a map", "other numbers");
  for (const int64_t work : {1, 7, 1000, 1 << 20}) check_order(report, texts, units, counts, work);
  for (const char* wrong : {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5", "\xE2\x82", "\xFF"})
    report.check(multigate::utf8_prefix(std::string("a") + wrong) == 1, "bytes that are not UTF-8 are found", wrong);
}

}  // namespace selftest
