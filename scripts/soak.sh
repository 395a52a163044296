#!/usr/bin/env bash
# Mixed load with faults on a server, every answer checked: scripts/soak.sh [--seconds=N] [--flag=FLAG of the server ...]
# For an hour, when nothing else is said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install.sh --test
scripts/build.sh release soak
exec build/release/tests/soak/soak --seconds=3600 "$@"
