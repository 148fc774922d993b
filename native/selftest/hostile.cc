#include "selftest/hostile.h"

#include "selftest/json.h"
#include "selftest/random.h"
#include "selftest/safetensors.h"

namespace selftest {
namespace {

std::string file(const std::string& header, const std::string& data, uint64_t length) {
  std::string bytes(8, 0);
  for (int i = 0; i < 8; i++) bytes[static_cast<size_t>(i)] = static_cast<char>(length >> 8 * i);
  return bytes + header + data;
}

std::string file(const std::string& header, const std::string& data) { return file(header, data, header.size()); }

bool is_refused(const std::string& bytes) {
  try {
    parse_safetensors(bytes);
    return false;
  } catch (const SafetensorsError&) {
    return true;
  } catch (const JsonError&) {
    return true;
  }
}

}  // namespace

void check_hostile_files(Report& report) {
  const std::string data(16, '\1');
  const std::string good = R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
  report.check(!is_refused(file(good, data)), "safetensors: a good file", "refused");
  const std::pair<const char*, std::string> wrong[] = {
      {"empty", ""},
      {"shorter than its length field", std::string(7, '\0')},
      {"a header longer than the file", file(good, data, ~uint64_t{0})},
      {"a header cut off", file(good, "").substr(0, 20)},
      {"no JSON", file("{", data)},
      {"JSON too deep", file(std::string(100000, '['), data)},
      {"a name twice", file(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{}})", data)},
      {"an unknown dtype", file(R"({"a":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}})", data)},
      {"offsets outside", file(R"({"a":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}})", data)},
      {"offsets reversed", file(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[8,4]}})", data)},
      {"a negative offset", file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", data)},
      {"a shape of more bytes", file(R"({"a":{"dtype":"F32","shape":[8],"data_offsets":[0,16]}})", data)},
      {"a shape that overflows", file(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", data)},
      {"tensors that overlap",
       file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", data)},
      {"no object", file("[]", data)},
  };
  for (const auto& [name, bytes] : wrong) report.check(is_refused(bytes), std::string("safetensors: ") + name, "accepted");
  // With any byte changed the result is tensors or an error, and sanitizers find nothing.
  Random random(5);
  for (int i = 0; i < 2000; i++) {
    std::string bytes = file(good, data);
    bytes[static_cast<size_t>(random.between(0, static_cast<int64_t>(bytes.size()) - 1))] = static_cast<char>(random.bits());
    is_refused(bytes);
  }
}

}  // namespace selftest
