// A program that validate() accepts, with numbers for all its inputs. The engine runs it on any backend.
#pragma once
#include <string>
#include <vector>

#include "engine/program.h"
#include "selftest/program.h"
#include "selftest/random.h"

namespace selftest {

class Trial {
 public:
  /// Uses the numbers in `values` for a buffer as far as they fit, and draws the rest.
  Trial(const multigate::Program& program, const Program& values, uint64_t seed);

  /// The reason to skip it: too much work or memory for a fuzzer.
  bool too_large() const { return too_large_; }

  /// in_phases: run the phases one by one; only for programs without row outputs.
  Result run(const Place& place, int threads, bool from_columns, bool in_phases = false) const;

  /// Compares the kernels' results with the reference's, within what the last bits of the inputs allow. Returns a text if they differ.
  std::string compare(const Place& place, bool from_columns) const;

 private:
  void draw(const Program& values, Random& random);
  void nudge();
  Trial nudged() const;

  const multigate::Program& program_;
  multigate::ProgramFacts facts_;
  int64_t rows_;
  bool too_large_ = false;
  std::vector<std::vector<float>> floats_;  // by buffer
  std::vector<std::vector<int32_t>> ints_;
  std::vector<double> scalars_;
};

}  // namespace selftest
