// A run that is bound once and called often: plan, threads and one block of JavaScript memory for all its rows, in and out.
//
// What a call costs beside the kernels is one argument, one reference and one look at an ArrayBuffer, however many inputs
// there are. The block belongs to JavaScript; a call looks it up, uses it and forgets where it is.
#pragma once

#include "addon/napi_setup.h"

#include <memory>
#include <string>
#include <vector>

#include "engine/plan.h"

namespace multigate::addon {

struct Library;

class PreparedRun {
 public:
  /// `names`: what the inputs are called in errors. @throws Failure.
  PreparedRun(Napi::Env env, const std::shared_ptr<Plan>& plan, int64_t capacity, std::vector<std::string> names, int threads);

  /// { memory, offsets, run, dispose }: NativePreparedRun in lib/native/binding.ts. The functions know their run, whatever
  /// receiver they are called with, and hold it.
  static Napi::Object wrap(Napi::Env env, std::shared_ptr<PreparedRun> run);

 private:
  struct Region {
    int32_t buffer;
    bool ids;
    int64_t offset;  // in floats
  };

  static Napi::Value call_run(const Napi::CallbackInfo& info);
  static Napi::Value call_dispose(const Napi::CallbackInfo& info);

  void run(const std::shared_ptr<Plan>& plan, int64_t rows, float* block);
  /// The block, as it is now. @throws Failure where it was transferred away.
  float* block(Napi::Env env) const;
  /// @throws Failure where this or the plan was disposed.
  std::shared_ptr<Plan> plan() const;

  const Library* library_;    // which prepared it
  std::weak_ptr<Plan> plan_;  // a plan that is disposed is gone, whatever runs are prepared
  int64_t capacity_;
  int threads_;
  std::vector<std::string> names_;
  std::vector<Region> inputs_, outputs_;
  int64_t floats_ = 0;
  Napi::Reference<Napi::ArrayBuffer> block_;
};

}  // namespace multigate::addon
