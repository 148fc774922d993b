// Checks that damaged or malicious files and programs are refused.
#pragma once
#include "selftest/report.h"

namespace selftest {

/// One training step with every op that keeps, updates or adds up values.
Program good_program();

void check_hostile_files(Report& report);
void check_hostile_programs(Report& report, const std::vector<Place>& places);

}  // namespace selftest
