// Checks of a plan that has run before: a step allocates nothing, and waiting helpers sleep.
#pragma once
#include <string>

#include "selftest/report.h"

namespace selftest {

/// Runs steps of the programs of a file (bench/gpu/programs.json; see read_workloads) with few rows: from a shuffled data set as in training, and
/// from the caller's arrays as in prediction. Also checks that the process then uses no processor time.
/// @throws JsonError, SafetensorsError, multigate::Failure.
void check_steady(Report& report, const std::string& programs, const std::string& only);

}  // namespace selftest
