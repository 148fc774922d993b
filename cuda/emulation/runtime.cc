// See runtime.h. One lock guards all of it, also while kernels run.
#include "cuda/device/runtime.h"

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace mg_cuda {

using Work = std::function<void()>;
using Clock = std::chrono::steady_clock;

// Work that streams record until the first of them ends the capture. As in a graph, a branch runs as late as the waits allow.
struct Capture {
  std::thread::id thread;
  EmulatedStream* origin;
  bool valid = true;
  std::vector<std::shared_ptr<EmulatedStream>> streams;
};

struct EmulatedStream {
  int device;
  std::deque<Work> work;
  uint64_t queued = 0, done = 0;
  std::shared_ptr<Capture> capture;
  std::deque<Work> captured;
  bool after_kernel = false;  // what was queued last is a kernel
  uint64_t joined = 0;        // captured work that another stream of the capture waits for, and has taken over
};

// A point in a stream's work.
struct EmulatedEvent {
  std::shared_ptr<EmulatedStream> stream;
  uint64_t position = 0;
  std::shared_ptr<Capture> capture;  // if the point is in one: the position counts captured work
  std::shared_ptr<Clock::time_point> time;
};

struct EmulatedGraph {
  std::shared_ptr<const std::vector<Work>> nodes;
};

namespace {

constexpr size_t kMemoryBytes = size_t{8} << 30;
constexpr size_t kSharedWithoutAsking = 48 * 1024;

struct Machine {
  std::mutex lock;
  bool contexts[kMostDevices] = {};
  size_t live_bytes[kMostDevices] = {};
  std::map<const void*, std::pair<int, size_t>> memory;  // device and bytes
  std::map<const void*, size_t> pinned;
  std::map<EmulatedStream*, std::shared_ptr<EmulatedStream>> streams;
  std::set<std::shared_ptr<Capture>> captures;
  std::map<std::pair<int, const void*>, size_t> shared_bytes;  // that a kernel may have on a device
};

Machine& machine() {
  static auto* const one = new Machine;  // never destroyed: memory is released after main ends
  return *one;
}

std::atomic<int> devices{2};
std::atomic<size_t> overlapping{0};
std::mutex hook_lock;
std::shared_ptr<const emulation::Hook> hook;
thread_local int current = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t failed(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t ask_hook(const char* function, size_t bytes) {
  std::shared_ptr<const emulation::Hook> asked;
  {
    const std::lock_guard lock(hook_lock);
    asked = hook;
  }
  return asked == nullptr ? cudaSuccess : failed((*asked)({function, current, bytes}));
}

// A call that needs a context of the thread's device, and makes one if there is none.
template <class Body>
cudaError_t call(const char* function, size_t bytes, const Body& body) {
  if (const cudaError_t error = ask_hook(function, bytes); error != cudaSuccess) return error;
  const std::lock_guard lock(machine().lock);
  machine().contexts[current] = true;
  return failed(body());
}
template <class Body>
cudaError_t call(const char* function, const Body& body) {
  return call(function, 0, body);
}

void run_until(EmulatedStream& stream, uint64_t position) {
  while (stream.done < position) {
    const Work work = std::move(stream.work.front());
    stream.work.pop_front();
    stream.done++;
    work();
  }
}

void run_all(int device) {
  for (const auto& [key, stream] : machine().streams)
    if (stream->device == device) run_until(*stream, stream->queued);
}

cudaError_t refuse(Capture& capture) {
  capture.valid = false;
  return cudaErrorStreamCaptureUnsupported;
}

// What a thread must not call while it captures.
template <class Body>
cudaError_t call_outside_capture(const char* function, size_t bytes, const Body& body) {
  return call(function, bytes, [&]() -> cudaError_t {
    for (const auto& capture : machine().captures)
      if (capture->thread == std::this_thread::get_id()) return refuse(*capture);
    return body();
  });
}

void add(EmulatedStream& stream, Work work) {
  stream.after_kernel = false;
  if (stream.capture != nullptr)
    stream.captured.push_back(std::move(work));
  else
    stream.work.push_back(std::move(work)), stream.queued++;
}

void join_capture(EmulatedStream& stream, std::shared_ptr<Capture> capture) {
  capture->streams.push_back(machine().streams.at(&stream));
  stream.capture = std::move(capture), stream.joined = 0, stream.after_kernel = false;
}

bool is_dry() {
  static const bool dry = std::getenv("MULTIGATE_EMULATED_DRY") != nullptr;
  return dry;
}

void* allocated(size_t bytes) {
  void* data = nullptr;  // aligned like cudaMalloc's, and no byte longer than asked for
  if (posix_memalign(&data, 256, bytes == 0 ? 1 : bytes) != 0) return nullptr;
  if (!is_dry()) std::memset(data, 0xFF, bytes);
  return data;
}

bool is_pinned(const void* data) {
  auto after = machine().pinned.upper_bound(data);
  if (after == machine().pinned.begin()) return false;
  const auto& [start, bytes] = *std::prev(after);
  return static_cast<const char*>(data) < static_cast<const char*>(start) + bytes;
}

}  // namespace

namespace emulation {

void set_hook(Hook next) {
  const std::lock_guard lock(hook_lock);
  hook = next ? std::make_shared<const Hook>(std::move(next)) : nullptr;
}

void set_device_count(int count) { devices = count; }

bool has_context(int device) {
  const std::lock_guard lock(machine().lock);
  return machine().contexts[device];
}

size_t live_bytes(int device) {
  const std::lock_guard lock(machine().lock);
  return machine().live_bytes[device];
}

size_t overlapping_launches() { return overlapping; }

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, Work thread) {
  return call("cudaLaunchKernel", config.dynamicSmemBytes, [&, stream = config.stream, bytes = config.dynamicSmemBytes] {
    if (stream->device != current) return cudaErrorInvalidResourceHandle;
    const auto allowed = machine().shared_bytes.find({current, kernel});
    if (bytes > (allowed == machine().shared_bytes.end() ? kSharedWithoutAsking : allowed->second)) return cudaErrorInvalidValue;
    if (config.numAttrs > 0) {
      if (!stream->after_kernel) return cudaErrorInvalidValue;  // only a kernel can be overlapped
      overlapping++;
    }
    const Grid grid{config.gridDim.x, config.gridDim.y};
    const auto threads = static_cast<int>(config.blockDim.x);
    const auto runs = [=, thread = that_begins(std::move(thread))] { run_grid(grid, threads, bytes, thread); };
    add(*stream, is_dry() && threads > 32 ? Work([] {}) : runs);
    stream->after_kernel = true;
    return cudaSuccess;
  });
}

}  // namespace emulation

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorDevicesUnavailable: return "devices are busy or unavailable";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureUnjoined: return "capturing stream has unjoined work";
    case cudaErrorStreamCaptureIsolation: return "dependency created on uncaptured work in another stream";
    default: return "an error that a test asked for";
  }
}

