// Measures the device's peaks, to compare kernels with: copies in its memory, and matrix steps on registers only.
#include "cuda/peaks.h"

#include <algorithm>

#include "cuda/device/runtime.h"
#include "cuda/ops/product.h"

namespace mg_cuda {
namespace {

constexpr size_t kCopyBytes = size_t{512} << 20;  // far beyond the L2 cache
constexpr size_t kEmulatedCopyBytes = 1 << 20;
constexpr int kThreads = 256;
constexpr int kBlocksOfAProcessor = 4;
constexpr int kSteps = 4096, kEmulatedSteps = 1;
constexpr int kTiles = 8;  // independent sums
constexpr int kTries = 5;

template <Precision kPrecision>
__global__ void peak_kernel(int steps, float* out) {
  begin_kernel();  // No test shows this: only measurements of a device run this kernel.
  float c[kTiles][4] = {};
  // Operands with realistic bits, from -2 to 2: on zeros a matrix unit needs less power and may run faster.
  uint32_t a[4], b[2];
  const auto operand = [](uint32_t i) { return (0xbff00ff0u & ((threadIdx.x * 4 + i + 1) * 2654435761u)) | 0x3f003f00u; };
  for (uint32_t i = 0; i < 4; i++) a[i] = operand(i);
  for (uint32_t i = 0; i < 2; i++) b[i] = operand(i + 4);
  for (int step = 0; step < steps; step++)
#pragma unroll
    for (int i = 0; i < kTiles; i++) {
      if constexpr (kPrecision == Precision::kBfloat16)
        matrix_step_bf16(c[i], a, b);
      else
        matrix_step_tf32(c[i], a, b);
    }
  float sum = 0;
  for (int i = 0; i < kTiles; i++) sum += c[i][0];
  if (sum != 0) out[0] = sum;  // never true; keeps the compiler from removing the steps
}

template <class Work>
double best_milliseconds(Stream& stream, const Work& work) {
  Timer timer;
  double best = 1e30;
  for (int i = 0; i < kTries; i++) {
    timer.start(stream);
    work();
    timer.stop(stream);
    stream.synchronize();
    best = std::min(best, timer.milliseconds());
  }
  return best;
}

template <Precision kPrecision>
double matrix_tflops(Stream& stream, float* out) {
  const auto blocks = static_cast<unsigned>(device_facts().multiprocessors * kBlocksOfAProcessor);
  const int steps_of_a_warp = device_facts().emulated ? kEmulatedSteps : kSteps;
  const double steps = static_cast<double>(steps_of_a_warp) * kTiles * blocks * (kThreads / kWarp);
  const double milliseconds = best_milliseconds(stream, [&] { stream.launch(peak_kernel<kPrecision>, {blocks}, kThreads, 0, steps_of_a_warp, out); });
  return steps * 2 * 16 * 8 * kStep<kPrecision> / milliseconds * 1e-9;
}

}  // namespace

Peaks measure_peaks() {
  Stream stream;
  DeviceMemory from, to;
  const size_t bytes = device_facts().emulated ? kEmulatedCopyBytes : kCopyBytes;
  from.reserve(bytes), to.reserve(bytes);
  const double copy = best_milliseconds(stream, [&] { stream.copy(to.data(), from.data(), bytes); });
  return {2.0 * static_cast<double>(bytes) / copy * 1e-6, matrix_tflops<Precision::kTf32>(stream, to.data<float>()),
          matrix_tflops<Precision::kBfloat16>(stream, to.data<float>())};
}

}  // namespace mg_cuda
