// A run that is bound once and called often: a plan, threads and one block of JavaScript memory for all inputs and outputs.
//
// Besides the kernels a call costs one argument, one reference and one ArrayBuffer lookup, for any number of inputs.
// JavaScript owns the block. Each call looks up its address and does not keep it.
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
  /// `names`: the inputs' names in errors. @throws Failure.
  PreparedRun(Napi::Env env, const std::shared_ptr<Plan>& plan, int64_t capacity, std::vector<std::string> names, int threads);

  /// { memory, offsets, run, dispose }: NativePreparedRun in lib/native/binding.ts. The functions hold their run and
  /// ignore their receiver.
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
  /// The block's current address. @throws Failure if the block was transferred away.
  float* block(Napi::Env env) const;
  /// @throws Failure if this or the plan was disposed.
  std::shared_ptr<Plan> plan() const;

  const Library* library_;    // the library that prepared it
  std::weak_ptr<Plan> plan_;  // weak: prepared runs do not keep a disposed plan alive
  int64_t capacity_;
  int threads_;
  std::vector<std::string> names_;
  std::vector<Region> inputs_, outputs_;
  int64_t floats_ = 0;
  Napi::Reference<Napi::ArrayBuffer> block_;
};

}  // namespace multigate::addon
