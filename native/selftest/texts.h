// Checks of the index of texts against the standard library.
#pragma once
#include "selftest/report.h"

namespace selftest {

void check_texts(Report& report);

}  // namespace selftest
