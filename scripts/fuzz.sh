#!/usr/bin/env bash
# Builds the fuzz targets and lets each look for inputs that fail, one after the other:
#   scripts/fuzz.sh [SECONDS|RUNSx [TARGET...]]     for so many seconds each, or so many executions: 1000000x
# Without: 60 seconds, all targets.
# What was found on the way is kept in build/fuzz-corpus, and gone on from. An input that fails is written to
# build/fuzz-failures: with its bug fixed, it belongs into tests/fuzz/corpus, which ordinary tests run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-60} in
  *x) bound=-runs=${1%x} ;;
  *) bound=-max_total_time=${1:-60} ;;
esac
shift || true
targets=("$@")
((${#targets[@]})) || targets=(tensor request npz checkpoint state_file)

scripts/install.sh --fuzz
scripts/build.sh fuzz "${targets[@]/%/_fuzz}"
# Fewer freed blocks kept and no stacks make allocations cheaper. (An input that fails tells more when run without.)
export ASAN_OPTIONS=quarantine_size_mb=4:malloc_context_size=1:max_malloc_fill_size=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
# Every seed is shorter, and longer inputs mostly repeat themselves. To weigh inputs by their rare features (entropic)
# takes several times longer than to run them.
options=(-timeout=10 -rss_limit_mb=4096 -max_len=1024 -entropic=0 -reload=0 -print_final_stats=1 -verbosity=0)
failed=()
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz-corpus/$target" build/fuzz-failures
  echo "== $target, $bound"
  "build/fuzz/tests/fuzz/${target}_fuzz" "$bound" "${options[@]}" -artifact_prefix="build/fuzz-failures/$target-" \
    "build/fuzz-corpus/$target" "tests/fuzz/corpus/$target" || failed+=("$target")
done
((${#failed[@]} == 0)) || printf 'failed: %s\n' "${failed[@]}"
((${#failed[@]} == 0))
