"""Who may talk to the API? The holder of the token, or a page that exchanged a one-time code for a cookie.

Against other web sites: the Host must be one of ours (DNS rebinding), an Origin must be that same host (cross-site
requests), and with a cookie every change needs an Origin. Cookies of one host are shared by all its ports, so the
cookie's name carries the port.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

SESSION_SECONDS = 30 * 86_400
CODE_SECONDS = 86_400
CODES_MAX = 32
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Denied(Exception):
    """Why a request is not served."""

    status: int
    code: str
    sentence: str


def _seconds() -> int:
    return int(time.time())


@dataclass(slots=True)
class Access:
    """``token`` is the API token, ``hosts`` are further host names under which the API is reached (a proxy's)."""

    token: str
    port: int
    hosts: frozenset[str] = LOOPBACK_HOSTS
    clock: Callable[[], int] = _seconds
    _codes: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Access(port={self.port})"

    @property
    def cookie_name(self) -> str:
        return f"demls-session-{self.port}"

    def new_code(self) -> str:
        """A fresh one-time code; the oldest unused one goes when there are too many."""
        code = secrets.token_urlsafe(24)
        while len(self._codes) >= CODES_MAX:
            del self._codes[next(iter(self._codes))]
        self._codes[_digest(code)] = self.clock() + CODE_SECONDS
        return code

    def exchange(self, code: str) -> str:
        """The session that ``code`` is worth, once. Raises Denied."""
        expires = self._codes.pop(_digest(code), 0)
        if expires <= self.clock():
            raise Denied(
                403, "code-used", "This page address has been used or is too old. Run “demls page” to get a fresh one."
            )
        until = str(self.clock() + SESSION_SECONDS)
        nonce = secrets.token_urlsafe(16)
        return f"{until}.{nonce}.{self._seal(until, nonce)}"

    def check(self, method: str, headers: Mapping[str, str], *, is_socket: bool) -> None:
        """Raises Denied unless host, origin and credentials are right. ``headers`` in lower case."""
        self.check_host_and_origin(headers)
        authorization = headers.get("authorization", "")
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() == "bearer" and hmac.compare_digest(_digest(token.strip()), _digest(self.token)):
                return
            raise Denied(401, "wrong-token", "The API token is wrong; it stands in api.token in the data folder.")
        if not self._is_session(self._cookie(headers)):
            raise Denied(401, "no-session", "You are not signed in. Run “demls page” and open the address it prints.")
        if (is_socket or method not in SAFE_METHODS) and "origin" not in headers:
            raise Denied(403, "no-origin", "This request does not say which page it comes from, so it is refused.")

    def check_host_and_origin(self, headers: Mapping[str, str]) -> None:
        """Raises Denied."""
        host = headers.get("host", "")
        if _host_name(host) not in self.hosts:
            raise Denied(
                421, "wrong-host", "This node is not reached under this host name. Add it to “hosts” in config.toml."
            )
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise Denied(403, "wrong-origin", "This request comes from another web site, so it is refused.")

    def _cookie(self, headers: Mapping[str, str]) -> str:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return ""
        return morsel.value if morsel else ""

    def _is_session(self, session: str) -> bool:
        until, _, rest = session.partition(".")
        nonce, _, seal = rest.partition(".")
        if not hmac.compare_digest(_digest(seal), _digest(self._seal(until, nonce))):
            return False
        return until.isdecimal() and int(until) > self.clock()

    def _seal(self, until: str, nonce: str) -> str:
        content = f"demls session\n{until}\n{nonce}".encode("utf-8", "surrogatepass")
        return hmac.new(self.token.encode(), content, sha256).hexdigest()


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
