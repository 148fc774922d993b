// The state of one JavaScript environment (the main thread or a worker): classes, saved constructors and the queue of
// asynchronous runs. It is instance data, so several environments coexist and each frees its own.
#pragma once

#include "addon/napi_setup.h"

#include <deque>
#include <memory>

#include "addon/async.h"

namespace multigate::addon {

/// One copy of the library in an environment. Test runners load one per file, each in its own realm.
struct Library {
  /// The error class: new (code, message). Weak, so it does not keep a dead realm alive.
  Napi::FunctionReference error_class;
};

class Environment {
 public:
  /// Throws this library's errors until the end of the scope.
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

  Napi::FunctionReference memory, columns, plan, step, texts;

  const Library& add_library(Napi::Function error_class);
  /// The library of the current call. Null outside calls and without the library: then errors are plain Errors with a code.
  const Library* library() const noexcept { return library_; }

  /// Creates the queue on first use.
  AsyncQueue& queue(Napi::Env env);
  /// Number of pending asynchronous runs.
  void give_way() noexcept {
    if (queue_ != nullptr) queue_->give_way();
  }

  /// A zeroed array made by the saved constructor. If memory is short it throws; Node-API's would abort.
  Napi::Value new_float_array(Napi::Env env, bool doubles, int64_t length);

  /// Creates a handle around `object`. A constructor called by anyone else finds no pending object and throws.
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
  /// The object for the handle under construction. @throws Failure if there is none.
  template <class Engine>
  std::shared_ptr<Engine> take_pending() {
    if (pending_ == nullptr) throw Failure(Code::argument, "this class has no public constructor; use createMemory, createColumns, createTexts, compile or begin");
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
