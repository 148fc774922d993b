// The CUDA backend's table, the one symbol that the plug-in exports. It finds the device and says plainly what is missing;
// it has no ops yet, so compile refuses every program and `device: 'auto'` stays on the CPU.
#include <cuda_runtime.h>

#include <cstdio>

#include "abi/multigate.h"

namespace {

mg_status fail(mg_error* error, mg_status status, const char* what, const char* detail) noexcept {
  if (error) std::snprintf(error->text, sizeof error->text, "%s%s%s", what, detail[0] ? ": " : "", detail);
  return status;
}

mg_status available(mg_error* error) noexcept {
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found != cudaSuccess) return fail(error, MG_UNSUPPORTED, "no usable CUDA device", cudaGetErrorString(found));
  if (count == 0) return fail(error, MG_UNSUPPORTED, "no CUDA device is visible", "");
  return fail(error, MG_UNSUPPORTED, "a CUDA device is present, but this version of the CUDA backend has no ops yet", "");
}

mg_status allocate(int64_t, void**, mg_error* error) noexcept { return available(error); }
void release(void*) noexcept {}
mg_status write(void*, int64_t, const void*, int64_t, mg_error* error) noexcept { return available(error); }
mg_status read(const void*, int64_t, void*, int64_t, mg_error* error) noexcept { return available(error); }
mg_status compile(const mg_program*, const mg_compile_options*, mg_plan**, mg_error* error) noexcept { return available(error); }
mg_status run(mg_plan*, const mg_run*, mg_error* error) noexcept { return available(error); }
void info(const mg_plan*, int64_t, mg_plan_info*) noexcept {}
void destroy(mg_plan*) noexcept {}

const mg_backend kBackend = {MG_ABI_VERSION, MG_F32, "cuda",  available, allocate, release, write, read,
                             compile,        run,    info,    destroy};

}  // namespace

extern "C" __attribute__((visibility("default"))) const mg_backend* mg_cuda_backend(void) noexcept { return &kBackend; }
