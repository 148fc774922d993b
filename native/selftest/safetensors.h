// Reads safetensors files: F64, F32 and I32 tensors. Strict: any bytes give tensors or an error.
#pragma once
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace selftest {

struct SafetensorsError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Tensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<double> values;  // F32 and I32 are exact in double
};

/// @throws SafetensorsError or JsonError that says what is wrong with the bytes.
std::map<std::string, Tensor> parse_safetensors(const std::string& bytes);

/// @throws SafetensorsError if the file cannot be read.
std::string read_file(const std::string& path);

}  // namespace selftest
