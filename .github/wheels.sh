#!/bin/sh
# wheels.sh VERSION FOLDER: builds every distribution as a wheel, with what `./mesh install` has installed. Fails where one has another version.
set -eu
version="$1"
folder="$2"
bin=.labelmesh/venv/bin
for distribution in protos services/* client gateway local operations training; do
  [ -f "$distribution/pyproject.toml" ] || continue
  "$bin/python" - "$distribution/pyproject.toml" "$version" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
if project["version"] != sys.argv[2]:
    sys.exit(f"{sys.argv[1]} has version {project['version']}, the release is {sys.argv[2]}")
PYTHON
  PYTHON="$PWD/$bin/python" "$bin/uv" build --quiet --wheel --no-build-isolation --python "$bin/python" --out-dir "$folder" "$distribution"
done
