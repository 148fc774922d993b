// The little JSON that safetensors headers and the index of golden cases need. Strict; depth and size are bounded.
#pragma once
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace selftest {

struct JsonError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Json {
  enum class Kind { null, boolean, number, string, array, object } kind = Kind::null;
  bool truth = false;
  double number = 0;
  std::string string;
  std::vector<Json> items;
  std::map<std::string, Json> members;

  /// @throws JsonError if the text is not one JSON value, or names a member twice.
  static Json parse(const std::string& text);

  bool has(const std::string& name) const { return members.count(name) > 0; }
  /// @throws JsonError if there is no such member.
  const Json& at(const std::string& name) const;
  /// @throws JsonError if it is no integer in [0, 2^53].
  int64_t integer() const;
};

}  // namespace selftest
