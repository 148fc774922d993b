// A small CUDA runtime on the CPU: the functions that device/runtime.cu uses, with their names and rules, so that the code that ships runs in
// tests. "Device" memory is host memory, one allocation each, so AddressSanitizer sees both ends of it. It is stricter than a GPU:
// - a stream's work runs as late as waits and synchronisation allow, so that a missing one shows;
// - new memory has the bits of NaN;
// - every device has its own contexts, function attributes and streams; a launch on another device's stream fails;
// - what is not allowed while a stream captures fails, and ends the capture.
// Tests can let any call fail, or wait in it (emulation::set_hook).
//
// With MULTIGATE_EMULATED_DRY=1 kernels of more than a warp do not run: for lists of the launches of programs that would take too long here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <utility>

namespace mg_cuda {

struct Grid;

inline constexpr bool kEmulated = true;
// What a chunk of rows may pass on through the L2 cache: little, so that tests with a thousand rows have several chunks. Like a GPU's if dry.
int64_t chunk_bytes();

// NOLINTBEGIN: the runtime's names
enum cudaError_t : int {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorDevicesUnavailable = 46,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureUnjoined = 904,
  cudaErrorStreamCaptureIsolation = 905,
};

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned across, unsigned down = 1) : x(across), y(down) {}
};

enum cudaLaunchAttributeID { cudaLaunchAttributeProgrammaticStreamSerialization };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    int programmaticStreamSerializationAllowed;
  } val;
};

struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount;
  size_t totalGlobalMem, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
};

using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
using cudaGraph_t = struct EmulatedGraph*;
using cudaGraphExec_t = struct EmulatedGraph*;
using cudaGraphNode_t = void*;

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceSynchronize();

cudaError_t cudaMemGetInfo(size_t* free, size_t* all);
cudaError_t cudaMalloc(void** data, size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaMallocHost(void** data, size_t bytes);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaMemset(void* data, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t first, cudaEvent_t last);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph);
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value);
cudaError_t cudaFuncGetName(const char** name, const void* kernel);
// NOLINTEND

namespace emulation {

// Runs `thread` once for every thread of every block.
void run_grid(Grid grid, int threads, size_t shared_bytes, const std::function<void()>& thread);

// The same thread, which fails if it ends without begin_kernel().
std::function<void()> that_begins(std::function<void()> thread);

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread);

// For tests.

// A call of the runtime. device: the thread's.
struct Call {
  const char* function;
  int device;
  size_t bytes;
};
// Called before each call takes effect, on its thread, outside all locks. If it returns an error, that is the call's result and all it does.
using Hook = std::function<cudaError_t(const Call&)>;
void set_hook(Hook hook);  // null: none
void set_device_count(int count);
bool has_context(int device);
// Bytes of device memory that are allocated.
size_t live_bytes(int device);
// Kernels that were queued to be brought up while the one before them runs.
size_t overlapping_launches();

}  // namespace emulation

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  const std::tuple<P...> values(std::forward<A>(arguments)...);
  return emulation::launch(*config, reinterpret_cast<const void*>(kernel), [kernel, values] { std::apply(kernel, values); });
}

}  // namespace mg_cuda
