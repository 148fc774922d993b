// See runtime.h.
#include "cuda/device/runtime.h"

#include <cstdlib>
#include <cstring>

namespace mg_cuda {

int device_count() noexcept { return 2; }
void use_device(int) {}
// MULTIGATE_EMULATED_FREE_BYTES: for tests of running out of memory.
int64_t free_bytes() {
  const char* free = std::getenv("MULTIGATE_EMULATED_FREE_BYTES");
  return free != nullptr ? std::atoll(free) : device_facts().memory_bytes;
}

// MULTIGATE_EMULATED_CAPABILITY: 8 for a device without warpgroup instructions.
const DeviceFacts& device_facts() {
  static const char* const capability = std::getenv("MULTIGATE_EMULATED_CAPABILITY");
  static const DeviceFacts facts{"emulated by the CPU", capability != nullptr ? std::atoi(capability) : 9, 0, int64_t{8} << 30, 4, 227 * 1024, true};
  return facts;
}

bool has_warpgroups() { return device_facts().major == 9; }

void* device_allocate(size_t bytes) {
  // Aligns to 256 bytes like cudaMalloc, and allocates exactly the requested size.
  void* data = nullptr;
  if (posix_memalign(&data, 256, bytes == 0 ? 1 : bytes) != 0)
    throw Fault{MG_OUT_OF_MEMORY, std::to_string(bytes) + " bytes of emulated device memory are needed, but they are not free"};
  std::memset(data, 0, bytes);
  return data;
}

void device_release(void* data) noexcept { std::free(data); }
void copy_to_device(void* device, const void* host, size_t bytes) { std::memcpy(device, host, bytes); }
void copy_from_device(void* host, const void* device, size_t bytes) { std::memcpy(host, device, bytes); }
void* pinned_allocate(size_t bytes) { return device_allocate(bytes); }
void pinned_release(void* data) noexcept { std::free(data); }

void Stream::upload(void* device, const void* pinned, size_t bytes) {
  add([=] { std::memcpy(device, pinned, bytes); });
}

void Stream::zero(void* device, size_t bytes) {
  add([=] { std::memset(device, 0, bytes); });
}

}  // namespace mg_cuda
