#!/usr/bin/env bash
# A run file on TPU slices of a GKE cluster, through xpk (pip install xpk), which builds an image of this checkout:
#   CLUSTER=c ZONE=us-west4-b PROJECT=p WORKLOAD=my-run TYPE=v5litepod-256 TOPOLOGY=v5e:16x16 \
#     launch/gke_xpk.sh [--dry_run | --delete] RUN.gin --run_dir gs://B/RUN --prepared_dir gs://B/prepared [flags of train]
# SLICES=2 joins slices over the network, IMAGE is what the image is built on, RESTARTS how often a workload that lost a host is
# started again: the run continues from its last checkpoint. --delete removes the workload. Logs: the workload's page, or
# kubectl logs.
# shellcheck source=launch/shared.sh
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"
need CLUSTER ZONE PROJECT WORKLOAD
where=(--cluster "$CLUSTER" --zone "$ZONE" --project "$PROJECT" --workload "$WORKLOAD")
if [ -n "$delete" ]; then run xpk workload delete "${where[@]}" && exit; fi
[ ${#train_flags[@]} -gt 0 ] || usage
need TYPE TOPOLOGY
set_up tpu
preflight "$TOPOLOGY" "${SLICES:-1}" --ships_folder "$root"
train=$(printf '%q ' python -m flantune train --distributed "${train_flags[@]}")
run xpk workload create "${where[@]}" --tpu-type "$TYPE" --num-slices "${SLICES:-1}" --max-restarts "${RESTARTS:-100}" \
  --base-docker-image "${IMAGE:-python:3.12}" --script-dir "$root" \
  --command "pip install --quiet --constraint constraints.txt '.[tpu]' && $train"
