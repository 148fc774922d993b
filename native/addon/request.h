// Reads a JavaScript RunRequest in two stages. First read_request() reads every property; JavaScript may run meanwhile. Then the
// fill functions take pointers and move data; no JavaScript runs any more.
#pragma once

#include "addon/napi_setup.h"

#include <memory>
#include <vector>

#include "addon/async.h"
#include "engine/plan.h"

namespace multigate::addon {

constexpr int64_t kMaxThreads = 4096;
constexpr int64_t kMaxSteps = 1 << 20;  // per call
constexpr int64_t kMaxMilliseconds = 24 * 3600 * 1000;

struct Request {
  int64_t rows = 0;
  int64_t steps = 1;
  int64_t milliseconds = kMaxMilliseconds;
  int threads = 1;
  bool from_columns = false;
  std::vector<Napi::Value> inputs;  // unless the rows come from columns
  std::vector<Napi::Value> outputs;
  Napi::Value scalars;
  Napi::Value columns;
  std::vector<int64_t> column_of;
  int64_t start = 0;
  bool shuffled = false;
  mg_data_place place = MG_DATA_AUTO;
};

Request read_request(const Napi::Value& value);
/// Reads the request of a step in phases, which has no outputs.
Request read_open_request(const Napi::Value& value);

/// Reads inputs and writes outputs in place: for a step that ends before the call returns.
void fill_in_place(const Request& request, const Plan& plan, Step& step);

/// Copies inputs and keeps outputs native. Returns the arrays to copy the outputs to.
std::vector<AsyncRun::Output> fill_by_copy(const Request& request, const Plan& plan, Step& step);

/// Copies inputs, for a step whose phases come one by one. @throws Failure (busy) while its rows are being shuffled.
void fill_open(const Request& request, const Plan& plan, Step& step);

}  // namespace multigate::addon
