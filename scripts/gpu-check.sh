#!/usr/bin/env bash
# All checks that need a GPU, in one run. Builds the CUDA backend and checks it against the reference (random and golden cases). Runs
# the memory checker if that is allowed. Times the workloads, and PyTorch too if Python has it.
#   npm run gpu:check -- --golden DIR --peers DIR [--out FILE.json] [--selftest FILE] [--quick]
# Needs nvcc, CMake and a C++ compiler, or a selftest that was built elsewhere. Needs no Node and no network. Ends with a table; all
# results are in FILE.json (default build-gpu/gpu-check.json). Takes at most 8 minutes: PyTorch gets the time that is left.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

golden= peers= out=build-gpu/gpu-check.json selftest= seconds=1 cases=40
while [ $# -gt 0 ]; do
  case $1 in
    --golden) golden=${2:?--golden needs a folder}; shift 2 ;;
    --peers) peers=${2:?--peers needs a folder}; shift 2 ;;
    --out) out=${2:?--out needs a file}; shift 2 ;;
    --selftest) selftest=${2:?--selftest needs a file}; shift 2 ;;
    --quick) seconds=0 cases=5; shift ;;
    *) echo "gpu-check: unknown option $1; expected --golden DIR, --peers DIR, --out FILE, --selftest FILE, --quick" >&2; exit 2 ;;
  esac
done
build=build-gpu
mkdir -p "$build" "$(dirname "$out")"
lines=$build/lines.jsonl
: >"$lines"
failed=0
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step 'build'
if [ -n "$selftest" ]; then
  echo "taken as it is: $selftest"
elif ! { cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DMULTIGATE_SELFTEST_CUDA=ON && cmake --build "$build" --target selftest -j "$(nproc)"; } >"$build/build.log" 2>&1; then
  tail -30 "$build/build.log"
  exit 1
fi
selftest=${selftest:-$build/selftest}

step 'against the reference'
# The reference takes most of the time, so the cases run in parallel parts.
parts=4 running=()
for part in $(seq $parts); do
  "$selftest" --device cuda --cases "$cases" --part "$part/$parts" $([ "$part" = 1 ] && echo ${golden:+--golden "$golden"}) >"$build/selftest-$part.log" 2>&1 &
  running+=($!)
done
for process in "${running[@]}"; do wait "$process" || failed=1; done
tail -qn 20 "$build"/selftest-?.log
MULTIGATE_CUDA_OVERLAP=1 "$selftest" --device cuda --cases 6 >"$build/selftest-overlap.log" 2>&1 || failed=1
echo 'kernels that overlap:' && tail -n 5 "$build/selftest-overlap.log"

step 'memory checker'
checker=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -1)
if [ -z "$checker" ]; then
  echo 'unavailable: compute-sanitizer is not installed'
elif timeout 100 "$checker" --error-exitcode 9 "$selftest" --device cuda --cases 2 >"$build/memcheck.log" 2>&1; then
  tail -2 "$build/memcheck.log"
elif grep -qiE 'not supported|unable to|device is not|insufficient|permission' "$build/memcheck.log" && ! grep -q 'Invalid __' "$build/memcheck.log"; then
  echo "unavailable: $(grep -iE 'not supported|unable to|device is not|insufficient|permission' "$build/memcheck.log" | head -1)"
else
  tail -20 "$build/memcheck.log"
  failed=1
fi

step 'what the device can do'
"$selftest" --device cuda --peaks | tee -a "$lines"

step 'times'
"$selftest" --device cuda --time bench/gpu/programs.json --seconds "$seconds" --profile >"$build/times.jsonl"
grep median_ms "$build/times.jsonl" | cut -c1-160
cat "$build/times.jsonl" >>"$lines"
# The same programs without the profile, each kernel brought up while the one before it runs.
MULTIGATE_CUDA_OVERLAP=1 "$selftest" --device cuda --time bench/gpu/programs.json --seconds "$seconds" \
  | sed 's/"variant": *"/&overlap-/' | tee -a "$lines" | grep median_ms | cut -c1-160

if [ -n "$peers" ]; then
  step 'PyTorch'
  if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    # Compiling takes most of a minute per direction of a layer, so only the forms that the comparison needs run.
    torch_lines() {
      local left=$((470 - SECONDS))
      [ "$left" -gt 10 ] || { echo "skipped, no time is left: ${*:2}"; return; }
      timeout "$((left < $1 ? left : $1))" python3 "$peers/peers.py" --peer torch --device cuda "${@:2}" --seconds 0.3 2>"$build/torch.log" | grep '^{' | tee -a "$lines" | cut -c1-140
      grep -h '^skip' "$build/torch.log" | head -5
    }
    torch_lines 30 --what gemm
    torch_lines 150 --what layers --only L1 --variants eager-fp32,eager-bf16-stored,batched-bf16-stored,compiled-bf16-stored
    torch_lines 110 --what train --only mmoe --variants eager-bf16,compiled-bf16
    torch_lines 90 --what layers --only L4 --variants compiled-bf16-stored
  else
    echo 'skipped: this Python has no PyTorch that sees a GPU'
  fi
fi

step 'results'
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
{
  printf '{"date": "%s", "commit": "%s", "gpu": "%s", "lines": [\n' "$(date +%F)" "$commit" \
    "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1)"
  paste -sd '\n' "$lines" | sed '$!s/$/,/'
  printf ']}\n'
} >"$out"
# peer, variant, workload, mode, n, median: from lines whose fields come in any order
awk '
  function field(name,   found) {
    if (!match($0, "\"" name "\": *\"?[^,\"}]*")) return ""
    found = substr($0, RSTART, RLENGTH)
    sub(/^"[^"]*": *"?/, "", found)
    return found
  }
  /median_ms/ { printf "%-12s %-18s %-11s %-16s %9s %12.4f ms\n", field("peer"), field("variant"), field("workload"), field("mode"), field("n"), field("median_ms") }
' "$lines" | sort -k3,3 -k4,4 -k6,6n
echo "written to $out"
exit "$failed"
