#!/usr/bin/env bash
# The browser tests drive a real Chromium: install Debian's where that is possible, say so where it is not.
set -u
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing Chromium for the browser tests ..."
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
echo "Chromium is missing and cannot be installed from here, so the browser tests will be skipped." \
  "Install it (on Debian: apt-get install chromium) to run them." >&2
exit 0
