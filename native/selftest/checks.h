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

/// A step cut anywhere between two of its phases is the step in one run, bit for bit, whatever is read and written back in between.
void check_phases(Report& report, const std::string& what, const Program& program, const Place& place);

/// What is changed between two phases counts as it does for the reference: gradients twice as large, and rows of stored buffers.
void check_between(Report& report, const std::string& what, const Program& program, const Place& place, const Place& reference);

}  // namespace selftest
