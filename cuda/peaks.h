// See peaks.cu.
#pragma once

namespace mg_cuda {

struct Peaks {
  double copy_gbytes_per_s;         // read and written
  double tf32_tflops, bf16_tflops;  // for matrix steps of a warp (mma.sync)
};

Peaks measure_peaks();

}  // namespace mg_cuda
