#!/usr/bin/env bash
# Builds the fuzz targets and lets each look for inputs that fail, one after the other:
#   scripts/fuzz.sh [SECONDS|RUNSx [TARGET...]]     for so many seconds each, or so many executions: 1000000x
# Without: 60 seconds, all targets. A tenth of that on top goes to inputs of up to 64 KB.
# What was found on the way is kept in build/fuzz-corpus, and gone on from. An input that fails is written to
# build/fuzz-failures: with its bug fixed, it belongs into tests/fuzz/make_corpus.cc and, as that writes it, into
# tests/fuzz/corpus, which ordinary tests run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bound=${1:-60}
case $bound in
  *x) flag=-runs count=${bound%x} ;;
  *) flag=-max_total_time count=$bound ;;
esac
shift || true
targets=("$@")
((${#targets[@]})) || targets=(tensor request npz checkpoint state_file)

scripts/install.sh --fuzz
scripts/build.sh fuzz "${targets[@]/%/_fuzz}"
# Fewer freed blocks kept and no stacks make allocations cheaper. (An input that fails tells more when run without.)
export ASAN_OPTIONS=quarantine_size_mb=4:malloc_context_size=1:max_malloc_fill_size=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
# To weigh inputs by their rare features (entropic) takes several times longer than to run them. No limit of the targets
# lets one block take as much as malloc_limit_mb: who takes it has not asked.
options=(-timeout=10 -rss_limit_mb=4096 -malloc_limit_mb=128 -entropic=0 -reload=0 -print_final_stats=1 -verbosity=0)
failed=()
# fuzz TARGET COUNT MAX_LEN CORPUS...: what is found goes into the first corpus.
fuzz() {
  local target=$1 count=$2 max_len=$3
  shift 3
  mkdir -p "$1"
  echo "== $target, $flag=$count, inputs of up to $max_len bytes"
  "build/fuzz/tests/fuzz/${target}_fuzz" "$flag=$count" "${options[@]}" -max_len="$max_len" \
    -artifact_prefix="build/fuzz-failures/$target-" "$@" || failed+=("$target")
}
mkdir -p build/fuzz-failures
for target in "${targets[@]}"; do
  found=build/fuzz-corpus/$target seeds=tests/fuzz/corpus/$target
  # Every seed is shorter, and longer inputs mostly repeat themselves.
  fuzz "$target" "$count" 1024 "$found" "$seeds"
  # Some things only go wrong when they are many.
  fuzz "$target" $((count / 10 + 1)) $((64 << 10)) "$found-long" "$found" "$seeds"
done
((${#failed[@]} == 0)) || printf 'failed: %s\n' "${failed[@]}"
((${#failed[@]} == 0))
