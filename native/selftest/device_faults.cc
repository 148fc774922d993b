#include "selftest/device_faults.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <future>
#include <limits>
#include <numeric>
#include <thread>

#include "cuda/device/errors.h"
#include "cuda/device/kernel.h"
#include "cuda/device/matrix.h"
#include "cuda/device/runtime.h"
#include "selftest/cases/cases.h"

extern "C" const mg_backend* mg_cuda_backend(int32_t device) MG_NOEXCEPT;

namespace selftest {
namespace {

using mg_cuda::emulation::Call;
using mg_cuda::emulation::has_context;
using mg_cuda::emulation::live_bytes;

// 0 is left to other checks. A check that loses its device, or that counts what was done to it, takes a fresh one.
constexpr int kDevice = 1;
int next_device = kDevice;
int fresh_device() { return ++next_device; }

/// A hook of the runtime while it lives.
struct Hooked {
  explicit Hooked(mg_cuda::emulation::Hook hook) { mg_cuda::emulation::set_hook(std::move(hook)); }
  Hooked(const Hooked&) = delete;
  Hooked& operator=(const Hooked&) = delete;
  ~Hooked() { mg_cuda::emulation::set_hook(nullptr); }
};

bool is_call(const Call& call, const char* function) { return std::strcmp(call.function, function) == 0; }
mg_cuda::cudaError_t error_of(int number) { return static_cast<mg_cuda::cudaError_t>(number); }

/// Runs on a thread that has not used a device before.
template <class Work>
void on_fresh_thread(const Work& work) {
  std::thread(work).join();
}

/// y[n, 2] = x[n, 3] kernel + bias, on a device.
class Dense {
 public:
  static constexpr int64_t kIn = 3, kOut = 2;

  /// trains: with gradients, so that rows have something in common.
  explicit Dense(int device, bool trains = false) : backend(mg_cuda_backend(device)) {
    Program program("dense");
    const mg_view x = program.input(kIn, {}), kernel = program.parameter({1, 2, 3, 4, 5, 6}), bias = program.parameter({10, 20});
    const mg_view y = program.output(kOut);
    program.add(mg_dense_forward{x, kernel, bias, kAbsent, y, MG_LINEAR});
    if (trains) program.add(mg_dense_backward{x, kernel, bias, kAbsent, y, y, kAbsent, kGradients, MG_LINEAR, 0});
    program.close_store(trains ? 1 : 0);
    const mg_program compiled{
        program.buffers.data(), static_cast<uint32_t>(program.buffers.size()), program.ops.data(), static_cast<uint32_t>(program.ops.size()), 0, 0};
    status = backend->compile(&compiled, nullptr, &plan_, &error);
    data_.resize(program.buffers.size());
    for (size_t i = 0; status == MG_OK && i < data_.size(); i++) {
      if (program.buffers[i].buffer_class < MG_PARAMETER) continue;
      status = backend->allocate(program.buffers[i].count, &data_[i], &error);
      const auto& values = program.floats[i];
      if (status == MG_OK && !values.empty()) status = backend->write(data_[i], 0, values.data(), static_cast<int64_t>(values.size()), &error);
    }
    x_ = static_cast<size_t>(x.buffer), y_ = static_cast<size_t>(y.buffer);
  }
  Dense(const Dense&) = delete;
  Dense& operator=(const Dense&) = delete;
  ~Dense() {
    backend->destroy(plan_);
    for (size_t i = 0; i < data_.size(); i++)
      if (i != x_ && i != y_) backend->release(data_[i]);
  }

  /// Runs the rows at `x`. `request` tells of the data set, if there is one.
  std::vector<float> run(const float* x, int64_t rows, mg_run request = {}) {
    std::vector<float> y(static_cast<size_t>(rows * kOut), NAN);
    data_[x_] = const_cast<float*>(x), data_[y_] = y.data();
    request.last_phase = MG_PHASE_TABLES;
    request.rows = rows, request.data = data_.data(), request.parameter_version = 1, request.threads = 1;
    status = backend->run(plan_, &request, &error);
    return y;
  }

  static std::vector<float> expected(const float* x, int64_t rows) {
    std::vector<float> y;
    for (int64_t r = 0; r < rows; r++, x += kIn)
      for (int out = 0; out < 2; out++) y.push_back(x[0] * (1 + out) + x[1] * (3 + out) + x[2] * (5 + out) + 10 * (1 + out));
    return y;
  }

