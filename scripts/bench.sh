#!/usr/bin/env bash
# Installs what is missing, builds, and compares the library and the service with PyTorch, bare gRPC and the machine's
# limits, in one run (docs/performance.md tells what is printed):
#   scripts/bench.sh [--quick] [--only REGEX] [--seconds N] [--output FILE.md] [--plot FILE.png [--plot-up-to BYTES]]
#                    [--no-install]
#     --quick        small operands, one turn: shows that all works, in a minute
#     --only REGEX   only the workloads whose name has a match
#     --seconds N    for the turns of each workload; 10 when absent
#     --output FILE  write the report to FILE as Markdown, and beside it as .json
#     --plot FILE    measure and draw the cost by size, too
#     --plot-up-to BYTES  the largest size of it; 1 GiB when absent
#     --no-install   do not look for missing packages
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

arguments=()
install=yes
for argument; do
  if [[ $argument == --no-install ]]; then
    install=
  else
    arguments+=("$argument")
  fi
done

[[ -z $install ]] || "$repository/scripts/install.sh" --bench
"$repository/scripts/build.sh" release -DSPIKESERVE_BUILD_BENCH=ON \
  spikeserve bench_driver bench_echo_server bench_blas >&2
# In the caller's folder: --output and --plot may be relative.
exec /usr/bin/python3 -B "$repository/bench/run.py" --build "$repository/build/release" ${arguments[@]+"${arguments[@]}"}
