#!/usr/bin/env bash
# Installs what spikeserve needs on Debian 12: as root or with sudo, and only what is missing.
#   scripts/install.sh [--test] [--bench] [--fuzz] [--container]   to build and use it; also to run the tests, the
#                                               benchmark, the fuzz targets, the container test
#   scripts/install.sh --only GROUP             only one group of scripts/packages.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

groups=(build plot)
while (($#)); do
  case $1 in
    --test | --bench | --fuzz | --container) groups+=("${1#--}") ;;
    --only)
      [[ $# -ge 2 ]] || fail "--only needs a group of scripts/packages.txt"
      groups=("$2")
      shift
      ;;
    *) fail "unknown argument '$1'; usage: scripts/install.sh [--test] [--bench] [--fuzz] [--container] | --only GROUP" ;;
  esac
  shift
done

# packages GROUP: the group's packages.
packages() {
  awk -v wanted="[$1]" '/^\[/ { inside = ($0 == wanted) } /^[a-z0-9]/ && inside' scripts/packages.txt
}

# missing PACKAGE...: those that are neither installed nor provided by an installed package (another vendor's nodejs
# provides npm).
missing() {
  local present
  present=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' |
    awk '$1 == "installed"' | tr -s ' ,' '\n' | sort -u)
  printf '%s\n' "$@" | sort -u | comm -23 - <(echo "$present")
}

wanted=()
for group in "${groups[@]}"; do
  mapfile -t -O "${#wanted[@]}" wanted < <(packages "$group")
done
((${#wanted[@]})) || fail "scripts/packages.txt has no group '${groups[*]}'"

mapfile -t needed < <(missing "${wanted[@]}")
if ((${#needed[@]})); then
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "needs root or sudo to install: ${needed[*]}"
    as_root=(sudo)
  fi
  echo "Installing ${needed[*]}"
  # Quiet unless something fails: the logs of hundreds of packages hide what matters.
  log=$(mktemp)
  trap 'rm -f "$log"; [[ -z ${policy:-} ]] || "${as_root[@]}" rm -f "$policy"' EXIT
  apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@" \
      >"$log" 2>&1 </dev/null || {
      cat "$log" >&2
      fail "apt-get $1 failed (its output is above)"
    }
  }
  apt_get update
  # Packages are there for programs of ours to start, not as daemons (Prometheus): what starts those asks this first.
  if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  apt_get install --no-install-recommends "${needed[@]}"
  # Nor when the machine starts the next time.
  if [[ " ${needed[*]} " == *" prometheus "* ]] && command -v systemctl >/dev/null; then
    "${as_root[@]}" systemctl --quiet disable prometheus.service >/dev/null 2>&1 || true
  fi
  mapfile -t needed < <(missing "${wanted[@]}")
  ((${#needed[@]} == 0)) || fail "apt-get succeeded but these are still missing: ${needed[*]}"
fi

# works WHAT COMMAND...: the command, which shows that WHAT is usable, succeeds.
works() {
  local what=$1 output
  shift
  output=$("$@" 2>&1 </dev/null) || fail "$what does not work: '$*' failed: ${output:-no output}"
}

for group in "${groups[@]}"; do
  case $group in
    build)
      works CMake cmake --version
      works Ninja ninja --version
      works ccache ccache --version
      works "the C++ compiler" c++ --version
      works protoc protoc --version
      works "the C++ plugin of gRPC" test -x "$(command -v grpc_cpp_plugin)"
      works "pkg-config" pkg-config --exists grpc++ protobuf libzip
      ;;
    plot) works gnuplot gnuplot --version ;;
    fuzz) works Clang clang++ --version ;;
    test)
      works clang-format clang-format --version
      works "the Python plugin of gRPC" test -x "$(command -v grpc_python_plugin)"
      works "Debian's Python with grpc, protobuf and numpy" /usr/bin/python3 -c 'import google.protobuf, grpc, numpy'
      works OpenSSL openssl version
      works "Node.js" node --version
      # npm ci downloads; its hidden lockfile tells whether what it installed is still what the lockfile asks for.
      if [[ ! tests/foreign/node/node_modules/.package-lock.json -nt tests/foreign/node/package-lock.json ]]; then
        echo "Installing the Node packages of tests/foreign/node"
        works "npm ci" npm --prefix tests/foreign/node ci --no-progress --loglevel=error
        touch tests/foreign/node/node_modules/.package-lock.json
      fi
      works Prometheus prometheus --version
      works promtool promtool --version
      works curl curl --version
      works buf tests/foreign/node/node_modules/.bin/buf --version
      ;;
    bench)
      works "Google Benchmark" test -e /usr/include/benchmark/benchmark.h
      works "PyTorch with the threaded OpenBLAS" /usr/bin/python3 -c '
import torch
torch.zeros(2, 2) @ torch.zeros(2, 2)
assert "openblas-pthread" in open("/proc/self/maps").read(), "PyTorch has loaded another BLAS (update-alternatives)"'
      works "Debian's Python with numpy" /usr/bin/python3 -c 'import numpy'
      ;;
    container)
      works buildah buildah --version
      works podman podman --version
      works runc runc --version
      works mmdebstrap mmdebstrap --version
      works "Debian's Python with grpc, protobuf and numpy" /usr/bin/python3 -c 'import google.protobuf, grpc, numpy'
      ;;
  esac
done
