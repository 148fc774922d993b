// Times workloads on a backend and prints one JSON line each, with the keys of the peers' lines, so that they can be compared.
#pragma once
#include <cstdint>
#include <string>

#include "selftest/program.h"

namespace selftest {

/// Milliseconds of the ops alone by the device's clock, and their number of launches. Call it after a run of the plan.
using TimeOps = mg_status (*)(mg_plan* plan, const mg_run* run, int32_t repeats, double* milliseconds, int64_t* launches, mg_error* error);

/// Calls each(user, name, blocks, threads, milliseconds) for every kernel of the same ops by itself.
using ProfileOps = mg_status (*)(mg_plan* plan, const mg_run* run, void (*each)(void*, const char*, int64_t, int32_t, double), void* user,
                                 mg_error* error);

/// Null for backends that time whole runs.
struct DeviceClock {
  TimeOps time = nullptr;
  ProfileOps profile = nullptr;
};

struct TimingOptions {
  std::string programs;  // file
  std::string only;      // comma separated workloads; empty: all
  double seconds = 0.5;  // approximate time per measurement
  int64_t most_rows = INT64_MAX;
  bool profile = false;  // also time every kernel, if the device's clock can
};

/// Every workload in every precision that the place's backend has. @throws JsonError, SafetensorsError, multigate::Failure, std::runtime_error.
void time_workloads(const TimingOptions& options, const Place& place, const DeviceClock& clock);

}  // namespace selftest
