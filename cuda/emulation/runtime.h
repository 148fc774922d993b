// device/runtime.h on the CPU. "Device" memory is host memory, one allocation each, so AddressSanitizer sees both ends of it. A graph
// is a list of calls.
#pragma once
#include <chrono>
#include <functional>
#include <utility>

namespace mg_cuda {

namespace emulation {

// Runs `thread` once for every thread of every block.
void run_grid(Grid grid, int threads, size_t shared_bytes, const std::function<void()>& thread);

}  // namespace emulation

class Graph {
 public:
  size_t nodes() const { return calls_.size(); }

 private:
  friend class Stream;
  std::vector<std::function<void()>> calls_;
};

class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  template <class... P>
  void launch(void (*kernel)(P...), Grid grid, int threads, size_t shared_bytes, Exactly<P>... arguments) {
    add([=] { emulation::run_grid(grid, threads, shared_bytes, [&] { kernel(arguments...); }); });
  }

  void profile(std::vector<KernelTime>*) {}  // emulated times mean nothing

  void upload(void* device, const void* pinned, size_t bytes);
  void download(void* pinned, const void* device, size_t bytes) { upload(pinned, device, bytes); }
  void copy(void* to, const void* from, size_t bytes) { upload(to, from, bytes); }
  void zero(void* device, size_t bytes);

  // A branch of a graph runs as late as the waits allow.
  void wait_for(Stream& other) {
    if (!capturing_) {
      capturing_ = other.capturing_;
      return;
    }
    for (auto& call : other.end_capture().calls_) captured_.calls_.push_back(std::move(call));
  }

  void begin_capture() { capturing_ = true; }
  Graph end_capture() {
    capturing_ = false;
    return std::exchange(captured_, {});
  }
  void run(const Graph& graph) {
    for (const auto& call : graph.calls_) call();
  }

  void synchronize() {}

 private:
  void add(std::function<void()> call) {
    if (capturing_)
      captured_.calls_.push_back(std::move(call));
    else
      call();
  }

  bool capturing_ = false;
  Graph captured_;
};

class Timer {
 public:
  void start(Stream&) { first_ = std::chrono::steady_clock::now(); }
  void stop(Stream&) { last_ = std::chrono::steady_clock::now(); }
  double milliseconds() const { return std::chrono::duration<double, std::milli>(last_ - first_).count(); }

 private:
  std::chrono::steady_clock::time_point first_, last_;
};

}  // namespace mg_cuda
