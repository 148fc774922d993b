// The matrix instructions of a warpgroup on the CPU; see warpgroup.h.
//
// A warp's rows need only its own lanes, so a warp's steps run when its last lane waits for them. What a step needs is remembered at its issue:
// where its operands are and what they hold. If that differs when it runs, somebody has written to them too early, and its sums become NaN.
#include "cuda/device/warpgroup.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "cuda/emulation/machine.h"

namespace mg_cuda::emulation {

namespace {

constexpr int kGroupWarps = kWarpgroup / kWarp;
constexpr int kStepBytes = kStepCores * kCoreBytes;
constexpr int kDepth = 16;
constexpr uint32_t kPoison = 0x7FF5A5A5u;  // a NaN that no arithmetic makes

float poison() { return float_of_bits(kPoison); }

// Not a call of memcpy: AddressSanitizer would object to registers that are no longer in use.
__attribute__((optimize("no-tree-loop-distribute-patterns"))) void copy_words(char* to, const void* from, int bytes) {
  for (int i = 0; i < bytes; i += 4) {
    uint32_t word;
    std::memcpy(&word, static_cast<const char*>(from) + i, 4);
    std::memcpy(to + i, &word, 4);
  }
}

// The eight columns (or rows) of an operand at a time, each 256 bytes along the depth.
template <class Work>
void each_part(const Cores& cores, int first, int count, const Work& work) {
  for (int i = first; i < first + count; i++) work(cores.first + static_cast<int64_t>(i) * cores.across_bytes);
}

template <class Work>
void each_operand(const Step& step, int warp_in_group, const Work& work) {
  if (!step.a_in_registers) each_part(step.a, 2 * warp_in_group, 2, work);
  each_part(step.b, 0, step.count / 4, work);
}

// What a step's operands in shared memory hold, in both views.
void read_operands(const Block& block, const Step& step, int warp_in_group, std::vector<char>& to) {
  to.clear();
  each_operand(step, warp_in_group, [&](const char* at) {
    if (!block.has(at, kStepBytes)) fail("an operand of a matrix step is not in the block's shared memory");
    const char* const seen = block.view.seen.data() + (at - block.shared);
    to.insert(to.end(), seen, seen + kStepBytes);
    to.insert(to.end(), at, at + kStepBytes);
  });
}

// All threads of a warpgroup must do the same, in the same order.
void record(const WarpgroupEvent& event) {
  Thread& self = running();
  Block& block = *self.block;
  if (blockDim.x % kWarpgroup != 0) fail("a block with warpgroup instructions must consist of whole warpgroups");
  if (block.steps.size() != blockDim.x / kWarp) {
    block.events.resize(blockDim.x / kWarpgroup);
    block.steps.resize(blockDim.x / kWarp);
  }
  begin_view(block);
  auto& events = block.events[self.number / kWarpgroup];
  if (self.events == events.size())
    events.push_back(event);
  else if (!(events[self.events] == event))
    fail("threads of a warpgroup are in different warpgroup instructions");
  self.events++;
}

KnownRegisters& known(Thread& thread, const void* registers, int bytes, bool& is_new) {
  for (KnownRegisters& one : thread.known)
    if (one.registers == registers && one.bytes == bytes) return is_new = false, one;
  KnownRegisters& one = thread.known.emplace_back();
  one.registers = registers, one.bytes = bytes;
  std::memcpy(one.contents.data(), registers, static_cast<size_t>(bytes));
  return is_new = true, one;
}

// Whether registers hold what they held at the last warpgroup_begin(), as far as that is known.
bool are_ordered(Thread& thread, const void* registers, int bytes) {
  bool is_new;
  const KnownRegisters& one = known(thread, registers, bytes, is_new);
  return is_new || std::memcmp(one.contents.data(), registers, static_cast<size_t>(bytes)) == 0;
}

int pending_sums(Thread& thread, float* registers, int count) {
  for (size_t i = 0; i < thread.sums.size(); i++)
    if (thread.sums[i].registers == registers) {
      if (thread.sums[i].count != count) fail("matrix steps of different shapes share registers of sums");
      return static_cast<int>(i);
    }
  const bool ordered = thread.may_step && are_ordered(thread, registers, count * 4);
  size_t i = 0;
  while (i < thread.sums.size() && thread.sums[i].registers != nullptr) i++;
  if (i == thread.sums.size()) thread.sums.emplace_back();
  PendingSums& sums = thread.sums[i];
  sums.registers = registers, sums.count = count, sums.steps = 0;
  sums.poisoned = !ordered;
  std::copy_n(registers, count, sums.values.begin());
  std::fill_n(registers, count, poison());
  return static_cast<int>(i);
}

// The bfloat16 numbers of eight columns (rows): to[column][depth].
void decode(const char* part, float (*to)[kDepth]) {
  for (int core = 0; core < kStepCores; core++)
    for (int column = 0; column < 8; column++) {
      uint16_t numbers[8];
      std::memcpy(numbers, part + core * kCoreBytes + column * 16, 16);
      for (int k = 0; k < 8; k++) to[column][core * 8 + k] = float_of_bits(static_cast<uint32_t>(numbers[k]) << 16);
    }
}

void run(Block& block, Step& step, Thread* const (&lanes)[kWarp], int warp_in_group) {
  static std::vector<char> now;
  read_operands(block, step, warp_in_group, now);
  bool poisoned = now != step.operands;
  float a[16][kDepth], b[kDepth][128], columns[8][kDepth];
  const char* part = step.operands.data();
  if (step.a_in_registers) {
    for (int l = 0; l < kWarp; l++) {
      poisoned |= std::memcmp(step.registers[l], step.words[l], sizeof step.words[l]) != 0;
      for (int i = 0; i < 4; i++) {
        float* const to = &a[l / 4 + 8 * (i % 2)][2 * (l % 4 + 4 * (i / 2))];
        to[0] = float_of_bits(step.words[l][i] << 16), to[1] = float_of_bits(step.words[l][i] & 0xFFFF0000u);
      }
    }
  } else {
    decode(part, a), decode(part + 2 * kStepBytes, a + 8);
    part += 4 * kStepBytes;
  }
  const int width = 2 * step.count;
  for (int column = 0; column < width; column += 8, part += 2 * kStepBytes) {
    decode(part, columns);
    for (int k = 0; k < kDepth; k++)
      for (int c = 0; c < 8; c++) b[k][column + c] = columns[c][k];
  }
  for (int row = 0; row < 16; row++) {
    float sums[128] = {};
    for (int k = 0; k < kDepth; k++)
      for (int c = 0; c < width; c++) sums[c] += a[row][k] * b[k][c];
    for (int t = 0; t < 4; t++) {
      const int l = row % 8 * 4 + t;
      PendingSums& pending = lanes[l]->sums[static_cast<size_t>(step.sums[l])];
      for (int j = 0; j < step.count / 4; j++)
        for (int odd = 0; odd < 2; odd++) {
          float& value = pending.values[static_cast<size_t>(4 * j + 2 * (row / 8) + odd)];
          value = (step.accumulate ? value : 0) + sums[8 * j + 2 * t + odd];
        }
    }
  }
  for (int l = 0; l < kWarp; l++) {
    PendingSums& pending = lanes[l]->sums[static_cast<size_t>(step.sums[l])];
    pending.poisoned |= poisoned;
    if (--pending.steps > 0) continue;
    for (int i = 0; i < pending.count; i++) pending.poisoned |= bits_of_float(pending.registers[i]) != kPoison;  // somebody wrote to them
    if (pending.poisoned)
      std::fill_n(pending.registers, pending.count, poison());
    else
      std::copy_n(pending.values.begin(), pending.count, pending.registers);
    pending.registers = nullptr;
  }
}

// Of the running warp, whose lanes are all here: steps of groups before `group`.
void run_steps(int group) {
  Thread& self = running();
  Block& block = *self.block;
  Thread* lanes[kWarp];
  for (int l = 0; l < kWarp; l++) lanes[l] = &self - lane() + l;
  auto& steps = block.steps[static_cast<size_t>(warp())];
  size_t done = 0;
  for (; done < steps.size() && steps[done]->group < group; done++) run(block, *steps[done], lanes, warp() % kGroupWarps);
  const auto past_done = steps.begin() + static_cast<int64_t>(done);
  std::move(steps.begin(), past_done, std::back_inserter(machine.used_steps));
  steps.erase(steps.begin(), past_done);
  for (Thread* thread : lanes) thread->steps -= done;
}

}  // namespace

void warpgroup_begin() {
  const Unwatched unwatched;
  record({"warpgroup_begin", nullptr, nullptr, 0, 0, 0, 0});
  Thread& self = running();
  self.may_step = true;
  for (KnownRegisters& one : self.known) copy_words(one.contents.data(), one.registers, one.bytes);
}

void warpgroup_step(float* sums, int count, const uint32_t* a_registers, const Cores& a, const Cores& b, bool accumulate) {
  const Unwatched unwatched;
  record({"warpgroup_step", a.first, b.first, a.across_bytes, b.across_bytes, count, accumulate});
  for (const Cores& cores : {a, b})
    if (reinterpret_cast<uintptr_t>(cores.first) % 16 != 0 || cores.across_bytes % 16 != 0)
      fail("an operand of a matrix step must be at a multiple of 16 bytes");
  Thread& self = running();
  Block& block = *self.block;
  auto& steps = block.steps[static_cast<size_t>(warp())];
  if (self.steps == steps.size()) {
    auto& used = machine.used_steps;
    if (used.empty()) used.push_back(std::make_unique<Step>());
    Step& step = *steps.emplace_back(std::move(used.back()));
    used.pop_back();
    step.count = count, step.group = self.step_group;
    step.accumulate = accumulate, step.a_in_registers = a_registers != nullptr;
    step.a = a, step.b = b;
    read_operands(block, step, warp() % kGroupWarps, step.operands);
  }
  Step& step = *steps[self.steps++];
  const int number = pending_sums(self, sums, count);
  step.sums[lane()] = number;
  self.sums[static_cast<size_t>(number)].steps++;
  if (a_registers == nullptr) return;
  step.registers[lane()] = a_registers;
  std::memcpy(step.words[lane()], a_registers, sizeof step.words[0]);
  if (!self.may_step || !are_ordered(self, a_registers, sizeof step.words[0])) self.sums[static_cast<size_t>(number)].poisoned = true;
}

void warpgroup_commit() {
  const Unwatched unwatched;
  record({"warpgroup_commit", nullptr, nullptr, 0, 0, 0, 0});
  running().step_group++;
}

void warpgroup_wait(int pending) {
  const Unwatched unwatched;
  record({"warpgroup_wait", nullptr, nullptr, 0, 0, pending, 0});
  Thread& self = running();
  self.may_step = false;
  meet("warpgroup_wait", {{static_cast<uint32_t>(std::max(self.step_group - pending, 0))}},
       [](Words* lanes) { run_steps(static_cast<int>(lanes[0].word[0])); });
}

void check_steps_done(const Thread& thread) {
  for (const PendingSums& sums : thread.sums)
    if (sums.registers != nullptr) fail("a thread ended with matrix steps that it did not wait for");
}

void check_events(const Thread& thread) {
  const auto& events = thread.block->events;
  const size_t group = thread.number / kWarpgroup;
  if (group < events.size() && thread.events != events[group].size()) fail("threads of a warpgroup ended after different warpgroup instructions");
}

}  // namespace mg_cuda::emulation
