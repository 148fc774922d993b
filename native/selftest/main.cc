// selftest: checks the backends through the C contract only, without Node; for sanitizers, emulators and bare machines.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "selftest/cases/cases.h"
#include "selftest/checks.h"
#include "selftest/device_faults.h"
#include "selftest/golden/golden.h"
#include "selftest/hostile.h"
#include "selftest/steady.h"
#include "selftest/texts.h"
#include "selftest/timing/timing.h"

#if defined(MG_SELFTEST_CUDA)
extern "C" const mg_backend* mg_cuda_backend(int32_t device) MG_NOEXCEPT;
extern "C" mg_status mg_cuda_time(mg_plan* plan, const mg_run* run, int32_t repeats, double* milliseconds, int64_t* launches,
                                  mg_error* error) MG_NOEXCEPT;
extern "C" mg_status mg_cuda_peaks(double peaks[3], mg_error* error) MG_NOEXCEPT;
extern "C" mg_status mg_cuda_profile(mg_plan* plan, const mg_run* run, void (*each)(void*, const char*, int64_t, int32_t, double), void* user,
                                     mg_error* error) MG_NOEXCEPT;
constexpr selftest::DeviceClock kCudaClock = {mg_cuda_time, mg_cuda_profile};
#if defined(MG_SELFTEST_EMULATED)
extern "C" void mg_cuda_check_primitives(void (*each)(void*, int passed, const char* what, const char* detail), void* user);
#endif
#else
constexpr selftest::DeviceClock kCudaClock = {};
#endif

namespace {

constexpr char kHelp[] =
    "selftest: checks every op on every instruction set of this machine\n"
    "  --cases N     random cases per op (default 60)\n"
    "  --mixtures N  of mixtures and fusions (default as --cases); forward and backward each\n"
    "  --case I      of the random cases only number I, from 0\n"
    "  --part I/N    the Ith of N parts of the random cases (default 1/1): for N processes\n"
    "  --seed S      of the random cases (default 1)\n"
    "  --golden DIR  golden cases too: a folder with an index.json and safetensors files\n"
    "  --isa NAME    this instruction set only\n"
    "  --device NAME cpu (default), or cuda where it was linked in\n"
    "  --op NAME     random cases of this op only\n"
    "  --steady FILE also checks that steps of the programs of FILE (bench/gpu/programs.json) allocate nothing\n"
    "  --peaks       with --device cuda: prints the device's peaks as one JSON line\n"
    "  --time FILE   times the programs of FILE (bench/gpu/programs.json) and checks nothing: one JSON line each\n"
    "  --only NAMES  of the programs of --time or --steady, comma separated\n"
    "  --seconds S   spent on each measurement, about (default 0.5)\n"
    "  --profile     with --time and --device cuda: every kernel by itself too\n"
    "  --verbose     prints every check, not only failures\n"
    "exit code: 0 all passed, 1 something failed, 2 wrong options\n";

struct Options {
  int cases = 60, mixtures = -1, only_case = -1, part = 1, parts = 1;
  uint64_t seed = 1;
  std::string golden, steady, isa, device = "cpu", op;
  bool verbose = false, help = false, peaks = false;
  selftest::TimingOptions timing;
};

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i++) {
    const std::string name = arguments[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= count) throw UsageError(name + ": expected a value after it");
      return arguments[++i];
    };
    const auto number = [&]() {
      const std::string text = value();
      char* end = nullptr;
      const unsigned long long result = std::strtoull(text.c_str(), &end, 10);
      if (text.empty() || *end != 0 || text[0] == '-') throw UsageError(name + ": expected a number, found " + text);
      return result;
    };
    if (name == "--cases")
      options.cases = static_cast<int>(number());
    else if (name == "--mixtures")
      options.mixtures = static_cast<int>(number());
    else if (name == "--case")
      options.only_case = static_cast<int>(number());
    else if (name == "--part") {
      const std::string text = value();
      char end = 0;
      if (std::sscanf(text.c_str(), "%d/%d%c", &options.part, &options.parts, &end) != 2 || options.part < 1 || options.part > options.parts)
        throw UsageError("--part: expected two numbers such as 1/2, found " + text);
    } else if (name == "--seed")
      options.seed = number();
    else if (name == "--golden")
      options.golden = value();
    else if (name == "--steady")
      options.steady = value();
    else if (name == "--isa")
      options.isa = value();
    else if (name == "--device")
      options.device = value();
    else if (name == "--op")
      options.op = value();
    else if (name == "--peaks")
      options.peaks = true;
    else if (name == "--time")
      options.timing.programs = value();
    else if (name == "--only")
      options.timing.only = value();
    else if (name == "--profile")
      options.timing.profile = true;
    else if (name == "--seconds")
      options.timing.seconds = static_cast<double>(number());
    else if (name == "--verbose")
      options.verbose = true;
    else if (name == "--help")
      options.help = true;
    else
      throw UsageError(name + ": unknown option");
  }
  std::string names;
  for (int op = 0; op < MG_OP_COUNT; op++) names += std::string(" ") + selftest::op_name(static_cast<mg_op_kind>(op));
  if (!options.op.empty() && (names + " ").find(" " + options.op + " ") == std::string::npos)
    throw UsageError("--op: expected one of" + names + ", found " + options.op);
  return options;
}

