#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test, and those of the library and the server also under
# AddressSanitizer and UndefinedBehaviorSanitizer: scripts/test.sh [--sanitizers] [--container]
#   --sanitizers   every test under these, and under ThreadSanitizer
#   --container    also builds the container image, runs it, and calls every RPC on it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sanitizers=
container=
for argument; do
  case $argument in
    --sanitizers) sanitizers=yes ;;
    --container) container=yes ;;
    *)
      echo "test.sh: unknown argument '$argument'; usage: scripts/test.sh [--sanitizers] [--container]" >&2
      exit 2
      ;;
  esac
done

passed=()
failed=()
# check NAME COMMAND...: runs the command; a failure does not keep the other checks from running.
check() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name"
  if "$@" </dev/null; then
    passed+=("$name")
  else
    failed+=("$name")
  fi
  echo "== $name took $((SECONDS - begin)) s"
}

formatted() {
  git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cc' | xargs -0r clang-format --dry-run -Werror
}

linted() {
  (cd proto && ../tests/foreign/node/node_modules/.bin/buf lint)
}

# within TIME COMMAND...: what hangs fails, and does not hold up the rest.
within() {
  timeout --kill-after=1m "$@"
}

# With the benchmark's programs, so that they never rot; without under sanitizers, which say nothing of times.
built_and_tested() {
  local bench=OFF
  [[ $1 != release ]] || bench=ON
  within 2h scripts/build.sh "$1" -DSPIKESERVE_BUILD_BENCH=$bench && within 1h ctest --preset "$1"
}

# Memory errors hide in what the optimised tests do not look at; these are the tests that meet most code.
units_tested_under_asan() {
  within 2h scripts/build.sh asan -DSPIKESERVE_BUILD_BENCH=OFF tests_lib tests_server tests_telemetry tests_fuzz &&
    within 1h ctest --preset asan -L '^(lib|server|telemetry|fuzz)$'
}

scripts/install.sh --test ${container:+--container}
check format formatted
check "lint of the protos" linted
check "tests, release" built_and_tested release
if [[ $sanitizers ]]; then
  check "tests, asan" built_and_tested asan
  check "tests, tsan" built_and_tested tsan
else
  check "tests of lib and server, asan" units_tested_under_asan
fi
check demo scripts/demo.sh --no-install --output build/demo
if [[ $container ]]; then
  check container docker/test.sh
fi

((${#failed[@]} == 0)) || printf 'failed: %s\n' "${failed[@]}"
echo "${#passed[@]} passed, ${#failed[@]} failed"
((${#failed[@]} == 0))
