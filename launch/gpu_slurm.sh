#!/usr/bin/env bash
# A run file on GPUs under SLURM, one process for each GPU:
#   NODES=4 GPUS=8 GPU=h100 launch/gpu_slurm.sh [--dry_run] RUN.gin --run_dir SHARED/RUN [flags of flantune train]
# NODES x GPUS must divide DataConfig.lanes (64). GPU is a chip that flantune compile knows. The run folder, the prepared store
# (--prepared_dir) and this checkout must be on a disk that all nodes share. SRUN_FLAGS holds more flags of srun, such as
# '--partition gpu --time 12:00:00'. Before a time limit SLURM sends SIGTERM: the run saves, and the same command continues.
# RESTARTS=3: where a process or a node was lost, all start again, so often, and continue from the last checkpoint.
# shellcheck source=launch/shared.sh
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"
[ ${#train_flags[@]} -gt 0 ] || usage
need NODES GPUS GPU
set_up
preflight "$GPU:$((NODES * GPUS))" 1
read -r -a more <<<"${SRUN_FLAGS:-}"
for ((left = ${RESTARTS:-0}; ; left--)); do
  run srun --job-name flantune --nodes "$NODES" --ntasks-per-node "$GPUS" --gpus-per-node "$GPUS" --label \
    --kill-on-bad-exit=1 --signal=TERM@180 "${more[@]}" "$FLANTUNE" train --distributed "${train_flags[@]}" && exit
  status=$?
  if [ "$status" = 2 ] || [ "$left" -le 0 ]; then exit "$status"; fi # 2: wrong input stays wrong
  echo "gpu_slurm.sh: a process was lost (status $status): starting all again, $left more time(s) if need be." >&2
done
