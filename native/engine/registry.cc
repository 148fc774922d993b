// Finding and opening backends; see registry.h.
#include "engine/registry.h"

#include <atomic>
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

constexpr int32_t kMostGpus = 64;

using BackendEntry = const mg_backend* (*)(int32_t device);

/// The plug-in's entry, or the reason why it did not load.
struct PlugIn {
  BackendEntry entry = nullptr;
  std::string reason;
};

struct Loaded {
  const mg_backend* backend = nullptr;
  std::string reason;
};

/// Checks the contract's version and machine support. Returns the reason, or nothing if all is well.
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
/// MULTIGATE_CUDA_PATH, else the plug-in beside the addon.
std::string plug_in_path() {
  const char* given = std::getenv("MULTIGATE_CUDA_PATH");
  if (given != nullptr && given[0] != 0) return given;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&why_not), &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string addon(info.dli_fname);
  const size_t slash = addon.rfind('/');
  return slash == std::string::npos ? "" : addon.substr(0, slash + 1) + kPlugIn;
}

PlugIn load_plug_in() {
  const std::string path = plug_in_path();
  if (path.empty() || path[0] != '/') return {nullptr, "the path of the CUDA plug-in is '" + path + "', expected an absolute path"};
  if (access(path.c_str(), R_OK) != 0) {
    return {nullptr, "there is no readable CUDA plug-in at " + path + "; `npx multigate build --cuda` builds it where nvcc is installed"};
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: kernels may still be on the device
  if (library == nullptr) {
    const char* reason = dlerror();
    return {nullptr, "the CUDA plug-in does not load: " + std::string(reason != nullptr ? reason : path.c_str())};
  }
  const auto entry = reinterpret_cast<BackendEntry>(dlsym(library, kPlugInEntry));
  if (entry == nullptr) return {nullptr, path + " is not a CUDA plug-in: it exports no " + kPlugInEntry};
  const mg_backend* backend = entry(0);
  if (backend == nullptr || backend->abi_version != MG_ABI_VERSION) return {nullptr, why_not(backend, "cuda")};
  if (backend->element != MG_F32) return {nullptr, "the CUDA plug-in computes in an unknown element type"};
  return {entry, ""};
}
#else
PlugIn load_plug_in() { return {nullptr, "the CUDA plug-in is not supported on this system"}; }
#endif

std::atomic<BackendEntry> loaded_entry{nullptr};

/// The plug-in. Every call retries until it loads, because it may be built meanwhile.
PlugIn plug_in() {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (const BackendEntry loaded = loaded_entry.load()) return {loaded, ""};
  const PlugIn result = load_plug_in();
  loaded_entry.store(result.entry);
  return result;
}

/// The number in 'cuda:1'; 0 for 'cuda'; -1 for any other name.
int32_t gpu_number(const std::string& name) {
  if (name == "cuda") return 0;
  if (name.rfind("cuda:", 0) != 0 || name.size() < 6 || name.size() > 7) return -1;
  int32_t number = 0;
  for (size_t i = 5; i < name.size(); ++i) {
    if (name[i] < '0' || name[i] > '9') return -1;
    number = number * 10 + (name[i] - '0');
  }
  return number < kMostGpus ? number : -1;
}

Loaded find(const std::string& name) {
  Loaded found;
  if (name == "cpu") {
    found.backend = mg_cpu_backend();
  } else if (name == "reference") {
    found.backend = mg_reference_backend();
  } else {
    const PlugIn cuda = plug_in();
    found.reason = cuda.reason;
    if (cuda.entry != nullptr) found.backend = cuda.entry(gpu_number(name));
    if (cuda.entry != nullptr && found.backend == nullptr) found.reason = "there is no GPU with this number";
  }
  if (found.reason.empty()) found.reason = why_not(found.backend, name.c_str());
  return found;
}

DeviceReport report_of(const std::string& name, const Loaded& found) {
  DeviceReport report{name, found.reason.empty(), found.reason, {}};
  if (report.available) found.backend->describe(&report.info);
  return report;
}

}  // namespace

std::vector<DeviceReport> devices() {
  std::vector<DeviceReport> reports;
  for (const char* name : {"cpu", "reference", "cuda"}) reports.push_back(report_of(name, find(name)));
  const BackendEntry entry = loaded_entry.load();
  for (int32_t number = 1; number < kMostGpus && entry != nullptr && entry(number) != nullptr; ++number) {
    const std::string name = text_of("cuda:", number);
    reports.push_back(report_of(name, find(name)));
  }
  return reports;
}

const mg_backend& backend_named(const std::string& name) {
  if (name != "cpu" && name != "reference" && gpu_number(name) < 0) {
    throw Failure(Code::argument, "device is '" + name + "', expected 'cpu', 'reference', 'cuda', or 'cuda:1' for another GPU");
  }
  const Loaded found = find(name);
  if (!found.reason.empty()) throw Failure(Code::unsupported, "device '" + name + "' is not available: " + found.reason);
  return *found.backend;
}

void forget_data_set(uint64_t data_set) noexcept {
  // Only a plug-in keeps copies; the other backends read host memory.
  const BackendEntry entry = loaded_entry.load();
  if (entry == nullptr) return;
  for (int32_t number = 0; number < kMostGpus; ++number)
    if (const mg_backend* backend = entry(number)) backend->forget(data_set);
}

bool is_host_backend(const mg_backend& backend) noexcept { return &backend == mg_cpu_backend() || &backend == mg_reference_backend(); }

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
