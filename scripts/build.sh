#!/usr/bin/env bash
# Configures and builds: scripts/build.sh [PRESET [-DNAME=VALUE...] [TARGET...]]. PRESET is one of CMakePresets.json,
# "release" when absent.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-release}
shift || true
definitions=()
while [[ ${1-} == -D* ]]; do
  definitions+=("$1")
  shift
done

# Paths below this folder do not matter to ccache, so that another checkout finds what this one compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# Configuring is loud and seldom interesting; building tells how far it is.
mkdir -p "build/$preset"
log=build/$preset/configure.log
cmake --preset "$preset" ${definitions[@]+"${definitions[@]}"} >"$log" 2>&1 || {
  cat "$log" >&2
  echo "build.sh: configuring the preset '$preset' failed (its output is above)" >&2
  exit 1
}
cmake --build --preset "$preset" ${1:+--target "$@"}
