#!/usr/bin/env bash
# A run file on TPU slices of Google Cloud, kept going until it is done:
#   TPU=my-run ZONE=us-west4-b TYPE=v5litepod-256 TOPOLOGY=v5e:16x16 RUNTIME=v2-alpha-tpuv5-lite \
#     launch/tpu_pod.sh [--dry_run | --delete] RUN.gin --run_dir gs://B/RUN --prepared_dir gs://B/prepared [flags of train]
# Asks for the queued resource TPU, or takes the one that is there; copies this commit to every host, installs it, starts it on
# all of them and shows their logs. A slice that is taken away is asked for again, and the run continues; an error of the run
# itself ends the launcher, and the slice stays. --delete gives it back. SLICES=2 joins slices over the network (multislice;
# the run's MeshConfig.slice must be 2 too), SPOT=1 asks for spot capacity, PROJECT names a project. Needs the gcloud command line.
# shellcheck source=launch/shared.sh
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"
need TPU ZONE
place=(--zone "$ZONE" ${PROJECT:+--project "$PROJECT"})
resource() { run gcloud compute tpus queued-resources "$1" "$TPU" "${place[@]}" "${@:2}"; }
if [ -n "$delete" ]; then resource delete --force --quiet && exit; fi
[ ${#train_flags[@]} -gt 0 ] || usage
need TYPE TOPOLOGY RUNTIME
slices=${SLICES:-1} work=$(mktemp -d) wait_s=${WAIT_S:-30}
trap 'rm -rf "$work"' EXIT
nodes=("$TPU") named=(--node-id "$TPU")
if [ "$slices" -gt 1 ]; then
  mapfile -t nodes < <(seq -f "$TPU-%.0f" 0 $((slices - 1)))
  named=(--node-count "$slices" --node-prefix "$TPU")
fi

state() { # ABSENT where there is none; fails where it cannot be asked for
  if [ -n "$dry_run" ]; then resource describe --format 'value(state.state)' && echo ABSENT && return; fi
  resource describe --format 'value(state.state)' 2>"$work/why" || { grep -q NOT_FOUND "$work/why" && echo ABSENT; }
}

get_slices() { # returns when all are there
  local now
  while :; do
    now=$(state) || { cat "$work/why" >&2 && exit 1; }
    case "$now" in
      ACTIVE) return ;;
      FAILED | SUSPENDED) resource delete --force --quiet ;;
      ABSENT) resource create "${named[@]}" --accelerator-type "$TYPE" --runtime-version "$RUNTIME" ${SPOT:+--spot} ;;
    esac
    [ -z "$dry_run" ] || return 0
    sleep "$wait_s"
  done
}

on_all() { # a command on every host of every slice; fails where one fails
  local node status=0 started=()
  for node in "${nodes[@]}"; do
    run gcloud compute tpus tpu-vm ssh "$node" "${place[@]}" --worker=all --batch-size=all --command "$1" &
    started+=($!)
  done
  for node in "${started[@]}"; do wait "$node" || status=$?; done
  return "$status"
}

install() {
  local node
  for node in "${nodes[@]}"; do
    run gcloud compute tpus tpu-vm scp "$work/flantune.tar.gz" "$node:flantune.tar.gz" "${place[@]}" --worker=all || return
  done
  on_all "rm -rf flantune && mkdir flantune && tar -xzf flantune.tar.gz -C flantune && make --silent -C flantune tpu"
}

train() {
  on_all "cd flantune && .venv/bin/flantune train --distributed $(printf '%q ' "${train_flags[@]}")" 2>&1 | tee "$work/log"
}

set_up tpu
preflight "$TOPOLOGY" "$slices" --ships_commit "$root"
run git -C "$root" archive --format=tar.gz --output "$work/flantune.tar.gz" HEAD
while :; do
  get_slices
  if install && train; then
    grep -q 'resumable: saved' "$work/log" || exit 0 # else a signal came: a host is about to go
  elif [ "$(state)" = ACTIVE ]; then
    echo "tpu_pod.sh: the run failed, and $TPU is still there; launch/tpu_pod.sh --delete gives it back." >&2 && exit 1
  fi
  echo "tpu_pod.sh: $TPU was taken away; asking for it again." >&2
  sleep "$wait_s"
done
