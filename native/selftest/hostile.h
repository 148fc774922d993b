// Files that are damaged or made to do harm: the reader refuses them.
#pragma once
#include "selftest/report.h"

namespace selftest {

void check_hostile_files(Report& report);

}  // namespace selftest
