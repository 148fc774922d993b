// What one JavaScript environment (the main thread or a worker) owns: the classes, saved constructors and the queue of
// asynchronous runs. Kept as instance data, so several environments live side by side and each goes away with its own.
#pragma once

#include "addon/napi_setup.h"

#include <deque>
#include <memory>

#include "addon/async.h"

namespace multigate::addon {

/// One copy of the library that is at work in an environment: test runners load one per file, each in a realm of its own.
struct Library {
  /// new (code, message): what errors are thrown as. Weak: a realm that is gone is not kept by it.
  Napi::FunctionReference error_class;
};

class Environment {
 public:
  /// Errors are those of this library until the end of the scope.
  class Scope {
   public:
    Scope(Napi::Env env, const Library* library) : environment_(of(env)), before_(environment_.library_) { environment_.library_ = library; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { environment_.library_ = before_; }

   private:
    Environment& environment_;
    const Library* before_;
  };

  explicit Environment(Napi::Env env);
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  Napi::FunctionReference memory, columns, plan, step;

  const Library& add_library(Napi::Function error_class);
  /// Whose call is under way; null outside of every call, and for those who use the addon without the library: plain Errors with a code.
  const Library* library() const noexcept { return library_; }

  /// Made with the first asynchronous run.
  AsyncQueue& queue(Napi::Env env);
  /// Asynchronous runs under way.
  void give_way() noexcept {
    if (queue_ != nullptr) queue_->give_way();
  }

  /// A zeroed array of the genuine constructor; unlike Node-API's, it throws where memory is short instead of aborting.
  Napi::Value new_float_array(Napi::Env env, bool doubles, int64_t length);

  /// Creates a handle around `object`. Constructors called by anyone else find nothing here and throw.
  template <class Engine>
  Napi::Value wrap(Napi::FunctionReference& constructor, std::shared_ptr<Engine> object) {
    pending_ = std::move(object);
    try {
      const Napi::Value handle = constructor.New({});
      pending_.reset();
      return handle;
    } catch (...) {
      pending_.reset();
      throw;
    }
  }
  /// The object for the handle under construction. @throws Failure where there is none.
  template <class Engine>
  std::shared_ptr<Engine> take_pending() {
    if (pending_ == nullptr) throw Failure(Code::argument, "this class has no public constructor; use createMemory, createColumns, compile or begin");
    return std::static_pointer_cast<Engine>(std::move(pending_));
  }

 private:
  Napi::FunctionReference float32_, float64_;
  std::shared_ptr<void> pending_;
  std::deque<Library> libraries_;
  const Library* library_ = nullptr;
  std::unique_ptr<AsyncQueue> queue_;
};

}  // namespace multigate::addon
