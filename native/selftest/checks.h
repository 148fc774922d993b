// The checks that every random case must pass.
#pragma once
#include "selftest/report.h"

namespace selftest {

/// A kernel's results match the reference's.
void check_parity(Report& report, const std::string& what, const Program& program, const Place& place, const Result& reference);

/// Any number of threads gives the same bits. So do rows with inputs side by side, in place and picked by row_index.
void check_bits(Report& report, const std::string& what, const Program& program, const Place& place);

/// The reference's gradients match finite differences of its outputs.
void check_gradients(Report& report, const std::string& what, const Program& program, const Place& reference);

/// A step that is cut between any phases equals the step in one run, bit for bit, even if values are read and written back in between.
void check_phases(Report& report, const std::string& what, const Program& program, const Place& place);

/// Changes between two phases have the same effect as on the reference: doubled gradients, and rows of stored buffers.
void check_between(Report& report, const std::string& what, const Program& program, const Place& place, const Place& reference);

}  // namespace selftest
