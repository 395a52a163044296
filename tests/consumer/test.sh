#!/usr/bin/env bash
# Installs a build and uses it as another project would: tests/consumer/test.sh BUILD_DIRECTORY
set -euo pipefail
build=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# quiet COMMAND...: runs it, and shows what it said where it fails.
quiet() {
  "$@" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    echo "test.sh: '$*' failed (see above)" >&2
    exit 1
  }
}

# expect WANTED COMMAND...: the command prints WANTED.
expect() {
  local wanted=$1 got
  shift
  got=$("$@")
  [[ $got == "$wanted" ]] || {
    echo "test.sh: '$*' printed '$got', not '$wanted'" >&2
    exit 1
  }
}

# consumer SOURCE: builds the project against what is installed in $work/prefix.
consumer() {
  quiet cmake -S "$1" -B "$work/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix"
  quiet cmake --build "$work/consumer"
}

echo "The client, installed with everything it needs"
quiet cmake --install "$build" --prefix "$work/prefix"
consumer "$repository/examples/quickstart"
expect "2 1 " "$work/consumer/quickstart"
expect "spikeserve $(sed -n 's/^project(spikeserve VERSION \([0-9.]*\).*/\1/p' "$repository/CMakeLists.txt")" \
  "$work/prefix/bin/spikeserve" --version
[[ -z $(find "$work/prefix/include" -name '*internal*' -o -name '*.pb.h') ]] ||
  { echo "test.sh: internal or generated headers are installed" >&2; exit 1; }

echo "The compute library by itself, configured, built and installed without gRPC and Protobuf"
rm -rf "$work/prefix" "$work/consumer"
quiet cmake -S "$repository" -B "$work/compute" -G Ninja -DSPIKESERVE_COMPUTE_ONLY=ON \
  -DCMAKE_DISABLE_FIND_PACKAGE_gRPC=ON -DCMAKE_DISABLE_FIND_PACKAGE_Protobuf=ON
quiet cmake --build "$work/compute"
quiet cmake --install "$work/compute" --prefix "$work/prefix"
consumer "$here/compute"
expect "2 1 " "$work/consumer/compute_consumer"
echo "passed"
