#!/usr/bin/env bash
# The engine's own Rust tests embed Python, so they need its library to link against.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
if ! "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(*map(sysconfig.get_config_var, ("LIBDIR", "LDLIBRARY")))))'; then
  echo "Python's library (libpython) is missing here, so the engine's Rust tests are skipped. On Debian: apt-get install python3-dev." >&2
  exit 0
fi
cd "$root/packages/demls-engine"
PYO3_PYTHON=$python exec cargo test --release --locked --quiet
