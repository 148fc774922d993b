// See runtime.h.
#include "cuda/device/runtime.h"

#include "cuda/device/errors.h"
#include "cuda/device/warpgroup.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace mg_cuda {
namespace {

constexpr int kLeastMajor = 8;
constexpr double kProfiledMilliseconds = 0.5;  // approximate time per kernel
constexpr int kMostProfiledRuns = 20;
constexpr size_t kSharedWithoutAsking = 48 * 1024;

thread_local int device_in_use = 0;

// Per device. The first fault that ends its context sets it; never cleared.
std::mutex lost_mutex;
std::atomic<bool> is_lost[kMostDevices];
std::string lost_text[kMostDevices];

// Whether use_device has made a context.
std::atomic<bool> in_use[kMostDevices];

void check_not_lost(int number) {
  if (!is_lost[number].load()) return;
  const std::lock_guard lock(lost_mutex);
  throw Fault{MG_DEVICE_LOST, lost_text[number]};
}
void check_not_lost() { check_not_lost(device_in_use); }

[[noreturn]] void lose_device(const std::string& why) {
  const std::lock_guard lock(lost_mutex);
  std::string& reason = lost_text[device_in_use];
  if (!is_lost[device_in_use].load()) reason = "the CUDA device was lost and this process cannot use it again (" + why + "); start a new process";
  is_lost[device_in_use].store(true);
  throw Fault{MG_DEVICE_LOST, reason};
}

// Whether the device answers a call that should do nothing with the same error. The default stream has no work, and never captures.
bool repeats(cudaError_t error) {
  const cudaError_t next = cudaStreamSynchronize(nullptr);
  cudaGetLastError();
  return next == error;
}

DeviceFacts find_device(int number) {
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found != cudaSuccess) throw Fault{MG_UNSUPPORTED, std::string("no usable CUDA device: ") + cudaGetErrorString(found)};
  if (count <= number)
    throw Fault{MG_UNSUPPORTED, count == 0 ? "no CUDA device is visible"
                                           : "there is no CUDA device " + std::to_string(number) + ", " + std::to_string(count) + " are visible"};
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, number), "the CUDA device does not answer");
  if (properties.major < kLeastMajor)
    throw Fault{MG_UNSUPPORTED, std::string(properties.name) + " has compute capability " + std::to_string(properties.major) + "." +
                                    std::to_string(properties.minor) + ", expected 8.0 or later"};
  return {properties.name,
          properties.major,
          properties.minor,
          static_cast<int64_t>(properties.totalGlobalMem),
          properties.multiProcessorCount,
          properties.sharedMemPerBlockOptin,
          properties.sharedMemPerMultiprocessor,
          kEmulated};
}

// The facts of a device. Every call retries until they are known.
const DeviceFacts& facts_of(int number) {
  static std::mutex mutex;
  static std::optional<DeviceFacts> known[kMostDevices];
  const std::lock_guard lock(mutex);
  if (!known[number]) known[number] = find_device(number);
  return *known[number];
}

__global__ void tell_warpgroups_kernel(int* answer) {
  begin_kernel();
  if (threadIdx.x == 0) *answer = kHasWarpgroups ? 1 : 0;
}

// For memory and copies that the caller waits for. Not the default stream: the plans' streams do not wait for it, and a copy from memory that is
// not pinned may return before it has arrived. Not the whole device: it must not be waited for while another thread captures.
cudaStream_t waiting_stream() {
  static std::mutex mutex;
  static cudaStream_t streams[kMostDevices];  // never destroyed: at exit the device may already be gone
  const std::lock_guard lock(mutex);
  cudaStream_t& stream = streams[device_in_use];
  if (stream == nullptr) check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  return stream;
}

void copy_and_wait(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const char* what) {
  check_not_lost();
  const cudaStream_t stream = waiting_stream();
  check(cudaMemcpyAsync(to, from, bytes, kind, stream), what);
  check(cudaStreamSynchronize(stream), what);
}

