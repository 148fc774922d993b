// Counts of checks, and the comparison that all of them use.
#pragma once
#include <string>
#include <vector>

#include "selftest/program.h"

namespace selftest {

class Report {
 public:
  explicit Report(bool verbose) : verbose_(verbose) {}

  void check(bool passed, const std::string& what, const std::string& detail);
  void skip(const std::string& what, const std::string& why);
  /// ||got - want|| / ||want|| <= tolerance. If want is zero: the largest |got| <= 1e-6. NaN always fails.
  void compare(const std::string& what, const std::vector<double>& got, const std::vector<double>& want, double tolerance);
  /// Compares every buffer and scalar of two runs of one program. tolerance 0: the same bits.
  void compare(const std::string& what, const Program& program, const Result& got, const Result& want, double tolerance);

  int passed = 0, failed = 0, skipped = 0;

 private:
  bool verbose_;
};

}  // namespace selftest
