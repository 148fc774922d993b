#!/usr/bin/env bash
# Runs the kernels on emulated processors: the selftest for 64-bit ARM, and the default x86-64 build without AVX. If this machine has
# AVX-512, also the x86-64 build without AVX-512. Needs g++-aarch64-linux-gnu, qemu-aarch64 and qemu-x86_64 (Debian: qemu-user).
#   npm run emulated [-- golden folder]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for tool in aarch64-linux-gnu-g++ qemu-aarch64 qemu-x86_64; do
  command -v "$tool" >/dev/null || { echo "emulated: no $tool on this machine (Debian: apt install qemu-user g++-aarch64-linux-gnu): skipped"; exit 0; }
done
cases=(--cases 4)
golden=()
[ $# -gt 0 ] && golden=(--golden "$1")

build() { # folder, cmake options: the selftest without CUDA
  MULTIGATE_CUDA=0 cmake -S . -B "$1" -DCMAKE_BUILD_TYPE=Release "${@:2}" >/dev/null
  cmake --build "$1" --target selftest -j 2 >/dev/null
}

# With AVX2 and FMA, or without both. The golden cases run on both instruction sets without an emulator.
on_processor() {
  emulate "$1" build-selftest/selftest "${cases[@]}"
  # The installed addon in Node: a wide instruction outside its own file would end this.
  emulate "$1" "$(command -v node)" --jitless -e "
    const { mixtureGrad, topology } = require('multigate/ops')
    const level = topology.mmoe({ inputDim: 8, numExperts: 3, units: 5, numTasks: 2 })
    const random = (length) => Float32Array.from({ length }, Math.random)
    const params = { expertKernel: random(120), expertBias: random(15), gateKernel: [random(24), random(24)] }
    const { outputs } = mixtureGrad(level, params, random(80), [random(50), random(50)])
    if (!outputs[0].every(Number.isFinite)) throw new Error('not finite')
    console.log('addon on $1:', require('./build/Release/multigate.node').isas().join(' '))"
}
emulate() { # processor, command; without warnings about features that the emulator lacks
  qemu-x86_64 -cpu "$@" 2> >(grep -v 'TCG\|expose_wasm' >&2)
}

build build-arm -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  -DCMAKE_EXE_LINKER_FLAGS=-static 2>/dev/null
if [ "$(uname -m)" = x86_64 ]; then
  build build-selftest
  (
    build-selftest/selftest "${cases[@]}" "${golden[@]}" # as it ships, on the instructions of this processor
    on_processor Nehalem
    # AVX2 without AVX-512: emulated only if this processor has AVX-512.
    if grep -q avx512f /proc/cpuinfo; then on_processor Haswell; fi
  ) &
  others=$!
fi
qemu-aarch64 build-arm/selftest "${cases[@]}" "${golden[@]}"
[ -z "${others:-}" ] || wait "$others"
