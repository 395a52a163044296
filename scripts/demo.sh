#!/usr/bin/env bash
# Installs what is missing, builds, starts the server, and runs handwritten digits through it:
#   scripts/demo.sh [--no-install] [--output DIR]   pictures and arrays go to DIR, demo-output when absent
set -euo pipefail
install=yes
usage() {
  echo "demo.sh: $1; usage: scripts/demo.sh [--no-install] [--output DIR]" >&2
  exit 2
}
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
output=$repository/demo-output
while (($#)); do
  case $1 in
    --no-install) install= ;;
    --output)
      [[ $# -ge 2 ]] || usage "--output needs a folder"
      output=$(realpath -m "$2")
      shift
      ;;
    *) usage "unknown argument '$1'" ;;
  esac
  shift
done
cd "$repository"

if [[ $install ]]; then
  scripts/install.sh
  scripts/build.sh release spikeserve spikectl digits_demo
fi
mkdir -p "$output"

# The server tells on its first line where it listens.
work=$(mktemp -d)
server=
cleanup() {
  [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
build/release/server/spikeserve --listen=127.0.0.1:0 >"$work/server.log" &
server=$!
for _ in {1..100}; do
  grep -q '^spikeserve listening on ' "$work/server.log" && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
address=$(sed -n 's/^spikeserve listening on //p' "$work/server.log")
[[ $address ]] || {
  echo "demo.sh: the server did not start" >&2
  exit 1
}
echo "The server listens on $address"
echo

build/release/examples/digits_demo --server "$address" --data examples/data/digits.npz --output "$output"
spikectl=build/release/client/cli/spikectl
"$spikectl" raster "$output/digits_results.npz:pixel_spikes" -o "$output/pixels.png" \
  --title "The digits 0 to 9 as spikes, 32 steps each" --y-label "pixel"
"$spikectl" raster "$output/digits_results.npz:output_spikes" -o "$output/neurons.png" \
  --title "The network's answer to the digits 0 to 9, 32 steps each" --y-label "output neuron, 4 for each class"
"$spikectl" heatmap "$output/digits_results.npz:similarity" -o "$output/similarity.png" \
  --title "Similarity of digits' spikes (gaussian kernel)" --x-label "digit, sorted by label" \
  --y-label "digit, sorted by label"

kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
((code == 0)) || {
  echo "demo.sh: the server exited with $code after SIGTERM" >&2
  exit 1
}
echo
echo "Pictures: pixels.png, neurons.png and similarity.png in $output"