  const mg_backend* backend;
  mg_status status;
  mg_error error{};

 private:
  mg_plan* plan_ = nullptr;
  std::vector<void*> data_;
  size_t x_ = 0, y_ = 0;
};

std::vector<float> some_rows(int64_t rows, int start = 0) {
  std::vector<float> x(static_cast<size_t>(rows * Dense::kIn));
  for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>((i * 7 + static_cast<size_t>(start)) % 23);
  return x;
}

mg_run data_set(uint64_t number, int64_t rows, mg_data_place place, int64_t first = 0) {
  mg_run request{};
  request.data_set = number, request.data_set_rows = rows, request.data_place = place, request.data_set_first = first;
  return request;
}

std::string told(const Dense& dense) { return "status " + std::to_string(dense.status) + ", " + dense.error.text; }

void check_run(Report& report, const std::string& what, const Dense& dense, const std::vector<float>& got, const std::vector<float>& want) {
  report.check(dense.status == MG_OK, what + ": runs", told(dense));
  if (dense.status == MG_OK) report.check(got == want, what + ": values", "they differ");
}

std::string contexts() {
  std::string list = "contexts on";
  for (int i = 0; i < mg_cuda::kMostDevices; i++)
    if (has_context(i)) list += " " + std::to_string(i);
  return list;
}

void check_contexts(Report& report) {
  bool all = true;
  for (int i = 0; i < mg_cuda::kMostDevices; i++) {
    mg_device_info info{};
    mg_error error{};
    all = mg_cuda_backend(i)->available(&error) == MG_OK && all;
    mg_cuda_backend(i)->describe(&info);
    all = all && info.memory_bytes > 0 && info.free_bytes == 0;
  }
  report.check(all, "devices are described before they are used", "one was not");
  report.check(contexts() == "contexts on", "a list of devices makes no context", contexts() + ", expected on none");

  const int device = fresh_device();
  const std::string own = "contexts on " + std::to_string(device);
  auto dense = std::unique_ptr<Dense>();
  const std::vector<float> x = some_rows(8);
  on_fresh_thread([&] {
    dense = std::make_unique<Dense>(device);
    check_run(report, "a plan on another device", *dense, dense->run(x.data(), 8, data_set(1, 8, MG_DATA_DEVICE)), Dense::expected(x.data(), 8));
  });
  mg_device_info info{};
  on_fresh_thread([&] { dense->backend->describe(&info); });
  report.check(info.free_bytes > 0, "the free memory of a device in use is known", "it is 0");
  const size_t kept = live_bytes(device);
  on_fresh_thread([&] { dense->backend->forget(1); });
  report.check(live_bytes(device) < kept && contexts() == own, "a data set is forgotten on its device", contexts() + ", expected " + own);
  on_fresh_thread([&] { dense.reset(); });
  report.check(contexts() == own, "a plan and its memory are released on their device", contexts() + ", expected " + own);
}

__global__ void fill_kernel(float* to, float value) {
  mg_cuda::begin_kernel();
  if (mg_cuda::lane() == 0) mg_cuda::shared_memory<float>()[0] = value;
  mg_cuda::warp_barrier();
  to[mg_cuda::lane()] = mg_cuda::shared_memory<float>()[0];
}

/// Launches a kernel with more shared memory than it has without asking.
float filled(int device, float value) {
  mg_cuda::use_device(device);
  mg_cuda::DeviceMemory memory;
  memory.reserve(32 * sizeof(float));
  mg_cuda::Stream stream;
  stream.launch(fill_kernel, {1}, 32, 60 * 1024, memory.data<float>(), value);
  stream.synchronize();
  float result = 0;
  mg_cuda::copy_from_device(&result, memory.data<float>() + 31, sizeof result);
  return result;
}

void check_attributes(Report& report) {
  for (const int device : {fresh_device(), fresh_device()}) {
    const std::string what = "60 KiB of shared memory on device " + std::to_string(device);
    try {
      report.check(filled(device, 3) == 3, what, "wrong value");
    } catch (const mg_cuda::Fault& fault) {
      report.check(false, what, fault.text);
    }
  }
}

void check_prefetch(Report& report) {
  const std::vector<float> x = some_rows(64);
  Dense dense(kDevice, true);
  mg_run request = data_set(2, 64, MG_DATA_HOST);
  request.next_rows = 16;
  bool launched = false;
  {
    const Hooked pinned_memory_is_gone([&](const Call& call) {
      launched = launched || is_call(call, "cudaGraphLaunch");
      return error_of(launched && is_call(call, "cudaMallocHost") ? 2 : 0);
    });
    check_run(report, "a step whose next rows cannot be brought", dense, dense.run(x.data(), 16, request), Dense::expected(x.data(), 16));
  }
  request.data_set_first = 16, request.next_rows = 0;
  const float* const next = x.data() + 16 * Dense::kIn;
  check_run(report, "the step after it", dense, dense.run(next, 16, request), Dense::expected(next, 16));
}

void check_next_rows(Report& report) {
  const std::vector<float> x = some_rows(5000);
  Dense dense(kDevice, true);
  mg_run request = data_set(3, 5000, MG_DATA_HOST);
  request.next_rows = 4990;
  check_run(report, "a step before a larger one", dense, dense.run(x.data(), 10, request), Dense::expected(x.data(), 10));
  request.data_set_first = 10, request.next_rows = 0;
  const float* const next = x.data() + 10 * Dense::kIn;
  check_run(report, "the larger one", dense, dense.run(next, 4990, request), Dense::expected(next, 4990));
}

void check_kinds(Report& report) {
  using mg_cuda::ErrorKind, mg_cuda::kind_of;
  const auto all = [&](const char* what, ErrorKind kind, std::vector<int> errors) {
    for (const int error : errors)
      report.check(kind_of(error) == kind, std::string("error ") + std::to_string(error) + " " + what, "it has another kind");
  };
  all("has no memory", ErrorKind::kMemory, {2});
  all("may pass", ErrorKind::kUnavailable, {3, 35, 46, 100, 101, 802, 805, 807, 809});
  all("ends a capture", ErrorKind::kCapture, {900, 901, 904, 905, 906, 907, 908});
  all("loses the device", ErrorKind::kLost, {214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911, 999});
  all("is to be asked again", ErrorKind::kOther, {1, 98, 209, 400, 701, 720, 910, 5000});
}

/// What a run and the runs after it say if one call of the runtime fails with `error`, and each later one if `repeats`.
void check_failure(Report& report, const char* function, int error, bool repeats, mg_status first, mg_status later) {
  const std::string what = std::string(function) + " fails with error " + std::to_string(error) + (repeats ? " again and again" : " once");
  Dense dense(fresh_device());
  const std::vector<float> x = some_rows(4);
  dense.run(x.data(), 4);
  report.check(dense.status == MG_OK, what + ": works before", told(dense));
  {
    bool failed = false;
    const Hooked fails([&](const Call& call) {
      if (failed ? !repeats : !is_call(call, function)) return error_of(0);
      failed = true;
      return error_of(error);
    });
    dense.run(x.data(), 4);
    report.check(failed && dense.status == first, what + ": the call", told(dense) + ", expected status " + std::to_string(first));
  }
  const std::vector<float> y = dense.run(x.data(), 4);
  report.check(dense.status == later, what + ": a later call", told(dense) + ", expected status " + std::to_string(later));
  if (later == MG_OK) report.check(y == Dense::expected(x.data(), 4), what + ": later values", "they differ");
  report.check(dense.backend->available(&dense.error) == later, what + ": is it available", dense.error.text);
}

void check_failures(Report& report) {
  check_kinds(report);
  check_failure(report, "cudaSetDevice", 46, false, MG_UNSUPPORTED, MG_OK);
  check_failure(report, "cudaStreamSynchronize", 721, true, MG_DEVICE_LOST, MG_DEVICE_LOST);
  check_failure(report, "cudaGraphLaunch", 98, false, MG_INTERNAL, MG_OK);
  check_failure(report, "cudaGraphLaunch", 98, true, MG_DEVICE_LOST, MG_DEVICE_LOST);
}

void check_capture(Report& report) {
  const int device = kDevice;
  std::string failure;
  const auto guarded = [&](const auto& work) {
    try {
      work();
    } catch (const mg_cuda::Fault& fault) {
      failure += fault.text + "; ";
    }
  };
  std::vector<float> brought(4, NAN);
  guarded([&] {
    mg_cuda::use_device(device);
    mg_cuda::DeviceMemory memory;
    memory.reserve(32 * sizeof(float));
    mg_cuda::Stream stream;
    stream.begin_capture();
    stream.launch(fill_kernel, {1}, 32, 4, memory.data<float>(), 5.0f);
    on_fresh_thread([&] {
      guarded([&] {
        mg_cuda::use_device(device);
        mg_cuda::DeviceMemory other;
        other.reserve(brought.size() * sizeof(float));
        mg_cuda::copy_from_device(brought.data(), other.data(), brought.size() * sizeof(float));
      });
    });
    stream.run(stream.end_capture());
    stream.synchronize();
    float value = 0;
    mg_cuda::copy_from_device(&value, memory.data(), sizeof value);
    if (value != 5) failure += "the graph has not run";
  });
  report.check(failure.empty(), "memory is allocated while another thread captures", failure);
  report.check(brought == std::vector<float>(4, 0), "memory starts as 0", "it does not");
}

void check_columns(Report& report) {
  const std::vector<float> first = some_rows(8), second = some_rows(8, 5);
  Dense dense(kDevice);
  for (const auto* const column : {&first, &second, &first})
    check_run(report, "a data set under another column", dense, dense.run(column->data(), 8, data_set(4, 8, MG_DATA_DEVICE)),
              Dense::expected(column->data(), 8));
  for (const auto* const column : {&first, &second, &first})
    check_run(report, "the same from the host", dense, dense.run(column->data(), 8, data_set(4, 8, MG_DATA_HOST)),
              Dense::expected(column->data(), 8));
}

void check_placement(Report& report) {
  constexpr int64_t kRows = 1000;
  const std::vector<float> x = some_rows(kRows);
  const int device = kDevice;
  Dense dense(device);
  dense.run(x.data(), 8, data_set(0, 0, MG_DATA_HOST));
  const Hooked memory_is_gone(
      [&](const Call& call) { return error_of(is_call(call, "cudaMalloc") && call.bytes == x.size() * sizeof(float) ? 2 : 0); });
  check_run(report, "'auto', and the memory is gone after it was counted", dense, dense.run(x.data(), 8, data_set(5, kRows, MG_DATA_AUTO)),
            Dense::expected(x.data(), 8));
  dense.run(x.data(), 8, data_set(6, kRows, MG_DATA_DEVICE));
  report.check(dense.status == MG_OUT_OF_MEMORY, "'device', and the memory is gone after it was counted", told(dense));
}

/// While one data set is copied to the device, another one can be forgotten.
void check_forget(Report& report) {
  constexpr int64_t kRows = 100000;
  const std::vector<float> x = some_rows(kRows);
  Dense dense(kDevice);
  std::promise<void> copying, go_on;
  std::atomic<bool> waited{false};
  const Hooked slow([&](const Call& call) {
    if (!is_call(call, "cudaMemcpyAsync") || call.bytes < x.size() * sizeof(float) || waited.exchange(true)) return error_of(0);
    copying.set_value();
    go_on.get_future().wait();
    return error_of(0);
  });
  std::vector<float> y;
  std::thread runner([&] { y = dense.run(x.data(), 8, data_set(7, kRows, MG_DATA_DEVICE)); });
  copying.get_future().wait();
  auto forgotten = std::async(std::launch::async, [&] { dense.backend->forget(8); });
  const bool in_time = forgotten.wait_for(std::chrono::seconds(3)) == std::future_status::ready;
  go_on.set_value();
  runner.join();
  report.check(in_time, "a data set is forgotten while another one is copied", "it waited for the copy");
  check_run(report, "the run that copied", dense, y, Dense::expected(x.data(), 8));
}

void check_row_numbers(Report& report) {
  constexpr int64_t kRows = (int64_t{1} << 31) + 100, kFirst = kRows - 32;
  const std::vector<float> x = some_rows(32);
  Dense dense(kDevice);
  dense.run(x.data(), 8, data_set(9, kRows, MG_DATA_DEVICE, kFirst));
  const std::string text = dense.error.text;
  report.check(dense.status == MG_UNSUPPORTED && text.find("2147483748 rows, expected at most 2147483647") != std::string::npos &&
                   text.find("dataPlacement 'auto'") != std::string::npos,
               "a data set of more rows than int32 counts, on the device", told(dense));
  mg_run request = data_set(9, kRows, MG_DATA_AUTO, kFirst);
  for (int64_t first = 0; first < 32; first += 8) {
    request.data_set_first = kFirst + first, request.next_rows = first < 24 ? 8 : 0;
    const float* const rows = x.data() + first * Dense::kIn;
    check_run(report, "the same data set from the host", dense, dense.run(rows, 8, request), Dense::expected(rows, 8));
  }
}

/// Counts captures while it lives.
struct Captures {
  std::atomic<int> count{0};
  Hooked hooked{[this](const Call& call) { return count += is_call(call, "cudaStreamBeginCapture"), error_of(0); }};
};

void check_graphs(Report& report) {
  constexpr int64_t kMost = 300;
  const std::vector<float> x = some_rows(kMost);
  const auto run_all = [&](Dense& dense, const std::string& what, const std::vector<int64_t>& sizes) {
    Captures captures;
    bool same = true;
    for (const int64_t rows : sizes) same = same && dense.run(x.data(), rows) == Dense::expected(x.data(), rows) && dense.status == MG_OK;
    report.check(same, what + ": values", told(dense));
    return captures.count.load();
  };
  Dense predicts(kDevice);
  predicts.run(x.data(), kMost);
  std::vector<int64_t> sizes(kMost);
  std::iota(sizes.begin(), sizes.end(), 1);
  const int captures = run_all(predicts, "predictions of all sizes", sizes);
  report.check(captures <= 10, "predictions of all sizes share graphs", std::to_string(captures) + " captures for 300 sizes, expected at most 10");

  Dense trains(kDevice, true);
  trains.run(x.data(), kMost);
  std::vector<int64_t> often;  // one size between all others
  for (int64_t rows = 2; rows < 100; rows++) often.insert(often.end(), {1, rows});
  const int found = run_all(trains, "steps of many sizes", often);
  report.check(found == 99, "the graph that is used most stays", std::to_string(found) + " captures for 99 sizes, expected 99");
}

/// Kernels that are brought up early give the same bits, and only a kernel is overlapped: else the emulation refuses the launch.
void check_overlap(Report& report) {
  const size_t before = mg_cuda::emulation::overlapping_launches();
  const auto results = [](const char* overlap) {
    setenv("MULTIGATE_CUDA_OVERLAP", overlap, 1);
    std::vector<std::vector<std::vector<double>>> all;
    for (const mg_op_kind op : {MG_OP_mixture_backward, MG_OP_dense_backward, MG_OP_embedding_update, MG_OP_optimize})
      for (uint64_t seed = 0; seed < 4; seed++) {
        Random random(seed);
        all.push_back(run(make_case(op, random, 37), {"", mg_cuda_backend(kDevice), ""}).buffers);
      }
    unsetenv("MULTIGATE_CUDA_OVERLAP");
    return all;
  };
  const auto one_by_one = results("0");
  report.check(mg_cuda::emulation::overlapping_launches() == before, "kernels one by one", "some overlapped");
  report.check(results("1") == one_by_one, "overlapping kernels", "other bits than one by one");
  const size_t overlapped = mg_cuda::emulation::overlapping_launches() - before;
  report.check(overlapped > 16, "overlapping kernels", std::to_string(overlapped) + " launches");
}

/// A row has the same bits alone, where rows without outputs are computed beside it, and among others.
void check_rows_alone(Report& report) {
  const int device = kDevice;
  int checked = 0;
  for (int op = 0; op < MG_OP_COUNT; op++)
    for (uint64_t seed = 0; seed < 6; seed++) {
      Random random(seed * 1009 + static_cast<uint64_t>(op)), again(seed * 1009 + static_cast<uint64_t>(op));
      Program program = make_case(static_cast<mg_op_kind>(op), random, 37);
      // Forward only: without what sums over rows.
      std::erase_if(program.ops, [](const mg_op& o) {
        switch (o.kind) {
          case MG_OP_copy_columns:
          case MG_OP_embedding_gather:
          case MG_OP_dense_forward:
          case MG_OP_mixture_forward:
          case MG_OP_fusion_forward:
          case MG_OP_binary_predict:
          case MG_OP_regression_predict:
          case MG_OP_ziln_predict:
          case MG_OP_ordinal_predict:
          case MG_OP_product_predict:
          case MG_OP_multiclass_predict: return false;
          default: return true;
        }
      });
      if (program.ops.empty()) continue;
      for (mg_buffer& buffer : program.buffers) {
        if (buffer.buffer_class == MG_STORED) buffer.buffer_class = MG_ACTIVATION;
        if (buffer.buffer_class == MG_GRADIENT) buffer.buffer_class = MG_STATE;
      }
      program.scalar_outputs = 0;
      for (const mg_precision precision : {MG_PRECISION_F32, MG_PRECISION_BF16}) {
        const Place place{"cuda", mg_cuda_backend(device), "", precision};
        const Result together = run(program, place);
        const std::string what = std::string(op_name(static_cast<mg_op_kind>(op))) + " of single rows";
        if (!together.failure.empty()) {
          report.check(false, what, together.failure);
          continue;
        }
        bool same = true;
        for (const int32_t row : {0, 17, 36}) {
          if (row >= program.rows) continue;
          Program alone = program;
          alone.rows = 1;
          const Result one = run(alone, place, {2, &row, false, {}, {}});
          for (size_t i = 0; i < program.buffers.size(); i++) {
            if (program.buffers[i].buffer_class != MG_ROW_OUTPUT) continue;
            const auto width = static_cast<size_t>(program.buffers[i].width);
            same = same && one.failure.empty() &&
                   std::memcmp(one.buffers[i].data(), together.buffers[i].data() + static_cast<size_t>(row) * width, width * sizeof(double)) == 0;
          }
        }
        checked++;
        report.check(same, what + ", seed " + std::to_string(seed), "other bits than among others");
      }
    }
  report.check(checked > 50, "rows alone", std::to_string(checked) + " programs");
}

void check_infinities(Report& report) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kLargest = std::numeric_limits<float>::max();
  for (const float value : {0.0f, 1.5f, -1 / 3.0f, 1e-30f, 1e30f, kLargest, -kLargest, kInfinity, -kInfinity}) {
    uint32_t high = 0, low = 0;
    mg_cuda::split_tf32(value, high, low);
    const float sum = mg_cuda::float_of_bits(high) + mg_cuda::float_of_bits(low);
    const bool close = std::isinf(value) ? sum == value : std::abs(sum - value) <= std::abs(value) * 0x1p-10f;
    report.check(close && ((high | low) & 0x1FFFu) == 0, "two parts of " + std::to_string(value), "their sum is " + std::to_string(sum));
  }
  uint32_t high = 0, low = 0;
  mg_cuda::split_tf32(NAN, high, low);
  report.check(std::isnan(mg_cuda::float_of_bits(high) + mg_cuda::float_of_bits(low)), "two parts of NaN", "their sum is a number");

