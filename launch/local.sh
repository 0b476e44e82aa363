#!/usr/bin/env bash
# Any run file on this machine, in the environment that `make` sets up:
#   launch/local.sh gin/runs/quickstart.gin [flags of flantune train]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -eq 0 ]; then
  echo "usage: launch/local.sh RUN.gin [flags of flantune train]" >&2
  exit 2
fi
make --silent --directory "$root" setup >&2
exec "$root/.venv/bin/flantune" train "$@"
