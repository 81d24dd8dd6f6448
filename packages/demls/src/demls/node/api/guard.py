"""What does every request pass before a route sees it? Host, origin, credentials, size; headers on the way out."""

from __future__ import annotations

import logging
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demls.api.models import Problem
from demls.node.api.access import Access, Denied

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 256 * 1024
API = "/api/v1"
OPEN_PATHS = frozenset({f"{API}/session", f"{API}/health"})
"""Served without credentials; host and origin are checked all the same."""

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def problem_response(status: int, code: str, sentence: str) -> JSONResponse:
    """An error answer."""
    return JSONResponse(Problem(code=code, sentence=sentence).model_dump(), status_code=status)


class Guard:
    """ASGI middleware, outermost."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
        try:
            self._check(scope, headers)
        except Denied as denied:
            await _refuse(denied, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        path: str = scope["path"]
        is_socket = scope["type"] == "websocket"
        if not is_socket and (path in OPEN_PATHS or not path.startswith("/api/")):
            self._access.check_host_and_origin(headers)
        else:
            self._access.check(scope.get("method", "GET"), headers, is_socket=is_socket)
        if not scope.get("query_string", b"").isascii():
            raise Denied(400, "bad-request", "The query of this address is not percent-encoded.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > BODY_BYTES_MAX:
            raise _too_large()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0
        has_begun = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > BODY_BYTES_MAX:
                    return {"type": "http.disconnect"}
            return message

        async def with_headers(message: Message) -> None:
            nonlocal has_begun
            if received > BODY_BYTES_MAX and not has_begun:
                return  # whatever the application makes of a body that was cut
            if message["type"] == "http.response.start":
                has_begun = True
                outgoing = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    outgoing[name] = value
                outgoing.setdefault("cache-control", "no-store")
            await send(message)

        try:
            await self._app(scope, counted, with_headers)
        except Exception:
            if received <= BODY_BYTES_MAX:
                log.exception("The API could not answer %s", scope["method"])
            if received <= BODY_BYTES_MAX and not has_begun:
                sentence = "Something went wrong inside the node; its log says what. Please report it."
                await problem_response(500, "internal", sentence)(scope, receive, with_headers)
        if received > BODY_BYTES_MAX and not has_begun:
            await _refuse(_too_large(), scope, receive, send)


def _too_large() -> Denied:
    return Denied(413, "too-large", f"This request is too large; the limit is {BODY_BYTES_MAX // 1024} KiB.")


async def _refuse(denied: Denied, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": denied.sentence[:120]})
        return
    response = problem_response(denied.status, denied.code, denied.sentence)
    response.headers.update({**HEADERS, "cache-control": "no-store"})
    await response(scope, receive, send)
