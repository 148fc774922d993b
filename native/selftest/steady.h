// What holds between and during steps of a plan that has run before: a step allocates nothing, and helpers that wait sleep.
#pragma once
#include <string>

#include "selftest/report.h"

namespace selftest {

/// Steps of the programs of a file (bench/gpu/programs.json; see read_workloads), of few rows: from a data set in shuffled order as training runs
/// them, and from the caller's arrays as a prediction does. And that the process then takes no processor time.
/// @throws JsonError, SafetensorsError, multigate::Failure.
void check_steady(Report& report, const std::string& programs, const std::string& only);

}  // namespace selftest
