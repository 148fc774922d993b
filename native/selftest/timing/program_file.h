// Reads programs from JSON, as bench/gpu/programs.mjs writes them, and fills them with random data.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/program.h"

namespace selftest {

struct Workload {
  std::string name, mode;
  int64_t rows = 0;
  double flops = 0;  // 0: not counted
  double bytes = 0;
  multigate::Program program;  // validated
  multigate::ProgramFacts facts;
  std::vector<double> scalars;
};

/// The workloads that `only` names, comma separated; empty: all.
/// @throws JsonError, SafetensorsError (the file cannot be read), multigate::Failure if a program is not valid.
std::vector<std::unique_ptr<Workload>> read_workloads(const std::string& path, const std::string& only);

}  // namespace selftest
