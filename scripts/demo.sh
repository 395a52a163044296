#!/usr/bin/env bash
# Installs what is missing, builds, starts a server, runs handwritten digits through it, trains a network on it, and
# draws what came out:
#   scripts/demo.sh [--output DIR] [--no-install]
#     --output DIR   where the results go; demo-output in the repository when absent
#     --no-install   do not look for missing packages
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "demo.sh: $*" >&2
  exit 1
}

output=$PWD/demo-output
install=yes
while (($#)); do
  case $1 in
    --output)
      [[ $# -ge 2 && $2 ]] || fail "--output needs a folder"
      [[ $2 == /* ]] && output=$2 || output=$caller/$2
      shift
      ;;
    --no-install) install= ;;
    *)
      echo "demo.sh: unknown argument '$1'; usage: scripts/demo.sh [--output DIR] [--no-install]" >&2
      exit 2
      ;;
  esac
  shift
done

[[ -z $install ]] || scripts/install.sh
scripts/build.sh release spikeserve spikectl digits_demo
bin=build/release
mkdir -p "$output"

# The server's standard output comes through a pipe: reading its first line waits for it to serve, or to have died.
server=
trap '[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true' EXIT
exec {lines}< <(exec "$bin/server/spikeserve" --listen=127.0.0.1:0 --log-level=warning)
server=$!
read -r -t 60 line <&"$lines" || fail "the server did not start"
[[ $line == "spikeserve listening on "* ]] || fail "the server said '$line', not where it listens"
address=${line#spikeserve listening on }
echo "A server listens on $address"
echo

"$bin/examples/digits_demo" --server "$address" --output "$output"

draw() {
  "$bin/client/cli/spikectl" "$@" >/dev/null
}
results=$output/digits_results.npz
draw raster "$results:pixel_spikes" -o "$output/pixel_raster.png" --title "Pixels' spikes, a digit of each class" \
  --x-label "time step (32 for each of the digits 0 to 9)" --y-label "pixel"
draw raster "$results:output_spikes" -o "$output/output_raster.png" --title "Output neurons' spikes, the same digits" \
  --x-label "time step (32 for each of the digits 0 to 9)" --y-label "neuron (4 for each class)"
draw heatmap "$results:similarity" -o "$output/similarity.png" --title "Similarity of 300 digits' output" \
  --x-label "digit (30 of each class, sorted)" --y-label "digit" --value-label "gaussian kernel"

echo
echo "Training a network on 1437 of the digits, on the server; 360 are held out to test it"
"$bin/client/cli/spikectl" train examples/data/digits.npz --input-scale 0.0625 --test 360 --seed 1 --server "$address" \
  --hidden 256 --neurons-per-class 10 --loss rate --epochs 60 \
  --save "$output/digits.ckpt" --curve "$output/learning_curve.png"
echo

kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
((code == 0)) || fail "the server ended with exit code $code"
echo "The server drained and ended."
printf 'Picture: %s\n' "$output"/{pixel_raster,output_raster,similarity,learning_curve}.png
