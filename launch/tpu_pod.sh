#!/usr/bin/env bash
# A run file on every host of a TPU pod slice: copies this checkout to each host, sets it up once, and starts training.
#   TPU=NAME ZONE=ZONE launch/tpu_pod.sh RUN.gin --run_dir gs://BUCKET/RUN [flags of flantune train]
# Needs the gcloud command line. The prepared store must be one that all hosts can read: --prepared_dir gs://BUCKET/prepared,
# filled before by `flantune prepare` on any machine and copied there. DRY_RUN=1 prints the commands instead.
set -euo pipefail
: "${TPU:?set TPU to the name of the slice}" "${ZONE:?set ZONE to its zone}"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run() { if [ -n "${DRY_RUN:-}" ]; then printf '%q ' "$@"; echo; else "$@"; fi; }
flags=$(printf '%q ' "$@")
archive=$(mktemp -d)/flantune.tar.gz
run git -C "$root" archive --format=tar.gz --output "$archive" HEAD
run gcloud compute tpus tpu-vm scp "$archive" "$TPU":flantune.tar.gz --zone "$ZONE" --worker=all
run gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command "
  mkdir -p flantune && tar -xzf flantune.tar.gz -C flantune && cd flantune && make setup &&
  .venv/bin/python -m pip install --quiet --constraint constraints.txt 'flantune[tpu] @ .' &&
  .venv/bin/flantune train --distributed $flags"
