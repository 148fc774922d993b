// Seeded random numbers for cases: splitmix64. The same seed gives the same cases on every machine.
#pragma once
#include <cstdint>
#include <vector>

namespace selftest {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}

  uint64_t bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  /// An integer in [low, high].
  int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(bits() % static_cast<uint64_t>(high - low + 1)); }
  bool chance(double p) { return unit() < p; }
  template <class T>
  T pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(between(0, static_cast<int64_t>(from.size()) - 1))];
  }
  /// Multiples of scale / 4096 in (-scale, scale). They are exact in float32, and so are small steps from them.
  std::vector<float> floats(int64_t count, double scale = 1) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(scale * static_cast<double>(between(-4095, 4095)) / 4096);
    return values;
  }

 private:
  uint64_t state_;
};

}  // namespace selftest
