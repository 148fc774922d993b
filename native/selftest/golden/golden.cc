#include "selftest/golden/golden.h"

#include <algorithm>

namespace selftest {

const Tensor& GoldenCase::at(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw SafetensorsError(id() + ": no tensor " + name);
  return found->second;
}

std::vector<float> GoldenCase::floats(const std::string& name) const {
  const auto& values = at(name).values;
  return {values.begin(), values.end()};
}

double GoldenCase::tolerance(const Place& place, const char* of) const {
  if (place.backend->element == MG_F64) return 1e-9;
  const double missed = entry.has("f32_torch_rel") ? entry.at("f32_torch_rel").at(of).number : 0;
  return std::max(1e-5, 10 * missed);
}

void check_golden(Report& report, const std::string& folder, const std::vector<Place>& places) {
  using Check = void (*)(Report&, const GoldenCase&, const std::vector<Place>&);
  const std::map<std::string, Check> checks = {
      {"mmoe", check_layer},          {"cgc", check_layer},   {"ple", check_layer},
      {"embedding", check_embedding}, {"loss", check_losses}, {"multiclass_loss", check_multiclass},
      {"esmm_loss", check_funnel},
  };
  const Json index = Json::parse(read_file(folder + "/index.json"));
  for (const Json& entry : index.at("cases").items) {
    const std::string kind = entry.at("kind").string;
    const auto check = checks.find(kind);
    if (check == checks.end()) {
      report.skip(entry.at("id").string, "cases of kind " + kind + " need more than ops");
      continue;
    }
    const GoldenCase golden{entry, parse_safetensors(read_file(folder + "/" + entry.at("file").string))};
    check->second(report, golden, places);
  }
}

}  // namespace selftest
