// Golden cases: float64 truth for layers, embeddings and losses, from a folder of safetensors with an index.json.
#pragma once
#include <map>

#include "selftest/json.h"
#include "selftest/report.h"
#include "selftest/safetensors.h"

namespace selftest {

struct GoldenCase {
  Json entry;
  std::map<std::string, Tensor> tensors;

  std::string id() const { return entry.at("id").string; }
  const Tensor& at(const std::string& name) const;
  bool has(const std::string& name) const { return tensors.count(name) > 0; }
  std::vector<float> floats(const std::string& name) const;
  int64_t rows() const { return entry.at("B").integer(); }
  /// A place's tolerance: 1e-9 for the reference, else 1e-5 or ten times the error of float32 PyTorch.
  double tolerance(const Place& place, const char* of) const;
};

/// Runs every case that the ops can express at every place. @throws if the folder cannot be read.
void check_golden(Report& report, const std::string& folder, const std::vector<Place>& places);

void check_layer(Report& report, const GoldenCase& golden, const std::vector<Place>& places);
void check_embedding(Report& report, const GoldenCase& golden, const std::vector<Place>& places);
void check_losses(Report& report, const GoldenCase& golden, const std::vector<Place>& places);
void check_multiclass(Report& report, const GoldenCase& golden, const std::vector<Place>& places);
void check_funnel(Report& report, const GoldenCase& golden, const std::vector<Place>& places);

}  // namespace selftest