std::string mebibytes(size_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

}  // namespace

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  const std::string text = std::string(what) + ": " + cudaGetErrorString(error);
  cudaGetLastError();  // clears an error that is not sticky
  switch (kind_of(error)) {
    case ErrorKind::kMemory: throw Fault{MG_OUT_OF_MEMORY, text};
    case ErrorKind::kUnavailable: throw Fault{MG_UNSUPPORTED, text};
    case ErrorKind::kCapture: throw Fault{MG_INTERNAL, text};
    case ErrorKind::kLost: lose_device(text);
    case ErrorKind::kOther:
      if (repeats(error)) lose_device(text);
      throw Fault{MG_INTERNAL, text};
  }
}

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) cudaGetLastError(), count = 0;
  return count < kMostDevices ? count : kMostDevices;
}

const DeviceFacts& usable_device(int number) {
  const DeviceFacts& facts = facts_of(number);
  check_not_lost(number);
  return facts;
}

void use_device(int number) {
  usable_device(number);
  device_in_use = number;
  check(cudaSetDevice(number), "the CUDA device cannot be used");
  in_use[number].store(true);
}

void select_device(int number) noexcept {
  device_in_use = number;
  if (cudaSetDevice(number) != cudaSuccess) cudaGetLastError();
}

bool is_in_use(int number) noexcept { return in_use[number].load(); }

const DeviceFacts& device_facts() { return facts_of(device_in_use); }

bool has_warpgroups() {
  if (device_facts().major != 9 || device_facts().minor != 0) return false;
  static std::mutex mutex;
  static std::optional<bool> known[kMostDevices];
  const std::lock_guard lock(mutex);
  auto& answer = known[device_in_use];
  if (answer) return *answer;
  DeviceMemory memory;
  memory.reserve(sizeof(int));
  Stream stream;
  stream.launch(tell_warpgroups_kernel, {1}, kWarp, 0, memory.data<int>());
  stream.synchronize();
  int value = 0;
  copy_from_device(&value, memory.data(), sizeof value);
  answer = value != 0;
  return *answer;
}

int64_t free_bytes() {
  size_t free_bytes = 0, all_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &all_bytes), "device memory");
  return static_cast<int64_t>(free_bytes);
}

void* device_allocate(size_t bytes) {
  check_not_lost();
  const cudaStream_t stream = waiting_stream();
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free_bytes = 0, all_bytes = 0;
    cudaMemGetInfo(&free_bytes, &all_bytes);
    throw Fault{MG_OUT_OF_MEMORY, mebibytes(bytes) + " of device memory are needed, " + mebibytes(free_bytes) + " of " + mebibytes(all_bytes) +
                                      " are free; use a smaller batch or model"};
  }
  check(error, "device memory");
  try {
    check(cudaMemsetAsync(data, 0, bytes, stream), "device memory");
    check(cudaStreamSynchronize(stream), "device memory");
  } catch (const Fault&) {
    device_release(data);
    throw;
  }
  return data;
}

void device_release(void* data) noexcept {
  if (data != nullptr) cudaFree(data);
}

void copy_to_device(void* device, const void* host, size_t bytes) {
  copy_and_wait(device, host, bytes, cudaMemcpyHostToDevice, "a copy to the device");
}

void copy_from_device(void* host, const void* device, size_t bytes) {
  copy_and_wait(host, device, bytes, cudaMemcpyDeviceToHost, "a copy from the device");
}

void* pinned_allocate(size_t bytes) {
  check_not_lost();
  void* data = nullptr;
  check(cudaMallocHost(&data, bytes), "pinned host memory");
  return data;
}

void pinned_release(void* data) noexcept {
  if (data != nullptr) cudaFreeHost(data);
}

