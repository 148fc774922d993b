#include "selftest/timing/timing.h"

#include <cxxabi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "selftest/random.h"
#include "selftest/timing/program_file.h"

namespace selftest {
namespace {

constexpr struct {
  mg_precision precision;
  const char* name;
} kPrecisions[] = {{MG_PRECISION_F32, "float32"}, {MG_PRECISION_TF32, "tf32"}, {MG_PRECISION_BF16, "bfloat16"}};

constexpr int kDistinctRows = 1 << 14;  // rows of random numbers; longer inputs repeat them

/// A run's arguments. Must outlive the run.
class Data {
 public:
  Data(const Workload& workload, const mg_backend& backend) : backend_(backend), pointers_(workload.program.buffers.size(), nullptr) {
    Random random(1);
    for (size_t i = 0; i < pointers_.size(); i++) {
      const mg_buffer& buffer = workload.program.buffers[i];
      const int64_t elements = workload.rows * buffer.width;
      switch (buffer.buffer_class) {
        case MG_ROW_INPUT: pointers_[i] = buffer.dtype == MG_I32 ? ids(random, elements, workload.facts.id_limit[i]) : rows(random, elements); break;
        case MG_ROW_OUTPUT: pointers_[i] = host(elements); break;
        case MG_PARAMETER:
        case MG_TABLE: pointers_[i] = memory(random, buffer.width * buffer.count, 0.1); break;
        case MG_GRADIENT:
        case MG_STATE: pointers_[i] = memory(random, buffer.width * buffer.count, 0); break;
        default: break;
      }
    }
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
  ~Data() {
    for (void* memory : memories_) backend_.release(memory);
  }

  void* const* pointers() const { return pointers_.data(); }

 private:
  float* host(int64_t elements) {
    rows_.emplace_back(static_cast<size_t>(elements));
    return rows_.back().data();
  }
  void* rows(Random& random, int64_t elements) {
    float* values = host(elements);
    const int64_t some = std::min<int64_t>(elements, kDistinctRows * 64);
    for (int64_t i = 0; i < some; i++) values[i] = static_cast<float>(random.unit() * 2 - 1);
    for (int64_t i = some; i < elements; i++) values[i] = values[i - some];
    return values;
  }
  /// Ids distributed by Zipf's law.
  void* ids(Random& random, int64_t elements, int64_t limit) {
    ids_.emplace_back(static_cast<size_t>(elements));
    for (int32_t& id : ids_.back())
      id = static_cast<int32_t>(std::min<double>(static_cast<double>(limit - 1), std::floor(std::pow(static_cast<double>(limit), random.unit()))));
    return ids_.back().data();
  }
  void* memory(Random& random, int64_t elements, double scale) {
    mg_error error{};
    void* data = nullptr;
    if (backend_.allocate(elements, &data, &error) != MG_OK) throw std::runtime_error(error.text);
    memories_.push_back(data);
    if (scale == 0) return data;
    std::vector<float> values(static_cast<size_t>(elements));
    for (float& value : values) value = static_cast<float>(scale * (random.unit() * 2 - 1));
    if (backend_.write(data, 0, values.data(), elements, &error) != MG_OK) throw std::runtime_error(error.text);
    return data;
  }

  const mg_backend& backend_;
  std::vector<void*> pointers_, memories_;
  std::deque<std::vector<float>> rows_;
  std::deque<std::vector<int32_t>> ids_;
};

double since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

struct Measured {
  std::vector<double> times;  // milliseconds, sorted
  int64_t launches = 0;       // 0: the backend does not count launches
};

void print_kernel(void* label, const char* name, int64_t blocks, int32_t threads, double milliseconds) {
  int status = 0;
  char* const demangled = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string text = status == 0 ? demangled : name;
  std::free(demangled);
  text = text.substr(0, text.find(">(") == std::string::npos ? text.find('(', text.rfind("::") + 1) : text.find(">(") + 1);
  std::printf("{\"peer\": \"multigate\", %s, \"kernel\": \"%s\", \"blocks\": %lld, \"threads\": %d, \"kernel_us\": %.4g}\n",
              static_cast<const std::string*>(label)->c_str(), text.c_str(), static_cast<long long>(blocks), threads, milliseconds * 1e3);
}

Measured measure(const Workload& workload, const Data& data, const Place& place, mg_precision precision, const TimingOptions& options,
                 const DeviceClock& clock, std::string label) {
  const mg_backend& backend = *place.backend;
  mg_error error{};
  const auto check = [&](mg_status status) {
    if (status != MG_OK) throw std::runtime_error(workload.name + ": " + error.text);
  };
  const mg_program program = workload.program.abi();
  const mg_compile_options compile_options{place.isa.empty() ? nullptr : place.isa.c_str(), precision};
  mg_plan* plan = nullptr;
  check(backend.compile(&program, &compile_options, &plan, &error));
  struct Destroy {
    const mg_backend& backend;
    mg_plan* plan;
    ~Destroy() { backend.destroy(plan); }
  } destroy{backend, plan};
  std::vector<double> scalars_out(program.scalar_outputs);
  mg_run run{};
  run.rows = workload.rows;
  run.data = data.pointers();
  run.scalars_in = workload.scalars.data(), run.scalars_out = scalars_out.data();
  run.threads = 2;
  const auto once = [&] {
    const auto start = std::chrono::steady_clock::now();
    run.parameter_version++;
    check(backend.run(plan, &run, &error));
    return since(start);
  };
  once();
  int64_t launches = 0;
  std::vector<double> times{clock.time != nullptr ? 0 : once()};
  if (clock.time != nullptr) check(clock.time(plan, &run, 1, times.data(), &launches, &error));
  const auto repeats = static_cast<int>(std::clamp(options.seconds * 1000 / std::max(times[0], 1e-3), 5.0, clock.time != nullptr ? 200.0 : 2000.0));
  times.resize(static_cast<size_t>(repeats));
  if (clock.time != nullptr)
    check(clock.time(plan, &run, repeats, times.data(), &launches, &error));
  else
    for (double& time : times) time = once();
  std::sort(times.begin(), times.end());
  if (options.profile && clock.profile != nullptr) check(clock.profile(plan, &run, print_kernel, &label, &error));
  return {times, launches};
}

}  // namespace

void time_workloads(const TimingOptions& options, const Place& place, const DeviceClock& clock) {
  for (const auto& workload : read_workloads(options.programs, options.only)) {
    if (workload->rows > options.most_rows) continue;
    const Data data(*workload, *place.backend);
    for (const auto& [precision, name] : kPrecisions) {
      if (precision == MG_PRECISION_TF32 && std::strcmp(place.backend->name, "cuda") != 0) continue;
      const std::string label = "\"variant\": \"" + place.name + "-" + name + "\", \"workload\": \"" + workload->name + "\", \"mode\": \"" +
                                workload->mode + "\", \"n\": " + std::to_string(workload->rows);
      const auto [times, launches] = measure(*workload, data, place, precision, options, clock, label);
      const double median = times[times.size() / 2], rows = static_cast<double>(workload->rows);
      std::printf("{\"peer\": \"multigate\", %s, \"median_ms\": %.6g, \"min_ms\": %.6g, \"p95_ms\": %.6g, \"reps\": %zu, \"rows_per_s\": %.6g, ",
                  label.c_str(), median, times.front(), times[times.size() * 95 / 100], times.size(), rows * 1000 / median);
      if (launches > 0) std::printf("\"launches\": %lld, ", static_cast<long long>(launches));
      if (workload->flops > 0) std::printf("\"gflops\": %.6g, ", workload->flops / median * 1e-6);
      std::printf("\"bytes\": %.6g, \"gbytes_per_s\": %.6g}\n", workload->bytes, workload->bytes / median * 1e-6);
      std::fflush(stdout);
    }
  }
}

}  // namespace selftest
