// A program that validate() accepts, with numbers for all that it reads, run by the engine on any backend.
#pragma once
#include <string>
#include <vector>

#include "engine/program.h"
#include "selftest/program.h"
#include "selftest/random.h"

namespace selftest {

class Trial {
 public:
  /// Numbers that `values` has for a buffer are taken as far as they fit; the rest is drawn.
  Trial(const multigate::Program& program, const Program& values, uint64_t seed);

  /// Why it is not tried: too much work or memory for a fuzzer.
  bool too_large() const { return too_large_; }

  /// in_phases: one after the other; of programs without row outputs.
  Result run(const Place& place, int threads, bool from_columns, bool in_phases = false) const;

  /// What kernels leave is what the reference leaves, as far as that depends on the last bits of what it reads; a text where it is not.
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
