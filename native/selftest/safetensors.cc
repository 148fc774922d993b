#include "selftest/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>

#include "selftest/json.h"

namespace selftest {
namespace {

size_t size_of(const std::string& dtype) {
  if (dtype == "F64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  throw SafetensorsError("dtype: expected F64, F32 or I32, found " + dtype);
}

template <class T>
void convert(const char* from, size_t count, std::vector<double>& to) {
  for (size_t i = 0; i < count; i++) {
    T value;
    std::memcpy(&value, from + i * sizeof(T), sizeof(T));
    to.push_back(static_cast<double>(value));
  }
}

Tensor read_tensor(const Json& entry, const char* data, size_t size, size_t& begin, size_t& end) {
  Tensor tensor;
  tensor.dtype = entry.at("dtype").string;
  const size_t element = size_of(tensor.dtype);
  uint64_t count = 1;
  for (const Json& item : entry.at("shape").items) {
    const int64_t length = item.integer();
    tensor.shape.push_back(length);
    if (length != 0 && count > size / static_cast<uint64_t>(length)) throw SafetensorsError("shape: more elements than bytes");
    count *= static_cast<uint64_t>(length);
  }
  const auto& offsets = entry.at("data_offsets").items;
  if (offsets.size() != 2) throw SafetensorsError("data_offsets: expected two");
  begin = static_cast<size_t>(offsets[0].integer()), end = static_cast<size_t>(offsets[1].integer());
  if (begin > end || end > size) throw SafetensorsError("data_offsets: outside the file");
  if (end - begin != count * element) throw SafetensorsError("data_offsets: not the size of the shape");
  if (tensor.dtype == "F64") convert<double>(data + begin, count, tensor.values);
  if (tensor.dtype == "F32") convert<float>(data + begin, count, tensor.values);
  if (tensor.dtype == "I32") convert<int32_t>(data + begin, count, tensor.values);
  return tensor;
}

}  // namespace

std::map<std::string, Tensor> parse_safetensors(const std::string& bytes) {
  uint64_t header = 0;
  if (bytes.size() < 8) throw SafetensorsError("shorter than its length field");
  for (int i = 0; i < 8; i++) header |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[static_cast<size_t>(i)])) << 8 * i;
  if (header > bytes.size() - 8) throw SafetensorsError("header: longer than the file");
  const size_t start = 8 + static_cast<size_t>(header), size = bytes.size() - start;
  const Json json = Json::parse(bytes.substr(8, static_cast<size_t>(header)));
  if (json.kind != Json::Kind::object) throw SafetensorsError("header: expected an object");
  std::map<std::string, Tensor> tensors;
  std::vector<std::pair<size_t, size_t>> ranges;
  for (const auto& [name, entry] : json.members) {
    if (name == "__metadata__") continue;
    size_t begin = 0, end = 0;
    tensors.emplace(name, read_tensor(entry, bytes.data() + start, size, begin, end));
    if (begin != end) ranges.emplace_back(begin, end);
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); i++)
    if (ranges[i].first < ranges[i - 1].second) throw SafetensorsError("data_offsets: two tensors overlap");
  return tensors;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw SafetensorsError(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace selftest
