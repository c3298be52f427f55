#!/usr/bin/env bash
# Everything there is to do on a GPU host, one part a call, each within a time limit; run it in the checkout.
#   run.sh check OUT                     the golden networks with GPU convolutions, to 0.002 dB, and the quick tests
#   run.sh bench OUT                     step times (benchmarks/step.py)
#   run.sh train OUT SHARD KODAK SECONDS CONFIG [OPTION...]
#                                        trains, or goes on with what is under OUT/results; stops in time, with a state
# OUT: a folder that travels back; what a training needs to go on lies there (a state of --recipe fast: 20 MB).
# benchmarks/RESULTS.md has what came out on an H200 on 2026-11-26. A training is ready to step after 40 s, and --recipe fast keeps
# a GPU busy with launching: several trainings at a time share it. Start `nvidia-cuda-mps-control -d` first, so that their kernels run
# beside each other: four made 101 steps a second on 16 cores, where without it four made 46 (benchmarks/RESULTS.md has both).
set -euo pipefail
part=${1:?usage: run.sh check|bench|train OUT ...}; out=$(mkdir -p "${2:?usage: run.sh $1 OUT ...}" && cd "$2" && pwd)
python=${PYTHON:-python3}
export TF_FORCE_GPU_ALLOW_GROWTH=true
case $part in
check)
  $python -c 'from dnnlib.tflib.runtime import device_name; print("Device:", device_name())'
  for network in tests/data/golden/network-final-*.pickle; do
    name=${network#*-final-}; name=${name%.pickle}
    found=$($python selfsupervised_denoising.py --eval="$network" --dataset-dir=tests/data/golden --result-dir="$out/golden" | awk '/^RESULT/ {print $2}')
    awk -F, -v name="$name" -v found="$found" '$1 == name {
      off = found - $3; if (off < 0) off = -off
      printf "%s: %s dB, recorded %s dB%s\n", name, found, $3, off < 0.002 ? "" : ": WRONG"; exit off >= 0.002 }' tests/data/golden/results.csv
  done
  if $python -c 'import pytest, hypothesis' 2>/dev/null; then
    $python -m pytest -q -m "not slow" --deselect tests/test_readme.py 2>&1 | tee "$out/tests.log" | tail -30
  else
    echo "pytest and hypothesis are not installed: the tests were not run"
  fi ;;
bench)
  for side in 128 256; do
    for precision in float32 bf16; do
      for recipe in published fast; do
        $python benchmarks/step.py --recipe "$recipe" --train-resolution "$side" --precision "$precision"
      done
    done
  done 2>&1 | grep 'ms a step' | tee "$out/bench.md" ;;
train)
  shard=$3 kodak=$4 seconds=$5 config=$6; shift 6
  # SIGTERM: the step is finished and a state saved.
  timeout --signal=TERM --kill-after=60 "$seconds" $python selfsupervised_denoising.py --train="$config" --train-h5="$shard" \
    --dataset-dir="$kodak" --result-dir="$out/results" --resume auto "$@" || { code=$?; [ $code -eq 124 ] || [ $code -eq 143 ] || exit $code; }
  tail -n 3 "$out"/results/*/log.txt ;;
*) echo "run.sh: there is no part '$part'" >&2; exit 1 ;;
esac
