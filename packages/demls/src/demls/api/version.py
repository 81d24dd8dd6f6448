"""Which API is this, and which release of demls serves it?"""

from __future__ import annotations

from importlib import metadata

API_VERSION = "1"


def release() -> str:
    """The installed release, or "source" when it runs from a source tree that is not installed."""
    try:
        return metadata.version("demls")
    except metadata.PackageNotFoundError:
        return "source"
