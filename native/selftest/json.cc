#include "selftest/json.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace selftest {
namespace {

constexpr int kDeepest = 64;

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Json whole() {
    Json value = parse(0);
    space();
    if (at_ != text_.size()) fail("one value");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    throw JsonError("JSON: expected " + std::string(expected) + " at byte " + std::to_string(at_));
  }
  void space() {
    while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) && text_[at_] != 0) at_++;
  }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  bool word(const char* expected) {
    if (text_.compare(at_, std::strlen(expected), expected) != 0) return false;
    at_ += std::strlen(expected);
    return true;
  }

  Json parse(int depth) {
    if (depth > kDeepest) fail("no more than 64 levels");
    space();
    Json value;
    if (take('{')) {
      value.kind = Json::Kind::object;
      if (take('}')) return value;
      do {
        space();
        const std::string name = string();
        if (!take(':')) fail("':'");
        if (!value.members.emplace(name, parse(depth + 1)).second) fail("each name once");
      } while (take(','));
      if (!take('}')) fail("',' or '}'");
    } else if (take('[')) {
      value.kind = Json::Kind::array;
      if (take(']')) return value;
      do value.items.push_back(parse(depth + 1));
      while (take(','));
      if (!take(']')) fail("',' or ']'");
    } else if (at_ < text_.size() && text_[at_] == '"') {
      value.kind = Json::Kind::string;
      value.string = string();
    } else if (word("true") || word("false")) {
      value.kind = Json::Kind::boolean;
      value.truth = text_[at_ - 2] == 'u';
    } else if (!word("null")) {
      value.kind = Json::Kind::number;
      value.number = number();
    }
    return value;
  }

  double number() {
    const size_t from = at_;
    while (at_ < text_.size() && std::strchr("+-.eE0123456789", text_[at_]) && text_[at_] != 0) at_++;
    const std::string digits = text_.substr(from, at_ - from);
    char* end = nullptr;
    const double value = std::strtod(digits.c_str(), &end);
    if (digits.empty() || *end != 0 || !std::isfinite(value)) at_ = from, fail("a value");
    return value;
  }

  std::string string() {
    if (at_ >= text_.size() || text_[at_] != '"') fail("a string");
    at_++;
    std::string result;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) fail("no control character");
      if (text_[at_] != '\\') {
        result += text_[at_++];
        continue;
      }
      if (++at_ >= text_.size()) break;
      static const char* const from = "\"\\/bfnrt";
      static const char* const to = "\"\\/\b\f\n\r\t";
      const char* escape = std::strchr(from, text_[at_]);
      if (escape && text_[at_] != 0) {
        result += to[escape - from];
        at_++;
      } else if (text_[at_] == 'u' && at_ + 4 < text_.size()) {
        result += '?';  // only names and notes have such escapes, and none of our names needs one
        at_ += 5;
      } else {
        fail("an escape");
      }
    }
    if (at_ >= text_.size()) fail("the end of a string");
    at_++;
    return result;
  }

  const std::string& text_;
  size_t at_ = 0;
};

}  // namespace

Json Json::parse(const std::string& text) { return Parser(text).whole(); }

const Json& Json::at(const std::string& name) const {
  const auto found = members.find(name);
  if (found == members.end()) throw JsonError("JSON: expected a member '" + name + "'");
  return found->second;
}

int64_t Json::integer() const {
  if (kind != Kind::number || number < 0 || number > 9007199254740992.0 || number != std::floor(number))
    throw JsonError("JSON: expected an integer in [0, 2^53]");
  return static_cast<int64_t>(number);
}

}  // namespace selftest
