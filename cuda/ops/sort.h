// A stable sort of pairs of a 32-bit key and a 32-bit value, on the device: equal keys keep their order. Nothing is known to the host but
// how many pairs there are and the largest key they may have.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

struct PairsToSort {
  int64_t count;         // < 2^32
  uint32_t largest_key;  // that may occur: decides how many digits are sorted by
  uint32_t* keys[2];     // [count] each; the pairs are in the first
  uint32_t* values[2];
  uint32_t* digit_counts;  // [sort_digit_counts(count)]
};

// As many 32-bit words as a sort of so many pairs counts its digits in; does not fall where count grows.
int64_t sort_digit_counts(int64_t count);

// Queues the sort. Returns in which of the arrays the sorted pairs will be, 0 or 1; the others are lost.
int launch_sort(Stream& stream, const PairsToSort& pairs);

}  // namespace mg_cuda
