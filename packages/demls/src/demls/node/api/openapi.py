"""Prints the OpenAPI document, always the same bytes, and starts nothing: ``python -m demls.node.api.openapi``."""

from __future__ import annotations

import json
import sys

from demls.node.api.app import openapi_document


def main() -> None:
    sys.stdout.write(json.dumps(openapi_document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