std::vector<selftest::Place> places_of(const Options& options) {
  std::vector<selftest::Place> places;
#if defined(MG_SELFTEST_CUDA)
  if (options.device == "cuda") {
    mg_error error{};
    if (mg_cuda_backend(0)->available(&error) != MG_OK) throw UsageError(std::string("--device cuda: ") + error.text);
    return {{"cuda", mg_cuda_backend(0), "", MG_PRECISION_F32, {2}}};
  }
#endif
  if (options.device != "cpu") throw UsageError("--device: expected cpu, or cuda in a build that has it, found " + options.device);
  for (const char* const* isa = mg_cpu_isas(); *isa; isa++)
    if (options.isa.empty() || options.isa == *isa) places.push_back({*isa, mg_cpu_backend(), *isa});
  if (places.empty()) throw UsageError("--isa: this machine does not run " + options.isa);
  return places;
}

#if defined(MG_SELFTEST_CUDA)
int print_peaks() {
  mg_error error{};
  mg_device_info device{};
  double peaks[3];
  if (mg_cuda_peaks(peaks, &error) != MG_OK) throw std::runtime_error(error.text);
  mg_cuda_backend(0)->describe(&device);
  std::printf(
      "{\"peer\": \"machine\", \"device\": \"%s\", \"capability\": \"%s\", \"copy_gbytes_per_s\": %.1f, \"tf32_mma_tflops\": %.1f, "
      "\"bf16_mma_tflops\": %.1f}\n",
      device.name, device.capability, peaks[0], peaks[1], peaks[2]);
  return 0;
}
#else
int print_peaks() { throw UsageError("--peaks: this build has no device but the processor"); }
#endif

/// The same with products of bfloat16. Smooth cases only: a rounded product may cross a kink without error.
void check_bfloat16(selftest::Report& report, const std::string& what, const selftest::Program& program, std::vector<selftest::Place> places,
                    selftest::Place reference) {
  reference.precision = MG_PRECISION_BF16;
  const selftest::Result want = run(program, reference);
  for (selftest::Place& place : places) {
    place.precision = MG_PRECISION_BF16;
    place.name += " bfloat16";
    check_parity(report, what, program, place, want);
    check_bits(report, what, program, place);
  }
}

/// The same with products of tf32, which only the CUDA backend has.
void check_tf32(selftest::Report& report, const std::string& what, const selftest::Program& program, selftest::Place place,
                const selftest::Result& want) {
  place.precision = MG_PRECISION_TF32;
  place.name += " tf32";
  check_parity(report, what, program, place, want);
}