Stream::Stream() {
  check_not_lost();
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
  const char* const asked = std::getenv("MULTIGATE_CUDA_OVERLAP");
  overlaps_ = asked != nullptr && std::strcmp(asked, "1") == 0 && facts_of(device_in_use).major >= 9;
}

// A kernel must request more than 48 KiB once on each device. Remembers the largest request.
void Stream::allow_shared(const void* kernel, size_t bytes) {
  if (bytes <= kSharedWithoutAsking) return;
  static std::mutex mutex;
  static std::map<std::pair<int, const void*>, size_t> allowed;
  const std::lock_guard lock(mutex);
  size_t& most = allowed[{device_in_use, kernel}];
  if (bytes <= most) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), "shared memory");
  most = bytes;
}

void Stream::add_to_profile(const void* kernel, Grid grid, int threads, const std::function<void()>& queue) {
  Timer timer;
  const auto milliseconds_of = [&](int runs) {
    timer.start(*this);
    for (int i = 0; i < runs; i++) queue();
    timer.stop(*this);
    synchronize();
    return timer.milliseconds() / runs;
  };
  const auto runs = static_cast<int>(std::clamp<double>(kProfiledMilliseconds / milliseconds_of(1), 1, kMostProfiledRuns));
  const char* name = nullptr;
  check(cudaFuncGetName(&name, kernel), "a kernel's name");
  profile_->push_back({name, grid, threads, milliseconds_of(runs)});
}

void Stream::upload(void* device, const void* pinned, size_t bytes) {
  after_kernel_ = false;
  check(cudaMemcpyAsync(device, pinned, bytes, cudaMemcpyHostToDevice, stream_), "a copy to the device");
}

void Stream::download(void* pinned, const void* device, size_t bytes) {
  after_kernel_ = false;
  check(cudaMemcpyAsync(pinned, device, bytes, cudaMemcpyDeviceToHost, stream_), "a copy from the device");
}

void Stream::copy(void* to, const void* from, size_t bytes) {
  after_kernel_ = false;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "a copy on the device");
}

void Stream::zero(void* device, size_t bytes) {
  after_kernel_ = false;
  check(cudaMemsetAsync(device, 0, bytes, stream_), "device memory");
}

void Stream::wait_for(Stream& other) {
  after_kernel_ = false;
  if (other.mark_ == nullptr) check(cudaEventCreateWithFlags(&other.mark_, cudaEventDisableTiming), "an event");
  check(cudaEventRecord(other.mark_, other.stream_), "an event");
  check(cudaStreamWaitEvent(stream_, other.mark_, 0), "an event");
}

void Stream::begin_capture() {
  after_kernel_ = false;
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "a capture");
}

Graph Stream::end_capture() {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream_, &graph), "a capture");
  Graph result;
  cudaError_t error = cudaGraphGetNodes(graph, nullptr, &result.nodes_);
  if (error == cudaSuccess) error = cudaGraphInstantiate(&result.graph_, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "a graph");
  return result;
}

void Stream::run(const Graph& graph) {
  after_kernel_ = false;
  check_not_lost();
  check(cudaGraphLaunch(graph.graph_, stream_), "a graph could not be launched");
}

void Stream::synchronize() {
  after_kernel_ = false;
  check(cudaStreamSynchronize(stream_), "the device failed in a kernel");
}

Timer::Timer() {
  check(cudaEventCreate(&first_), "an event");
  check(cudaEventCreate(&last_), "an event");
}

Timer::~Timer() {
  if (first_ != nullptr) cudaEventDestroy(first_);
  if (last_ != nullptr) cudaEventDestroy(last_);
}

void Timer::start(Stream& stream) { check(cudaEventRecord(first_, stream.stream_), "an event"); }
void Timer::stop(Stream& stream) { check(cudaEventRecord(last_, stream.stream_), "an event"); }

double Timer::milliseconds() const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, first_, last_), "an event");
  return static_cast<double>(milliseconds);
}

}  // namespace mg_cuda
