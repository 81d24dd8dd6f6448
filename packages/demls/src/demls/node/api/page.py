"""Serves the built page, or says how to build it."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.responses import Response
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

PAGE_FOLDER = Path(__file__).parent.parent / "page"
NOT_BUILT = "The page is not built. Run “make page” in the project's folder (it needs Node.js), then reload.\n"


class _Page(StaticFiles):
    """Files with a hash in their name are kept for good, all others are asked for again."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_hashed = scope["path"].startswith("/assets/")
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if is_hashed else "no-cache"
        return response


def serve_page(app: FastAPI, folder: Path = PAGE_FOLDER) -> None:
    """Add the page's routes, after all others."""
    if (folder / "index.html").is_file():
        app.mount("/", _Page(directory=folder, html=True), name="page")
        return

    @app.get("/", include_in_schema=False)
    async def page_missing() -> PlainTextResponse:
        return PlainTextResponse(NOT_BUILT, status_code=503)
