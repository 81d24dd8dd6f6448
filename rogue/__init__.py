"""Malicious nodes, for tests: real ones, with one strategy patched into the core. No part of what is installed."""