// These two need no context and no lock: run_grid asks for the device's facts.
cudaError_t cudaGetDeviceCount(int* count) {
  if (const cudaError_t error = ask_hook("cudaGetDeviceCount", 0); error != cudaSuccess) return error;
  *count = devices;
  return cudaSuccess;
}

// MULTIGATE_EMULATED_CAPABILITY: 8 for a device without warpgroup instructions. Devices differ in their number of multiprocessors:
// MULTIGATE_EMULATED_MULTIPROCESSORS of the first.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (const cudaError_t error = ask_hook("cudaGetDeviceProperties", 0); error != cudaSuccess) return error;
  if (device >= devices) return failed(cudaErrorInvalidDevice);
  const auto setting = [](const char* name, int otherwise) {
    const char* const given = std::getenv(name);
    return given != nullptr ? std::atoi(given) : otherwise;
  };
  *properties = {"emulated by the CPU",
                 setting("MULTIGATE_EMULATED_CAPABILITY", 9),
                 0,
                 setting("MULTIGATE_EMULATED_MULTIPROCESSORS", 4) + device,
                 kMemoryBytes,
                 227 * 1024,
                 228 * 1024};
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device >= devices) return failed(cudaErrorInvalidDevice);
  const int before = std::exchange(current, device);
  const cudaError_t error = call("cudaSetDevice", [] { return cudaSuccess; });
  if (error != cudaSuccess) current = before;
  return error;
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [] {
    for (const auto& capture : machine().captures)
      if (capture->origin->device == current) return refuse(*capture);
    run_all(current);
    return cudaSuccess;
  });
}

