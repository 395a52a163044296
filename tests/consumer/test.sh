#!/usr/bin/env bash
# Installs a build and uses it as other projects do: test.sh BUILD
#   the quickstart against the whole package, without a server and with one;
#   a program of the compute library only, against that package and against one built with SPIKESERVE_COMPUTE_ONLY.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
build=$(realpath "$1")

scratch=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill -KILL "$server" 2>/dev/null; rm -rf "$scratch"' EXIT

# quietly COMMAND...: its output is shown only if it fails.
quietly() {
  "$@" >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    echo "test.sh: failed: $*" >&2
    exit 1
  }
}

# consume SOURCE NAME PREFIX: configures and builds a project against the package installed under PREFIX.
consume() {
  quietly cmake -G Ninja -S "$1" -B "$scratch/$2" -DCMAKE_PREFIX_PATH="$3"
  quietly cmake --build "$scratch/$2"
  # Found was what has been installed, not a package of the machine.
  grep -q "^spikeserve_DIR:PATH=$3/" "$scratch/$2/CMakeCache.txt"
}

# expect WANTED COMMAND...: the command prints just that.
expect() {
  local wanted=$1 printed
  shift
  printed=$("$@")
  [[ $printed == "$wanted" ]] || {
    echo "test.sh: '$*' printed '$printed', not '$wanted'" >&2
    exit 1
  }
}

whole=$scratch/whole
quietly cmake --install "$build" --prefix "$whole"
! grep -rlF -e "$build" -e "$source" "$whole" --include='*.cmake' --include='*.h' || {
  echo "test.sh: the installed files above name folders of the build" >&2
  exit 1
}
[[ -z $(find "$whole/include" -name '*internal*' -o -name '*.pb.h') ]] || {
  echo "test.sh: internal or generated headers are installed" >&2
  exit 1
}
# The parts that the README names are there by themselves.
for part in server:bin/spikeserve cli:bin/spikectl client:include/spikeserve/client/client.h \
  compute:include/spikeserve/compute/tensor.h; do
  quietly cmake --install "$build" --prefix "$scratch/part" --component "${part%%:*}"
  [[ -e $scratch/part/${part#*:} ]] || {
    echo "test.sh: the component ${part%%:*} has no ${part#*:}" >&2
    exit 1
  }
  rm -r "$scratch/part"
done
consume "$source/examples/quickstart" quickstart "$whole"
expect "2 1 " "$scratch/quickstart/quickstart"

"$whole/bin/spikeserve" "--listen=unix:$scratch/socket" >"$scratch/server.log" &
server=$!
for ((i = 0; i < 100; ++i)); do
  grep -q listening "$scratch/server.log" && break
  sleep 0.1
done
expect "2 1 " "$scratch/quickstart/quickstart" "unix:$scratch/socket"
version=$(sed -n 's/^project(spikeserve VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")
expect "spikeserve $version" "$whole/bin/spikeserve" --version
expect "spikectl $version" "$whole/bin/spikectl" --version
kill -TERM "$server"
wait "$server"
server=

consume "$here/compute" compute "$whole"
quietly "$scratch/compute/compute_consumer"

# Without gRPC and Protobuf.
quietly cmake -G Ninja -S "$source" -B "$scratch/compute-only" -DSPIKESERVE_COMPUTE_ONLY=ON \
  -DCMAKE_DISABLE_FIND_PACKAGE_gRPC=ON -DCMAKE_DISABLE_FIND_PACKAGE_Protobuf=ON
quietly cmake --build "$scratch/compute-only"
quietly cmake --install "$scratch/compute-only" --prefix "$scratch/only"
consume "$here/compute" compute-of-only "$scratch/only"
quietly "$scratch/compute-of-only/compute_consumer"
# There the client is refused, with a message.
if cmake -G Ninja -S "$source/examples/quickstart" -B "$scratch/refused" -DCMAKE_PREFIX_PATH="$scratch/only" \
  >"$scratch/log" 2>&1 || ! grep -q "spikeserve::client" "$scratch/log"; then
  cat "$scratch/log" >&2
  echo "test.sh: the quickstart was not refused for want of the client" >&2
  exit 1
fi
echo "The installed package works for its consumers"
