// The backends of this process: cpu and reference are linked in; cuda is a plug-in, opened on first use and never unloaded.
// There is no silent fallback: asking for a backend that cannot run throws the reason.
#pragma once

#include <string>
#include <vector>

#include "abi/multigate.h"

namespace multigate {

struct DeviceReport {
  std::string name;
  bool available;
  std::string reason;   // empty if available
  mg_device_info info;  // if available
};

std::vector<DeviceReport> devices();

/// 'cpu', 'reference', 'cuda' (the first GPU) or 'cuda:1' and so on. @throws Failure (argument) for an unknown name, (unsupported)
/// with the reason if this machine cannot run it.
const mg_backend& backend_named(const std::string& name);

/// Tells every backend that has run that a data set's memory will be freed.
void forget_data_set(uint64_t data_set) noexcept;

/// Whether the backend's memory is this machine's main memory.
bool is_host_backend(const mg_backend& backend) noexcept;

/// Bytes per element of the backend's type.
inline size_t element_bytes(const mg_backend& backend) noexcept { return backend.element == MG_F64 ? 8 : 4; }

/// Processors this process may use.
int processors() noexcept;

/// Refuses allocations above this machine's physical memory: the system might grant them and fail later.
void check_host_bytes(double bytes);

/// Measures the FMA peak in GFLOP/s. @throws Failure (unsupported) if the ISA is unknown or this machine lacks it.
double peak(const std::string& isa, int threads);

}  // namespace multigate
