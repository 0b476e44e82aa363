#!/usr/bin/env bash
# etils 1.15.0: epath.Path("gs://...").absolute() is a folder on the local disk, although is_absolute() is already True.
#
# A good guess: absolute() leaves an absolute path as it is, as pathlib does, and epath.Path says of a bucket that it is one.
# In fact absolute() and resolve() join the path to the working folder and normalise it, which also takes one of the two
# slashes away: gs://bucket/run becomes /where/I/am/gs:/bucket/run. A program that makes a folder absolute for Orbax, which
# wants absolute paths, then saves its checkpoints on the local disk, or fails in the driver that parses the path.
#
# Run: bash findings/etils_absolute_of_a_bucket.sh
# Exit status 0: it is still so. 1: it has changed. Needs the network, for pip.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check 'etils[epath]==1.15.0'
cd "$place"
cat > try.py << 'PYTHON'
import importlib.metadata
import os
import pathlib

from etils import epath

here = os.getcwd()
print("etils", importlib.metadata.version("etils"))
for bucket in ("gs://bucket/run", "s3://bucket/run"):
    path = epath.Path(bucket)
    print(path, "| is_absolute:", path.is_absolute(), "| absolute:", path.absolute(), "| resolve:", path.resolve())
    local = f"{here}/{bucket.replace('//', '/')}"
    assert path.is_absolute()
    assert [os.fspath(path.absolute()), os.fspath(path.resolve())] == [local, local], "it behaves otherwise now"
there = pathlib.Path("/some/run")
assert there.absolute() == there  # what one would expect
print("As described: an absolute place in a bucket becomes a place below the working folder.")
PYTHON
"$place/venv/bin/python" try.py
