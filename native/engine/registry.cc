// Finding and opening backends; see registry.h.
#include "engine/registry.h"

#include <cstdlib>
#include <mutex>
#include <thread>

#if !defined(_WIN32)
#include <dlfcn.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include "engine/failure.h"

namespace multigate {
namespace {

constexpr const char* kPlugIn = "libmultigate_cuda.so";
constexpr const char* kPlugInEntry = "mg_cuda_backend";

using BackendEntry = const mg_backend* (*)(void);

struct Loaded {
  const mg_backend* backend = nullptr;
  std::string reason;
};

/// The contract's version and machine support; the reason, or nothing where all is well.
std::string why_not(const mg_backend* backend, const char* name) {
  if (backend == nullptr) return text_of("the ", name, " backend gave no table");
  if (backend->abi_version != MG_ABI_VERSION) {
    return text_of("the ", name, " backend has ABI version ", backend->abi_version, ", this addon expects ", MG_ABI_VERSION, "; rebuild it");
  }
  mg_error error{};
  if (backend->available(&error) == MG_OK) return "";
  return error.text[0] != 0 ? error.text : text_of("the ", name, " backend gave no reason");
}

#if !defined(_WIN32)
/// MULTIGATE_CUDA_PATH, or the plug-in beside the addon.
std::string plug_in_path() {
  const char* given = std::getenv("MULTIGATE_CUDA_PATH");
  if (given != nullptr && given[0] != 0) return given;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&why_not), &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string addon(info.dli_fname);
  const size_t slash = addon.rfind('/');
  return slash == std::string::npos ? "" : addon.substr(0, slash + 1) + kPlugIn;
}

Loaded load_plug_in() {
  const std::string path = plug_in_path();
  if (path.empty() || path[0] != '/') return {nullptr, "the path of the CUDA plug-in is '" + path + "', expected an absolute path"};
  if (access(path.c_str(), R_OK) != 0) {
    return {nullptr, "there is no readable CUDA plug-in at " + path + "; `npx multigate build` builds it where nvcc is installed"};
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: kernels may still be on the device
  if (library == nullptr) {
    const char* reason = dlerror();
    return {nullptr, "the CUDA plug-in does not load: " + std::string(reason != nullptr ? reason : path.c_str())};
  }
  const auto entry = reinterpret_cast<BackendEntry>(dlsym(library, kPlugInEntry));
  if (entry == nullptr) return {nullptr, path + " is not a CUDA plug-in: it exports no " + kPlugInEntry};
  const mg_backend* backend = entry();
  if (backend == nullptr || backend->abi_version != MG_ABI_VERSION) return {nullptr, why_not(backend, "cuda")};
  if (backend->element != MG_F32) return {nullptr, "the CUDA plug-in computes in an unknown element type"};
  return {backend, ""};
}
#else
Loaded load_plug_in() { return {nullptr, "the CUDA plug-in is not supported on this system"}; }
#endif

/// The plug-in once it has loaded; until then every call tries again, as it may be built meanwhile.
Loaded cuda_backend() {
  static std::mutex mutex;
  static const mg_backend* loaded = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (loaded != nullptr) return {loaded, ""};
  const Loaded result = load_plug_in();
  loaded = result.backend;
  return result;
}

Loaded find(const std::string& name) {
  Loaded found;
  if (name == "cpu") {
    found.backend = mg_cpu_backend();
  } else if (name == "reference") {
    found.backend = mg_reference_backend();
  } else {
    found = cuda_backend();
  }
  if (found.reason.empty()) found.reason = why_not(found.backend, name.c_str());
  return found;
}

}  // namespace

std::vector<DeviceReport> devices() {
  std::vector<DeviceReport> reports;
  for (const char* name : {"cpu", "reference", "cuda"}) {
    const Loaded found = find(name);
    reports.push_back({name, found.reason.empty(), found.reason});
  }
  return reports;
}

const mg_backend& backend_named(const std::string& name) {
  if (name != "cpu" && name != "reference" && name != "cuda") {
    throw Failure(Code::argument, "device is '" + name + "', expected 'cpu', 'reference' or 'cuda'");
  }
  const Loaded found = find(name);
  if (!found.reason.empty()) throw Failure(Code::unsupported, "device '" + name + "' is not available: " + found.reason);
  return *found.backend;
}

bool is_host_backend(const mg_backend& backend) noexcept {
  return &backend == mg_cpu_backend() || &backend == mg_reference_backend();
}

int processors() noexcept {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : static_cast<int>(count);
}

void check_host_bytes(double bytes) {
#if !defined(_WIN32)
  const double physical = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (physical > 0 && bytes > physical) {
    throw Failure(Code::out_of_memory, bytes_text(bytes) + " are needed, this machine has " + bytes_text(physical));
  }
#else
  (void)bytes;
#endif
}

double peak(const std::string& isa, int threads) {
  const double gflops = mg_cpu_peak(isa.c_str(), threads);
  if (gflops >= 0) return gflops;
  std::string known;
  for (const char* const* name = mg_cpu_isas(); *name != nullptr; ++name) known += (known.empty() ? "" : ", ") + std::string(*name);
  throw Failure(Code::unsupported, "isa is '" + isa + "', expected one that this machine runs: " + known);
}

}  // namespace multigate
