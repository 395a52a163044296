#!/usr/bin/env bash
# Builds the image, runs it as it is meant to be run, calls every RPC on it from Python, and stops it.
# Needs neither a Docker engine nor a registry (the base image is made with mmdebstrap), but Debian 12 and root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "docker/test.sh: $*" >&2
  exit 1
}

((EUID == 0)) || exec sudo bash docker/test.sh
scripts/install.sh --container

base=docker.io/library/debian:bookworm-slim
image=localhost/spikeserve-test
address=127.0.0.1:50051
work=$(mktemp -d)
container=
cleanup() {
  [[ -z $container ]] || podman rm --force "$container" >/dev/null 2>&1 || true
  podman image prune --force >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

# These work inside of a container or a chroot, where overlay mounts and user namespaces do not. The images are kept in a
# place of our own, where what the last run left can be pruned.
export BUILDAH_ISOLATION=chroot CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
storage=$PWD/build/container
mkdir -p "$storage"
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "vfs"
graphroot = "$storage/images"
runroot = "$storage/run"
END
cat >"$CONTAINERS_CONF" <<'END'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
END

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
  echo "Making the base image"
  mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar"
  from=$(buildah from scratch)
  buildah add --quiet "$from" "$work/base.tar" /
  buildah commit --quiet "$from" "$base" >/dev/null
  buildah rm "$from" >/dev/null
  rm "$work/base.tar"
fi

# The committed files, so that what lies about here cannot help.
echo "Building the image"
mkdir "$work/context"
git -c safe.directory="$PWD" archive HEAD | tar -x -C "$work/context"
buildah bud --pull-never --network host --format docker -f "$work/context/docker/Dockerfile" -t "$image" \
  "$work/context" >"$work/build.log" 2>&1 || {
  cat "$work/build.log" >&2
  fail "building the image failed (its output is above)"
}
[[ $(podman image inspect "$image" --format '{{.Config.User}}') == 10001:10001 ]] || fail "the image does not run as user 10001"

# Podman's warnings that no systemd runs its health timers are no news: the health check is run below.
container=$(podman run --detach --read-only --read-only-tmpfs=false --cap-drop all --network host "$image" 2>"$work/podman.log") || {
  cat "$work/podman.log" >&2
  fail "the container does not start"
}
healthy=
for _ in {1..100}; do
  if podman healthcheck run "$container" >"$work/health.log" 2>&1; then
    healthy=yes
    break
  fi
  sleep 0.2
done
[[ $healthy ]] || {
  cat "$work/health.log" >&2
  podman logs "$container" >&2
  fail "the container is not healthy after 20 s"
}
echo "The container is healthy; calling every RPC"
/usr/bin/python3 -B tests/foreign/python/run.py "$address" >"$work/calls.log" 2>&1 || {
  cat "$work/calls.log" >&2
  fail "calls on the container failed (see above)"
}
tail -n 3 "$work/calls.log" | grep '^Ran'
stop() {
  podman stop --time 30 "$container" >/dev/null 2>"$work/podman.log"
  local code
  code=$(podman inspect "$container" --format '{{.State.ExitCode}}')
  [[ $code == 0 ]] || fail "the container exited with $code after SIGTERM"
  podman rm "$container" >/dev/null 2>>"$work/podman.log"
}
stop
echo "The container stopped with exit code 0"

# As docker/README.md has it: networks survive in a volume.
layers=$work/layers.json
echo '{"layers": [{"name": "n", "if_node": {}}]}' >"$layers"
for round in first second; do
  container=$(podman run --detach --read-only --read-only-tmpfs=false --cap-drop all --network host \
    --volume spikeserve-test:/var/lib/spikeserve "$image" --listen=127.0.0.1:50051 \
    --state-dir=/var/lib/spikeserve/networks 2>"$work/podman.log") || {
    cat "$work/podman.log" >&2
    fail "the container with a volume does not start"
  }
  for _ in {1..100}; do
    podman exec "$container" spikectl health --server "$address" >/dev/null 2>&1 && break
    sleep 0.2
  done
  if [[ $round == first ]]; then
    podman exec --interactive "$container" spikectl network create /dev/stdin --server "$address" <"$layers" \
      >/dev/null || fail "no network was made"
  else
    listed=$(podman exec "$container" spikectl network list --json --server "$address")
    [[ $listed == *'"network"'* ]] || fail "the network did not survive: $listed"
  fi
  stop
done
container=
podman volume rm spikeserve-test >/dev/null
echo "A network survived a restart in a volume"
