// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). Element i of stream (seed, stream) depends only on
// these three numbers, so every backend, thread count and resumed run draws the same.
// Every backend, even the float64 reference, draws in double and rounds to float32: all have the same weights.
#pragma once

#include <array>
#include <cstdint>

namespace multigate {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key) noexcept;

struct Initializer {
  enum class Kind { uniform, normal, truncated_normal, constant } kind;
  double first;   // low, mean or value
  double second;  // high or deviation
};

/// A stream of initial weights. seed and stream are below 2^53.
class WeightStream {
 public:
  WeightStream(const Initializer& initializer, uint64_t seed, uint64_t stream) noexcept : initializer_(initializer), seed_(seed), stream_(stream) {}

  /// Element `index`. uniform: in [low, high). truncated normal: redrawn until within 2 deviations of the mean.
  float operator()(uint64_t index) const noexcept;

 private:
  double uniform(uint64_t index) const noexcept;
  double normal(uint64_t index, uint32_t attempt) const noexcept;

  Initializer initializer_;
  uint64_t seed_;
  uint64_t stream_;
};

/// order = a permutation of 0 .. count-1 keyed by (seed, epoch): Fisher-Yates from the identity; ignores the old contents.
void shuffle_order(int32_t* order, int64_t count, uint64_t seed, uint64_t epoch) noexcept;

}  // namespace multigate
