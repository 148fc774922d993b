// What every random case must hold.
#pragma once
#include "selftest/report.h"

namespace selftest {

/// A kernel's results are the reference's.
void check_parity(Report& report, const std::string& what, const Program& program, const Place& place, const Result& reference);

/// Any number of threads gives the same bits, and so do rows whose inputs lie side by side, in place and picked by row_index.
void check_bits(Report& report, const std::string& what, const Program& program, const Place& place);

/// The reference's gradients are those of its outputs, by finite differences.
void check_gradients(Report& report, const std::string& what, const Program& program, const Place& reference);

}  // namespace selftest
