# Sourced by the launchers: their arguments, how a command is run or only shown, and the checks before anything is paid for.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
exec 3>&1 # where --dry_run shows commands, whatever their output is for
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dry_run='' delete='' # --dry_run and --delete may stand anywhere
train_flags=() # all others, as flantune train gets them
data_flags=() # those of them that flantune prepare and preflight know too
run_dir=() # --run_dir with its folder, which preflight knows too
value_of='' # the flag whose value the next word is
for word in "$@"; do
  case "$word" in
    --dry_run) dry_run=1 && continue ;;
    --delete) delete=1 && continue ;;
  esac
  train_flags+=("$word")
  case "$value_of" in
    --run_dir) run_dir=(--run_dir "$word") && value_of='' && continue ;;
    --profile_steps) value_of='' && continue ;;
  esac
  case "$word" in
    --run_dir | --profile_steps) value_of=$word ;;
    --run_dir=*) run_dir=("$word") ;;
    --profile_steps=*) ;;
    *) data_flags+=("$word") ;;
  esac
done

usage() { # the comment at the top of the launcher, up to its first line without one
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
}

run() { # runs a command; with --dry_run, prints it so that a shell would read the same words
  if [ -n "$dry_run" ]; then { printf '%q ' "$@" && echo; } >&3; else "$@"; fi
}

need() { # each named variable must be set
  local name
  for name in "$@"; do
    [ -n "${!name:-}" ] || { echo "$(basename "$0"): set $name; see the top of the file." >&2 && exit 2; }
  done
}

set_up() { # FLANTUNE names the command of another installation
  if [ -z "${FLANTUNE:-}" ]; then
    run make --silent --directory "$root" "${1:-setup}" >&2
    FLANTUNE=$root/.venv/bin/flantune
  fi
}

preflight() { # topology, slices, and what is shipped: all that can be known before anything is asked for
  run "$FLANTUNE" preflight --topology "$1" --num_slices "$2" "${@:3}" "${run_dir[@]}" "${data_flags[@]}" ||
    { echo "$(basename "$0"): nothing was started." >&2 && exit 1; }
}