// MULTIGATE_EMULATED_FREE_BYTES: for tests of running out of memory.
cudaError_t cudaMemGetInfo(size_t* free, size_t* all) {
  return call("cudaMemGetInfo", [=] {
    const char* given = std::getenv("MULTIGATE_EMULATED_FREE_BYTES");
    *all = kMemoryBytes;
    *free = given != nullptr ? static_cast<size_t>(std::atoll(given)) : kMemoryBytes - machine().live_bytes[current];
    return cudaSuccess;
  });
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  return call_outside_capture("cudaMalloc", bytes, [=] {
    size_t& live = machine().live_bytes[current];
    *data = bytes > kMemoryBytes - live ? nullptr : allocated(bytes);
    if (*data == nullptr) return cudaErrorMemoryAllocation;
    machine().memory[*data] = {current, bytes};
    live += bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaFree(void* data) {
  return call_outside_capture("cudaFree", 0, [=] {
    const auto known = machine().memory.find(data);
    if (known == machine().memory.end()) return cudaErrorInvalidValue;
    const auto [device, bytes] = known->second;
    run_all(device);
    machine().live_bytes[device] -= bytes;
    machine().memory.erase(known);
    std::free(data);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** data, size_t bytes) {
  return call_outside_capture("cudaMallocHost", bytes, [=] {
    *data = allocated(bytes);
    if (*data == nullptr) return cudaErrorMemoryAllocation;
    machine().pinned[*data] = bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaFreeHost(void* data) {
  return call_outside_capture("cudaFreeHost", 0, [=] {
    if (machine().pinned.erase(data) == 0) return cudaErrorInvalidValue;
    std::free(data);
    return cudaSuccess;
  });
}

// On the default stream, which the others do not wait for.
cudaError_t cudaMemset(void* data, int value, size_t bytes) {
  return call("cudaMemset", bytes, [=] { return std::memset(data, value, bytes), cudaSuccess; });
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  return call("cudaMemsetAsync", bytes, [=] { return add(*stream, [=] { std::memset(data, value, bytes); }), cudaSuccess; });
}

// What is not pinned goes through memory of the runtime: it is read at once, and written before the call returns.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return call("cudaMemcpyAsync", bytes, [=] {
    if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) {
      const auto* const first = static_cast<const char*>(from);
      add(*stream, [to, staged = std::vector<char>(first, first + bytes)] { std::memcpy(to, staged.data(), staged.size()); });
      return cudaSuccess;
    }
    add(*stream, [=] { std::memcpy(to, from, bytes); });
    if (kind == cudaMemcpyDeviceToHost && !is_pinned(to)) run_until(*stream, stream->queued);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return call("cudaStreamCreateWithFlags", [=] {
    const auto made = std::make_shared<EmulatedStream>();
    made->device = current;
    machine().streams[made.get()] = made;
    *stream = made.get();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call("cudaStreamDestroy", [=] {
    run_until(*stream, stream->queued);
    machine().streams.erase(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call("cudaStreamSynchronize", [=] {
    if (stream == nullptr) return cudaSuccess;  // the default one, which never has work that waits
    if (stream->capture != nullptr) return refuse(*stream->capture);
    run_until(*stream, stream->queued);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", [=] {
    const std::shared_ptr<EmulatedStream> other = event->stream;
    if (other == nullptr) return cudaSuccess;
    if (event->capture == nullptr && stream->capture != nullptr) {
      stream->capture->valid = false;
      return cudaErrorStreamCaptureIsolation;
    }
    if (event->capture == nullptr) {
      add(*stream, [other, position = event->position] { run_until(*other, position); });
      return cudaSuccess;
    }
    if (stream->capture == nullptr) {
      join_capture(*stream, event->capture);
      return cudaSuccess;
    }
    for (; other->joined < event->position; other->joined++) {
      stream->captured.push_back(std::move(other->captured.front()));
      other->captured.pop_front();
    }
    stream->after_kernel = false;
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return call("cudaEventCreateWithFlags", [=] { return *event = new EmulatedEvent, cudaSuccess; });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", [=] { return delete event, cudaSuccess; });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", [=] {
    event->stream = machine().streams.at(stream);
    event->capture = stream->capture;
    event->position = stream->joined + stream->captured.size();
    if (stream->capture != nullptr) return cudaSuccess;
    event->time = std::make_shared<Clock::time_point>();
    add(*stream, [time = event->time] { *time = Clock::now(); });
    event->position = stream->queued;
    return cudaSuccess;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t first, cudaEvent_t last) {
  return call("cudaEventElapsedTime", [=] {
    *milliseconds = std::chrono::duration<float, std::milli>(*last->time - *first->time).count();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  return call("cudaStreamBeginCapture", [=] {
    const auto capture = std::make_shared<Capture>();
    capture->thread = std::this_thread::get_id(), capture->origin = stream;
    join_capture(*stream, capture);
    machine().captures.insert(capture);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return call("cudaStreamEndCapture", [=] {
    const std::shared_ptr<Capture> capture = stream->capture;
    auto nodes = std::make_shared<std::vector<Work>>(stream->captured.begin(), stream->captured.end());
    stream->captured.clear();
    bool joined = true;
    for (const auto& other : capture->streams) {
      joined = joined && other->captured.empty();
      other->captured.clear(), other->capture = nullptr;
    }
    machine().captures.erase(capture);
    if (!capture->valid) return cudaErrorStreamCaptureInvalidated;
    if (!joined) return cudaErrorStreamCaptureUnjoined;
    *graph = new EmulatedGraph{std::move(nodes)};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  return call("cudaGraphGetNodes", [=] { return *count = graph->nodes->size(), cudaSuccess; });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return call("cudaGraphInstantiate", [=] { return *executable = new EmulatedGraph(*graph), cudaSuccess; });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call("cudaGraphDestroy", [=] { return delete graph, cudaSuccess; });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  return call("cudaGraphExecDestroy", [=] { return delete graph, cudaSuccess; });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  return call("cudaGraphLaunch", [=] {
    add(*stream, [nodes = graph->nodes] {
      for (const Work& work : *nodes) work();
    });
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  return call("cudaFuncSetAttribute", static_cast<size_t>(value), [=] {
    machine().shared_bytes[{current, kernel}] = static_cast<size_t>(value);
    return cudaSuccess;
  });
}

// The address in the file, which `nm` turns into a name: that of a kernel of an anonymous namespace is not known at run time.
cudaError_t cudaFuncGetName(const char** name, const void* kernel) {
  static std::map<const void*, std::string> names;
  const std::lock_guard lock(machine().lock);
  Dl_info file{};
  char text[32];
  if (dladdr(kernel, &file) == 0) return cudaErrorInvalidValue;
  std::snprintf(text, sizeof text, "%zx", static_cast<size_t>(static_cast<const char*>(kernel) - static_cast<const char*>(file.dli_fbase)));
  *name = names.try_emplace(kernel, text).first->second.c_str();
  return cudaSuccess;
}

int64_t chunk_bytes() { return is_dry() ? int64_t{32} << 20 : int64_t{256} << 10; }

}  // namespace mg_cuda
