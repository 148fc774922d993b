// Files and programs that are damaged or made to do harm: they are refused.
#pragma once
#include "selftest/report.h"

namespace selftest {

void check_hostile_files(Report& report);
void check_hostile_programs(Report& report, const std::vector<Place>& places);

}  // namespace selftest
