// The host's side of the device: memory, streams of queued work, graphs and faults. Besides the kernels' intrinsics it is the only part of
// the backend that calls the CUDA runtime. Tests run it on the CPU, on the runtime of emulation/runtime.h.
//
// Everything throws Fault. A fault that the device cannot recover from (MG_DEVICE_LOST) is permanent: every later call throws it again.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "abi/multigate.h"

#if defined(MG_EMULATION)
#include "cuda/emulation/runtime.h"
#else
#include <cuda_runtime.h>
namespace mg_cuda {
inline constexpr bool kEmulated = false;
// What a chunk of rows may pass on through the L2 cache: 32 of the 50 MiB of an H100. The same on every device, because sums depend on it.
inline constexpr int64_t chunk_bytes() { return int64_t{32} << 20; }
}  // namespace mg_cuda
#endif

namespace mg_cuda {

struct Fault {
  mg_status status;
  std::string text;
};

struct Grid {
  unsigned x = 1, y = 1;
};

// T without deduction, so that launch arguments convert to the kernel's parameters.
template <class T>
struct ExactlyType {
  using Type = T;
};
template <class T>
using Exactly = typename ExactlyType<T>::Type;

struct DeviceFacts {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int64_t memory_bytes = 0;
  int multiprocessors = 1;
  size_t shared_bytes = 0, shared_of_multiprocessor = 0;  // shared memory: most per block, and all
  bool emulated = false;                                  // by the CPU: correct but slow
};

// The time of one kernel alone.
struct KernelTime {
  std::string name;
  Grid grid;
  int threads;
  double milliseconds;
};

inline constexpr int kMostDevices = 16;

// Number of visible GPUs; 0 if there is no driver.
int device_count() noexcept;
// The facts of a device. Throws MG_UNSUPPORTED with the reason if it cannot be used, or MG_DEVICE_LOST. Makes no context on it: that takes
// some hundred MiB of its memory.
const DeviceFacts& usable_device(int number);
// Selects a device for the calling thread. Throws like usable_device.
void use_device(int number);
// The same for releasing memory: never throws, also for a device that is lost.
void select_device(int number) noexcept;
// Whether this process has used the device, so that it has a context there.
bool is_in_use(int number) noexcept;
// The facts of the calling thread's device.
const DeviceFacts& device_facts();
int64_t free_bytes();
// Whether kernels can use warpgroup instructions (warpgroup.h): the device has them and the kernels are compiled for it.
bool has_warpgroups();

// Other threads may capture meanwhile; the calling thread must not.
void* device_allocate(size_t bytes);  // zeroed; MG_OUT_OF_MEMORY gives the bytes needed and free
void device_release(void* data) noexcept;
void copy_to_device(void* device, const void* host, size_t bytes);    // waits
void copy_from_device(void* host, const void* device, size_t bytes);  // waits
void* pinned_allocate(size_t bytes);
void pinned_release(void* data) noexcept;

// Device memory, or pinned host memory, that only grows. Growing loses the contents.
template <void* (*kAllocate)(size_t), void (*kRelease)(void*) noexcept>
class Growing {
 public:
  Growing() = default;
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;
  ~Growing() { kRelease(data_); }

  void reserve(size_t bytes) {
    if (bytes <= bytes_) return;
    kRelease(data_);
    data_ = nullptr, bytes_ = 0;
    data_ = kAllocate(bytes);
    bytes_ = bytes;
  }
  template <class T = void>
  T* data() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};
using DeviceMemory = Growing<device_allocate, device_release>;
using PinnedMemory = Growing<pinned_allocate, pinned_release>;

// Throws the Fault for an error of the runtime.
void check(cudaError_t error, const char* what);

// A sequence of work, captured once.
class Graph {
 public:
  Graph() = default;
  Graph(Graph&& other) noexcept : graph_(std::exchange(other.graph_, nullptr)), nodes_(other.nodes_) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(graph_, other.graph_);
    nodes_ = other.nodes_;
    return *this;
  }
  ~Graph() {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }

  // Kernels, copies and fills.
  size_t nodes() const { return nodes_; }

 private:
  friend class Stream;
  cudaGraphExec_t graph_ = nullptr;
  size_t nodes_ = 0;
};

// A queue of work in order. Between begin_capture and end_capture it records work without running it.
class Stream {
 public:
  Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (stream_ != nullptr) cudaStreamSynchronize(stream_), cudaStreamDestroy(stream_);  // the memory it uses may be freed next
    if (mark_ != nullptr) cudaEventDestroy(mark_);
  }

  // Threads per block: a multiple of 32. With MULTIGATE_CUDA_OVERLAP=1, on devices that can, the kernel is brought up while the kernel before it
  // still runs, and waits for its end in begin_kernel(). No GPU has run that yet, so it is off by default.
  template <class... P>
  void launch(void (*kernel)(P...), Grid grid, int threads, size_t shared_bytes, Exactly<P>... arguments) {
    allow_shared(reinterpret_cast<const void*>(kernel), shared_bytes);
    cudaLaunchAttribute overlap{};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(grid.x, grid.y), config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = shared_bytes, config.stream = stream_, config.attrs = &overlap;
    const auto queue = [&] {
      config.numAttrs = overlaps_ && after_kernel_ ? 1 : 0;
      check(cudaLaunchKernelEx(&config, kernel, arguments...), "a kernel could not be launched");
      after_kernel_ = true;
    };
    queue();
    if (profile_ != nullptr) add_to_profile(reinterpret_cast<const void*>(kernel), grid, threads, queue);
  }

  // From here on runs every kernel several more times and adds its time to the list; null: stop. Do not call it while capturing.
  void profile(std::vector<KernelTime>* times) { profile_ = times; }

  void upload(void* device, const void* pinned, size_t bytes);
  void download(void* pinned, const void* device, size_t bytes);
  void copy(void* to, const void* from, size_t bytes);  // within the device
  void zero(void* device, size_t bytes);

  // Work queued here from now on starts after the work queued on `other` so far. While one captures, the other becomes a branch of the same
  // graph, and the capturing stream must wait for it before the capture ends.
  void wait_for(Stream& other);

  void begin_capture();
  Graph end_capture();
  void run(const Graph& graph);

  void synchronize();

 private:
  friend class Timer;
  void allow_shared(const void* kernel, size_t bytes);
  void add_to_profile(const void* kernel, Grid grid, int threads, const std::function<void()>& queue);

  std::vector<KernelTime>* profile_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t mark_ = nullptr;  // recorded for streams that wait
  bool overlaps_ = false;       // kernels with the ones before them
  bool after_kernel_ = false;   // what was queued last is a kernel
};

// The device's time between two points of a stream.
class Timer {
 public:
  Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();
  void start(Stream& stream);
  void stop(Stream& stream);
  double milliseconds() const;  // after synchronize()

 private:
  cudaEvent_t first_ = nullptr, last_ = nullptr;
};

}  // namespace mg_cuda