  // Wide enough for the kernels that split their operands. A row has at most one infinite input: two may give NaN.
  constexpr int64_t kRows = 5, kIn = 40, kOut = 24;
  Random random(3);
  std::vector<float> x = random.floats(kRows * kIn);
  x[3] = kInfinity, x[kIn + 39] = -kInfinity, x[2 * kIn] = kLargest / 64, x[3 * kIn + 8] = -kLargest / 64;
  Program program("infinite inputs");
  program.rows = kRows;
  const mg_view in = program.input(kIn, x), kernel = program.parameter(random.floats(kIn * kOut)), out = program.output(kOut);
  program.add(mg_dense_forward{in, kernel, kAbsent, kAbsent, out, MG_LINEAR});
  program.close_store(0);
  const auto values = [&](const mg_backend* backend) { return run(program, {"", backend, ""}).buffers[static_cast<size_t>(out.buffer)]; };
  const std::vector<double> got = values(mg_cuda_backend(kDevice)), want = values(mg_reference_backend());
  size_t wrong = 0, infinite = 0;
  for (size_t i = 0; i < want.size(); i++) {
    infinite += std::isinf(want[i]);
    wrong += std::isinf(want[i]) ? got[i] != want[i] : !(std::abs(got[i] - want[i]) <= 1e-3 * std::abs(want[i]) + 1e-4);
  }
  report.check(wrong == 0 && infinite == 2 * kOut, "infinite inputs of dense layers in float32",
               std::to_string(wrong) + " of " + std::to_string(want.size()) + " outputs are wrong");
}

}  // namespace

void check_device_faults(Report& report) {
  mg_cuda::emulation::set_device_count(mg_cuda::kMostDevices);
  check_contexts(report);
  check_attributes(report);
  check_prefetch(report);
  check_next_rows(report);
  check_failures(report);
  check_capture(report);
  check_columns(report);
  check_placement(report);
  check_forget(report);
  check_row_numbers(report);
  check_graphs(report);
  check_infinities(report);
  check_overlap(report);
  check_rows_alone(report);
  mg_cuda::emulation::set_device_count(2);
}

}  // namespace selftest