void check_random(selftest::Report& report, const Options& options, const std::vector<selftest::Place>& places, const selftest::Place& reference) {
  using namespace selftest;
  const std::vector<int64_t> some_rows = {1, 2, 7, 16, 33, 100, 300, 1100};  // the last: more than one slot of a GPU's gradients
  for (int op = 0; op < MG_OP_COUNT; op++) {
    const std::string name = op_name(static_cast<mg_op_kind>(op));
    if (!options.op.empty() && options.op != name) continue;
    const bool mixes = name.rfind("mixture", 0) == 0 || name.rfind("fusion", 0) == 0;
    const int cases = mixes && options.mixtures >= 0 ? options.mixtures : options.cases;
    for (int i = 0; i < cases; i++) {
      if (i / 4 % options.parts != options.part - 1) continue;  // one case in four costs more
      if (options.only_case >= 0 && i != options.only_case) continue;
      const std::string what = name + " case " + std::to_string(i) + " of seed " + std::to_string(options.seed);
      const auto seed = options.seed * 1000003 + static_cast<uint64_t>(op) * 1009 + static_cast<uint64_t>(i);
      Random random(seed);
      const Program program = make_case(static_cast<mg_op_kind>(op), random, random.pick(some_rows));
      const Result want = run(program, reference);
      for (const Place& place : places) check_parity(report, what, program, place, want);
      if (program.smooth) check_bfloat16(report, what, program, places, reference);
      if (program.smooth && options.device == "cuda") check_tf32(report, what, program, places.front(), want);
      if (i % 4 == 0) {
        Random again(seed);
        check_bits(report, what, make_case(static_cast<mg_op_kind>(op), again, 700 + i), places.front());
      }
      if (i % 4 == 1) {
        for (const Place& place : places) check_phases(report, what, program, place), check_between(report, what, program, place, reference);
        if (options.device == "cpu") check_phases(report, what, program, reference);
      }
      if (i % 2 == 0 && options.device == "cpu") {  // of the reference alone
        Random again(seed);
        check_gradients(report, what, make_case(static_cast<mg_op_kind>(op), again, 5), reference);
      }
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  try {
    options = parse(count, arguments);
    if (options.help) return std::fputs(kHelp, stdout), 0;
    const auto start = std::chrono::steady_clock::now();
    const selftest::Place reference{"reference", mg_reference_backend(), ""};
    std::vector<selftest::Place> places = places_of(options);
    if (options.peaks) return print_peaks();
    if (!options.timing.programs.empty())
      return selftest::time_workloads(options.timing, places.front(), options.device == "cuda" ? kCudaClock : selftest::DeviceClock{}), 0;
    selftest::Report report(options.verbose);
#if defined(MG_SELFTEST_EMULATED)
    if (options.device == "cuda" && options.op.empty() && options.part == 1) {
      mg_cuda_check_primitives(
          [](void* to, int passed, const char* what, const char* detail) { static_cast<selftest::Report*>(to)->check(passed != 0, what, detail); },
          &report);
      if (options.cases > 0) selftest::check_device_faults(report);
    }
#endif
    selftest::check_hostile_files(report);
    selftest::check_hostile_programs(report, places);
    selftest::check_texts(report);
    if (!options.steady.empty()) selftest::check_steady(report, options.steady, options.timing.only);
    check_random(report, options, places, reference);
    if (!options.golden.empty()) {
      places.insert(places.begin(), reference);
      selftest::check_golden(report, options.golden, places);
    }
    std::printf("%.1f s on", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    for (const auto& place : places) std::printf(" %s", place.name.c_str());
    std::printf("\nselftest: %d passed, %d failed, %d skipped\n", report.passed, report.failed, report.skipped);
    return report.failed == 0 ? 0 : 1;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "selftest: %s\n%s", error.what(), kHelp);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "selftest: %s\n", error.what());
    return 1;
  }
}
