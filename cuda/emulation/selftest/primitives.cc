// Checks of the emulated primitives, for selftest: small kernels are right in every order of their threads, and each mistake in them shows. See
// primitives.h.
#include "cuda/emulation/selftest/primitives.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace mg_cuda::primitives {
namespace {

constexpr int kOrders = 24;  // launches: all orders of threads, early and late copies
constexpr unsigned kClusterBlocks = 4;

void launch(unsigned blocks, unsigned cluster, int threads, size_t bytes, const std::function<void()>& kernel) {
  emulation::run_clusters({blocks, 1}, cluster, threads, bytes, kernel);
}

std::vector<float> numbers(size_t count) {
  std::vector<float> result(count);
  for (size_t i = 0; i < count; i++) result[i] = static_cast<float>(i % 97) + 1;
  return result;
}

// Whether `run` gives what is wanted, each time.
bool is_right(const std::vector<float>& want, const std::function<void(float*)>& run) {
  bool right = true;
  for (int order = 0; order < kOrders; order++) {
    std::vector<float> got(want.size(), -1);
    run(got.data());
    right &= got == want;
  }
  return right;
}

// In a process of its own, because the emulation ends it where it can name the mistake.
bool fails(const std::function<bool()>& is_right) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(0);
    alarm(20);
    _exit(is_right() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

std::vector<float> operand() {
  std::vector<float> words;
  for (int i = 0; i < kTestOperandWords; i++) words.push_back(float_of_bits(test_word(word_row(i), word_depth(i))));
  return words;
}

// A lane's sums of the product of [64, depth] and [columns, depth], as device/warpgroup.h lays them out.
void add_sums(std::vector<float>& to, int columns, int depth, float scale) {
  for (int thread = 0; thread < kWarpgroup; thread++)
    for (int i = 0; i < columns / 2; i++) {
      const int row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + thread % 4 * 2 + i % 2;
      float sum = 0;
      for (int k = 0; k < depth; k++) sum += test_number(row, k) * test_number(column, k);
      to.push_back(scale * sum);
    }
}

template <Mistake kMistake, bool kCopied>
bool matrix_is_right() {
  const std::vector<float> words = operand();
  std::vector<float> want;
  add_sums(want, 64, kTestDepth, 1);
  return is_right(want,
                  [&](float* out) { launch(1, 1, kWarpgroup, words.size() * 4, [&] { matrix_kernel<kMistake, kCopied>(words.data(), out); }); });
}

template <Mistake kMistake>
bool register_matrix_is_right() {
  const std::vector<float> words = operand();
  std::vector<float> want;
  add_sums(want, 32, 16, 1), add_sums(want, 32, 16, 2);
  return is_right(want,
                  [&](float* out) { launch(1, 1, kWarpgroup, words.size() * 4, [&] { register_matrix_kernel<kMistake>(words.data(), out); }); });
}

template <Mistake kMistake>
bool bulk_is_right() {
  alignas(16) static float in[kTestTiles * kTestTileFloats], out[kTestTiles * kTestTileFloats];
  const std::vector<float> some = numbers(kTestTiles * kTestTileFloats);
  std::copy(some.begin(), some.end(), in);
  std::vector<float> want;
  for (size_t i = 0; i < some.size(); i++) want.push_back(2 * (some[i] + some[i ^ 32]));
  return is_right(want, [&](float* to) {
    launch(1, 1, 3 * kWarp, 1024, [&] { bulk_kernel<kMistake>(in, out); });
    std::copy(std::begin(out), std::end(out), to);
    std::fill(std::begin(out), std::end(out), -1.0f);
  });
}

template <Mistake kMistake>
bool named_is_right() {
  const std::vector<float> in = numbers(kWarp);
  std::vector<float> want;
  for (const float number : in) want.push_back(2 * number);
  return is_right(want, [&](float* out) { launch(1, 1, 3 * kWarp, 256, [&] { named_kernel<kMistake>(in.data(), out); }); });
}

template <Mistake kMistake>
bool cluster_is_right() {
  const std::vector<float> in = numbers(2 * kClusterBlocks * kWarp);
  std::vector<float> want;
  for (unsigned block = 0; block < 2 * kClusterBlocks; block++)
    for (unsigned i = 0; i < 32; i++) {
      const auto of = [&](unsigned rank, unsigned at) { return in[(block / kClusterBlocks * kClusterBlocks + rank % kClusterBlocks) * 32 + at]; };
      want.push_back(of(block + 1, i) + of(block + kClusterBlocks - 1, i ^ 1));
    }
  return is_right(want,
                  [&](float* out) { launch(2 * kClusterBlocks, kClusterBlocks, kWarp, 512, [&] { cluster_kernel<kMistake>(in.data(), out); }); });
}

template <Mistake kMistake>
bool remote_is_right() {
  const std::vector<float> in = numbers(kClusterBlocks * kWarp);
  std::vector<float> want(in.begin() + kWarp, in.end());
  want.insert(want.end(), in.begin(), in.begin() + kWarp);
  return is_right(want, [&](float* out) { launch(kClusterBlocks, kClusterBlocks, kWarp, 128, [&] { remote_kernel<kMistake>(in.data(), out); }); });
}

void check(const std::function<void(bool, const std::string&, const char*)>& report) {
  using enum Mistake;
  const auto right = [&](const char* what, bool is) { report(is, std::string("emulated ") + what, "wrong results"); };
  const auto wrong = [&](const char* what, const char* mistake, const std::function<bool()>& run) {
    report(fails(run), std::string("emulated ") + what + ": " + mistake, "it does not show");
  };
  right("matrix steps of stored operands", matrix_is_right<kNone, false>());
  right("matrix steps of copied operands", matrix_is_right<kNone, true>());
  wrong("matrix steps", "no fence after stores", matrix_is_right<kNoFence, false>);
  wrong("matrix steps", "a fence before stores", matrix_is_right<kFenceTooEarly, false>);
  wrong("matrix steps", "no barrier after stores", matrix_is_right<kNoBarrier, false>);
  wrong("matrix steps", "no wait for copies", matrix_is_right<kNoCopyWait, true>);
  wrong("matrix steps", "no fence after copies", matrix_is_right<kNoFence, true>);
  wrong("matrix steps", "a fence before the wait for copies", matrix_is_right<kFenceTooEarly, true>);
  wrong("matrix steps", "no barrier after copies", matrix_is_right<kNoBarrier, true>);
  wrong("matrix steps", "no begin", matrix_is_right<kNoBegin, false>);
  wrong("matrix steps", "no commit", matrix_is_right<kNoCommit, false>);
  wrong("matrix steps", "no wait", matrix_is_right<kNoWait, false>);
  wrong("matrix steps", "sums written before the wait", matrix_is_right<kTouchesSums, false>);
  wrong("matrix steps", "an operand written before the wait", matrix_is_right<kWritesOperand, false>);
  wrong("matrix steps", "a warp with other operands", matrix_is_right<kOtherOperands, false>);
  right("matrix steps of registers", register_matrix_is_right<kNone>());
  wrong("matrix steps of registers", "no begin of a second round", register_matrix_is_right<kNoSecondBegin>);
  wrong("matrix steps of registers", "registers written before the wait", register_matrix_is_right<kTouchesA>);
  wrong("matrix steps of registers", "registers written after the begin", register_matrix_is_right<kTouchesAAfterBegin>);
  right("bulk copies", bulk_is_right<kNone>());
  wrong("bulk copies", "barriers without a fence", bulk_is_right<kNoMadeFence>);
  wrong("bulk copies", "no block barrier after making barriers", bulk_is_right<kNoBarrier>);
  wrong("bulk copies", "no expected bytes", bulk_is_right<kNoExpect>);
  wrong("bulk copies", "no arrival", bulk_is_right<kNoArrival>);
  wrong("bulk copies", "no wait for a load", bulk_is_right<kNoWait>);
  wrong("bulk copies", "the wrong parity", bulk_is_right<kWrongParity>);
  wrong("bulk copies", "no wait for a free stage", bulk_is_right<kNoRelease>);
  wrong("bulk copies", "no fence before a store", bulk_is_right<kNoFence>);
  wrong("bulk copies", "no barrier before a store", bulk_is_right<kNoFirstBarrier>);
  wrong("bulk copies", "no commit of a store", bulk_is_right<kNoCommit>);
  wrong("bulk copies", "no wait before overwriting a store's source", bulk_is_right<kNoReadWait>);
  wrong("bulk copies", "no wait for a store at the end", bulk_is_right<kNoLastBarrier>);
  right("named barriers", named_is_right<kNone>());
  wrong("named barriers", "no arrival", named_is_right<kNoArrival>);
  wrong("named barriers", "no wait", named_is_right<kNoWait>);
  wrong("named barriers", "no barrier", named_is_right<kNoBarrier>);
  wrong("named barriers", "counts that differ", named_is_right<kWrongCount>);
  right("clusters", cluster_is_right<kNone>());
  wrong("clusters", "no barrier before others' memory", cluster_is_right<kNoFirstBarrier>);
  wrong("clusters", "no arrival at another block", cluster_is_right<kNoArrival>);
  wrong("clusters", "no wait for another block", cluster_is_right<kNoWait>);
  wrong("clusters", "the wrong parity", cluster_is_right<kWrongParity>);
  right("memory of other blocks", remote_is_right<kNone>());
  wrong("memory of other blocks", "no barrier before", remote_is_right<kNoFirstBarrier>);
  wrong("memory of other blocks", "no wait before", remote_is_right<kNoWait>);
  wrong("memory of other blocks", "a block that has ended", remote_is_right<kNoLastBarrier>);
}

}  // namespace
}  // namespace mg_cuda::primitives

extern "C" void mg_cuda_check_primitives(void (*each)(void*, int passed, const char* what, const char* detail), void* user) {
  mg_cuda::primitives::check([&](bool passed, const std::string& what, const char* detail) { each(user, passed, what.c_str(), detail); });
}
