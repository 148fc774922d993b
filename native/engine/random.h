// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). Element i of stream (seed, stream) depends on these
// three numbers and nothing else, so every backend, thread count and resumed run draws the same.
// Numbers are drawn in double and rounded to float32 on every backend, the float64 reference too: the very same weights.
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

  /// Element `index`. uniform: in [low, high). truncated normal: within 2 deviations of the mean, by drawing again.
  float operator()(uint64_t index) const noexcept;

 private:
  double uniform(uint64_t index) const noexcept;
  double normal(uint64_t index, uint32_t attempt) const noexcept;

  Initializer initializer_;
  uint64_t seed_;
  uint64_t stream_;
};

/// order = a permutation of 0 .. count-1 keyed by (seed, epoch): Fisher-Yates from the identity, whatever was there before.
void shuffle_order(int32_t* order, int64_t count, uint64_t seed, uint64_t epoch) noexcept;

}  // namespace multigate
