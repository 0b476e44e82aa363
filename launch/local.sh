#!/usr/bin/env bash
# Any run file on this machine, CPU or one GPU, in the environment that `make` sets up:
#   launch/local.sh [--dry_run] RUN.gin [flags of flantune train]
# The sources are prepared first, in a process that sees no GPU: TensorFlow, which reads some of them, would take all of its
# memory. FLANTUNE names the command of another installation.
# shellcheck source=launch/shared.sh
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"
[ ${#train_flags[@]} -gt 0 ] || usage
set_up
run env CUDA_VISIBLE_DEVICES= "$FLANTUNE" prepare "${data_flags[@]}" >&2
run "$FLANTUNE" train "${train_flags[@]}" && exit
status=$?
if [ "$status" = 137 ]; then
  echo "local.sh: the process was killed, most likely because this machine's memory was full." >&2
  echo "Lower DataConfig.batch_size or ModelConfig's sizes, or raise OptimizerConfig.microbatches." >&2
fi
exit "$status"
