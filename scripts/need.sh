#!/usr/bin/env bash
# Is everything here that the set-up needs and cannot bring itself? Says what to install, in a sentence.
set -u
python=${1:-python3}

fail() { printf 'demls cannot be set up: %s\n' "$1" >&2; exit 1; }

command -v "$python" >/dev/null || fail "Python 3.11 or newer is missing. Install it (on Debian: apt-get install python3 python3-venv), then try again."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" --version) is too old; Python 3.11 or newer is needed. Set PYTHON=/path/to/python3.11 if you have one."
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "Python's venv module is missing. On Debian: apt-get install python3-venv."
command -v cargo >/dev/null || fail "the Rust tool chain is missing. Install it as https://rustup.rs says (version 1.91 or newer), then open a new terminal and try again."
rust=$(cargo --version | awk '{print $2}')
[ "$(printf '%s\n1.91\n' "$rust" | sort -V | head -n 1)" = 1.91 ] || fail "Rust $rust is too old; 1.91 or newer is needed. Run: rustup update."
command -v cc >/dev/null || fail "a C linker (cc) is missing, which Rust needs. On Debian: apt-get install gcc."
