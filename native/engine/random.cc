// Philox4x32-10, the distributions over it and the shuffle; see random.h.
//
// Words: key = (seed low, stream low); counter = (index low, index high, seed high | attempt, stream high | purpose).
// Seeds and streams are below 2^53, so their high words leave bits 21..31 for the attempt and the purpose.
#include "engine/random.h"

#include <cmath>
#include <utility>

namespace multigate {
namespace {

constexpr uint32_t kPurposeWeights = 0;
constexpr uint32_t kPurposeShuffle = 1;   // 2 is dropout's: abi/ops.h
constexpr uint32_t kAttempts = 1u << 10;  // bits 22..31; a truncated normal needs the second with p = 0.05

PhiloxCounter draw(uint64_t index, uint64_t seed, uint64_t stream, uint32_t purpose, uint32_t attempt) noexcept {
  return philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), static_cast<uint32_t>(seed >> 32) | attempt << 22,
                 static_cast<uint32_t>(stream >> 32) | purpose << 22},
                {static_cast<uint32_t>(seed), static_cast<uint32_t>(stream)});
}

/// 53 bits as a number in [0, 1).
double unit(uint32_t high, uint32_t low) noexcept { return static_cast<double>((static_cast<uint64_t>(high) << 32 | low) >> 11) * 0x1.0p-53; }

}  // namespace

PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(0xD2511F53u) * counter[0];
    const uint64_t product1 = static_cast<uint64_t>(0xCD9E8D57u) * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9u;  // golden ratio
    key[1] += 0xBB67AE85u;  // sqrt(3) - 1
  }
  return counter;
}

double WeightStream::uniform(uint64_t index) const noexcept {
  const PhiloxCounter words = draw(index, seed_, stream_, kPurposeWeights, 0);
  return unit(words[0], words[1]);
}

double WeightStream::normal(uint64_t index, uint32_t attempt) const noexcept {
  const PhiloxCounter words = draw(index, seed_, stream_, kPurposeWeights, attempt);
  const double radius = std::sqrt(-2.0 * std::log(1.0 - unit(words[0], words[1])));  // 1 - u is in (0, 1], so the log is finite
  return radius * std::cos(6.283185307179586476925 * unit(words[2], words[3]));
}

float WeightStream::operator()(uint64_t index) const noexcept {
  const double first = initializer_.first;
  const double second = initializer_.second;
  switch (initializer_.kind) {
    case Initializer::Kind::uniform: {
      const float value = static_cast<float>(first + (second - first) * uniform(index));
      if (first == second) return value;
      // Rounding to float may leave the range at either end: take the next float inside.
      if (value >= second) return std::nextafterf(static_cast<float>(second), static_cast<float>(first));
      return value < first ? std::nextafterf(value, static_cast<float>(second)) : value;
    }
    case Initializer::Kind::normal: return static_cast<float>(first + second * normal(index, 0));
    case Initializer::Kind::truncated_normal: {
      for (uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
        const double value = normal(index, attempt);
        if (std::fabs(value) <= 2) return static_cast<float>(first + second * value);
      }
      return static_cast<float>(first);
    }
    case Initializer::Kind::constant: return static_cast<float>(first);
  }
  return 0;
}

void shuffle_order(int32_t* order, int64_t count, uint64_t seed, uint64_t epoch) noexcept {
  for (int64_t i = 0; i < count; ++i) order[i] = static_cast<int32_t>(i);
  // High 64 bits of (64 random bits x range): the bias is below range / 2^64.
  const auto pick = [order](int64_t i, uint32_t high, uint32_t low) {
    const uint64_t bits = static_cast<uint64_t>(high) << 32 | low;
    std::swap(order[i], order[static_cast<int64_t>(static_cast<unsigned __int128>(bits) * static_cast<uint64_t>(i + 1) >> 64)]);
  };
  for (int64_t i = count - 1; i > 0; i -= 2) {
    const PhiloxCounter words = draw(static_cast<uint64_t>(i), seed, epoch, kPurposeShuffle, 0);
    pick(i, words[0], words[1]);
    if (i > 1) pick(i - 1, words[2], words[3]);
  }
}

}  // namespace multigate
