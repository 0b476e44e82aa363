#!/usr/bin/env bash
# gin-config 0.5.0 logs an error for every search path that lacks an included file, although a later one has it.
#
# A good guess: search paths are tried in their order, as a shell tries PATH, and only a file that none of them has is an
# error. In fact gin has two readers. The first opens files. Where a search path lacks the file, the second one takes the
# path for a Python package with a file in it and, since there is no such package, logs "Path not found" at level ERROR.
# Then the next search path is tried, the file is found, and parsing succeeds. The working folder is always tried first, so
# an include that only the second of two search paths has is told as two errors.
#
# Run: bash findings/gin_search_path_errors.sh
# Exit status 0: it is still so. 1: it has changed. Needs the network, for pip.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check gin-config==0.5.0
cd "$place"
mkdir -p mine theirs/parts
echo 'size.value = 3' > theirs/parts/size.gin
echo 'include "parts/size.gin"' > run.gin
cat > try.py << 'PYTHON'
import importlib.metadata
import logging

import gin

records = []


class Keep(logging.Handler):
    def emit(self, record):
        records.append((record.levelname, record.getMessage()))


logging.getLogger().addHandler(Keep(level=logging.ERROR))


@gin.configurable
def size(value):
    return value


for folder in ("mine", "theirs"):
    gin.add_config_file_search_path(folder)
gin.parse_config_file("run.gin")
print("gin-config", importlib.metadata.version("gin-config"))
print("bound value:", size())
for level, message in records:
    print(level, message)
expected = [("ERROR", f"Path not found: {path}") for path in ("parts/size.gin", "mine/parts/size.gin")]
assert size() == 3
assert records == expected, "gin-config behaves otherwise now"
print("As described: parsing succeeds and every search path before the right one is an error.")
PYTHON
"$place/venv/bin/python" try.py
