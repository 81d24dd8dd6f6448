"""Does the API serve whom it should, refuse the others, and answer any bytes with a sentence?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from demls.api.models import NewGroup, Problem
from demls.node.api.access import Access
from demls.node.api.app import create_app, openapi_document
from demls.node.api.guard import BODY_BYTES_MAX
from demls.node.errors import NoSuchGroup
from demls.node.recursion import restore_limit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TOKEN = "the-token-of-the-test"
HOST = "http://127.0.0.1:7374"
BEARER = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}

READS = ("/node", "/contact", "/groups", "/metrics")
"""What needs credentials, without parameters."""


class Served:
    def __init__(self, desk: Any, access: Access, http: httpx.AsyncClient, app: Any) -> None:
        self.desk = desk
        self.access = access
        self.http = http
        self.app = app


@pytest.fixture(autouse=True)
def _as_in_a_node() -> None:
    restore_limit()


@pytest.fixture
async def served(world: Any) -> AsyncIterator[Served]:
    async with world.node("alice") as desk:
        access = Access(token=TOKEN, port=7374)
        app = create_app(desk, access)
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as http:
            yield Served(desk, access, http, app)


def problem(answer: httpx.Response) -> Problem:
    return Problem.model_validate_json(answer.content)


@pytest.mark.parametrize("path", READS)
async def test_without_credentials_nothing_is_told(served: Served, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic abc"}, {"authorization": "Bearer"}):
        answer = await served.http.get(f"/api/v1{path}", headers=headers)
        assert answer.status_code == 401
        assert problem(answer).sentence
    assert (await served.http.get(f"/api/v1{path}", headers=BEARER)).status_code == 200


async def test_a_code_is_worth_one_session(served: Served) -> None:
    code = served.access.new_code()
    answer = await served.http.post("/api/v1/session", json={"code": code}, headers={"origin": HOST})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert cookie.startswith("demls-session-7374=")
    assert (await served.http.get("/api/v1/node")).status_code == 200
    again = await served.http.post("/api/v1/session", json={"code": code}, headers={"origin": HOST})
    assert again.status_code == 403
    assert "demls page" in problem(again).sentence


async def test_a_session_changes_nothing_without_an_origin_and_nothing_from_another_site(served: Served) -> None:
    code = served.access.new_code()
    await served.http.post("/api/v1/session", json={"code": code}, headers={"origin": HOST})
    body = {"name": "Friends"}
    assert (await served.http.post("/api/v1/groups", json=body)).status_code == 403
    for origin in ("http://evil.example", "http://127.0.0.1:7375", "null", "https://127.0.0.1"):
        answer = await served.http.post("/api/v1/groups", json=body, headers={"origin": origin})
        assert answer.status_code == 403, origin
    assert (await served.http.post("/api/v1/groups", json=body, headers={"origin": HOST})).status_code == 201


async def test_a_session_survives_a_restart_and_ends_with_the_token(served: Served) -> None:
    session = served.access.exchange(served.access.new_code())
    headers = {"host": "127.0.0.1:7374", "cookie": f"demls-session-7374={session}"}
    Access(token=TOKEN, port=7374).check("GET", headers, is_socket=False)
    for access in (
        Access(token="another", port=7374),
        Access(token=TOKEN, port=7375),
        Access(token=TOKEN, port=7374, clock=lambda: 2**40),
    ):
        with pytest.raises(Exception, match="401"):
            access.check("GET", headers, is_socket=False)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7374", "127.0.0.1.evil.example", "[::2]", "", "127.0.0.1@evil.example"]
)
async def test_a_rebound_host_name_is_refused_everywhere(served: Served, host: str) -> None:
    for path in ("/", "/api/v1/health", "/api/v1/node", "/api/v1/session"):
        answer = await served.http.get(path, headers={**BEARER, "host": host})
        assert answer.status_code == 421


async def test_every_answer_carries_the_strict_headers(served: Served) -> None:
    for path in ("/", "/nothing", "/api/v1/health", "/api/v1/node", "/api/v1/groups/zz"):
        answer = await served.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] in ("no-store", "no-cache")


async def test_a_large_body_is_refused_whether_it_says_so_or_not(served: Served) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 1000):
            yield b" " * 1024

    for content in (b" " * (BODY_BYTES_MAX + 1), pieces()):
        answer = await served.http.post("/api/v1/groups", content=content, headers=BEARER)
        assert answer.status_code == 413
        assert problem(answer).code == "too-large"


async def test_health_needs_no_credentials(served: Served) -> None:
    answer = await served.http.get("/api/v1/health")
    assert answer.json()["ok"] is True


async def test_the_life_of_a_group_over_http(served: Served) -> None:
    http = served.http
    http.headers.update(BEARER)
    group = (await http.post("/api/v1/groups", json={"name": " My   group ", "preset": "quick"})).json()
    assert group["name"] == "My group"
    here = f"/api/v1/groups/{group['id']}"
    assert (await http.post(f"{here}/messages", json={"text": "hello"})).json() == {
        "sentence": "Sent.",
        "proposal": None,
    }
    lines = (await http.get(f"{here}/timeline?limit=1")).json()
    assert [line["text"] for line in lines] == ["hello"]
    assert (await http.get(f"{here}/timeline?before={lines[0]['id']}")).json() == []
    assert (await http.get(f"{here}/members")).json()[0]["is_me"] is True
    invite = (await http.post(f"{here}/invites", json={})).json()
    assert invite["text"].startswith("demls:invite:")
    assert invite["qr_svg"].startswith("<svg")
    assert "style" not in invite["qr_svg"]
    opened = (await http.post(f"{here}/invites", json={"open": True})).json()
    assert opened["text"] != invite["text"]
    message = {"text": "again", "client_id": "0c6b"}
    assert [(await http.post(f"{here}/messages", json=message)).status_code for _ in range(2)] == [201, 201]
    assert [(line["text"], line["client_id"]) for line in (await http.get(f"{here}/timeline?limit=2")).json()] == [
        ("hello", None),
        ("again", "0c6b"),
    ]
    changed = await http.post(f"{here}/settings", json={"name": "Ours", "policy": {"remove": {"share": "all"}}})
    assert changed.status_code == 201
    seen = (await http.get(here)).json()
    assert (seen["name"], seen["policy"]["remove"]["share"]) == ("Ours", "all")
    assert [one["preset"] for one in (await http.get("/api/v1/presets")).json()] == ["quick", "day", "council"]
    assert (await http.get("/api/v1/contact")).json()["text"].startswith("demls:contact:")
    assert (await http.delete(here)).status_code == 409
    assert (await http.get(f"{here}/members")).json()[0]["keys_sentence"].startswith("Your keys in this group were ")
    assert "next commit" in (await http.post(f"{here}/refresh-keys")).json()["sentence"]
    assert (await http.post(f"{here}/leave")).status_code == 200
    assert (await http.delete(here)).status_code == 204
    assert (await http.get(here)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/groups/none", None, 404),
        ("GET", "/groups/%00%ff", None, 404),
        ("GET", "/groups/{id}/timeline?limit=0", None, 422),
        ("GET", "/groups/{id}/timeline?before=99999999999999999999999", None, 422),
        ("POST", "/groups", {"name": ""}, 422),
        ("POST", "/groups", {"name": "x" * 81}, 422),
        ("POST", "/groups", {"name": "\n"}, 400),
        ("POST", "/groups", {"name": "a", "extra": 1}, 422),
        ("POST", "/groups", {"name": "a", "preset": "slow"}, 422),
        ("POST", "/groups", [1], 422),
        ("POST", "/groups", {"name": "a", "policy": {"stewards_min": 9, "stewards_max": 3}}, 409),
        ("POST", "/groups", {"name": "a", "policy": {"stewards_min": -1}}, 422),
        ("POST", "/groups", {"name": "a", "policy": {"invite": {"share": "most"}}}, 422),
        ("POST", "/groups", {"name": "a", "policy": {"invite": {"duration_ms": 1.5}}}, 422),
        ("POST", "/groups", {"name": "a", "policy": {"leave": {}}}, 422),
        ("POST", "/groups/{id}/settings", {"name": ""}, 422),
        ("POST", "/groups/{id}/settings", {"name": "\n"}, 400),
        ("POST", "/groups/{id}/settings", {"preset": "slow"}, 422),
        ("POST", "/groups/{id}/successors", {"members": []}, 422),
        ("POST", "/groups/{id}/successors", {"members": ["0x12"]}, 400),
        ("POST", "/groups/{id}/successors/0x12/join", None, 400),
        ("POST", "/groups/{id}/successors/" + "12" * 20 + "/join", None, 404),
        ("GET", "/groups/{id}/proposals/zz", None, 404),
        ("POST", "/groups/{id}/messages", {"text": "a", "client_id": ""}, 422),
        ("POST", "/groups/{id}/messages", {"text": "a", "client_id": "a b"}, 422),
        ("POST", "/groups/{id}/messages", {"text": "a", "client_id": "x" * 65}, 422),
        ("POST", "/groups/{id}/invites", {"open": "perhaps"}, 422),
        ("POST", "/groups/join", {"invite": "demls:contact:AAAA"}, 400),
        ("POST", "/groups/join", {"invite": "x" * 5000}, 422),
        ("POST", "/groups/{id}/messages", {"text": "/ban"}, 409),
        ("POST", "/groups/{id}/messages", {"text": "/nothing"}, 400),
        ("POST", "/groups/{id}/messages", {"text": " "}, 400),
        ("POST", "/groups/{id}/messages", {"text": "x" * 40_000}, 422),
        ("POST", "/groups/{id}/invites", {"lifetime_ms": 1}, 422),
        ("POST", "/groups/{id}/invitations", {"contact": "hello"}, 400),
        ("POST", "/groups/{id}/removals", {"address": "0x12"}, 400),
        ("POST", "/groups/{id}/removals", {"address": "12" * 20}, 404),
        ("POST", "/groups/{id}/proposals/zz/vote", {"yes": True}, 404),
        ("POST", "/groups/{id}/proposals/00/vote", {"yes": True}, 404),
        ("POST", "/groups/{id}/proposals/00/vote", {"yes": "maybe"}, 422),
        ("POST", "/groups/{id}/requests/zz/sponsor", None, 404),
        ("PUT", "/groups/{id}", None, 405),
        ("GET", "/nothing", None, 404),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_sentence(
    served: Served, method: str, path: str, body: Any, status: int
) -> None:
    group = await served.desk.create_group(NewGroup(name="Friends"))
    content = None if body is None else json.dumps(body)
    answer = await served.http.request(
        method, "/api/v1" + path.replace("{id}", group.id), content=content, headers=BEARER
    )
    assert answer.status_code == status, answer.text
    assert problem(answer).sentence.endswith((".", "…"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b'{"name": "\\ud800"}', b"[" * 100_000, b'{"name": NaN}', b"null", b'"x"']
)
async def test_broken_bodies_are_refused(served: Served, content: bytes) -> None:
    answer = await served.http.post("/api/v1/groups", content=content, headers=BEARER)
    assert 400 <= answer.status_code < 500
    assert problem(answer).sentence


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_random_bytes_never_cause_a_failure_of_the_server(tmp_path_factory: Any, data: st.DataObject) -> None:
    """A scope as a server makes it from any bytes, straight into the application."""
    path = data.draw(st.binary(max_size=40))
    method = data.draw(st.sampled_from(["GET", "POST", "DELETE", "PATCH"]))
    body = data.draw(st.binary(max_size=200))
    query = data.draw(st.binary(max_size=40))
    beginning = data.draw(st.sampled_from([b"/", b"/api/v1/", b"/api/v1/groups/", b"/api/v1/groups/x/proposals/"]))
    extra = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from([b"cookie", b"origin", b"host", b"content-length", b"x"]), st.binary(max_size=30)
            ),
            max_size=3,
        )
    )
    asyncio.run(_throw(method, beginning + path, query, body, extra))


async def _throw(method: str, path: bytes, query: bytes, body: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    class Nobody:
        """A service that is never reached with anything valid."""

        def __getattr__(self, name: str) -> Any:
            async def refuse(*_: Any, **__: Any) -> Any:
                raise NoSuchGroup

            return refuse

    app = create_app(Nobody(), Access(token=TOKEN, port=7374))
    sent: list[Any] = []

    parts = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(parts, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:7374"), (b"authorization", f"Bearer {TOKEN}".encode()), *extra]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7374),
    }
    await app(scope, receive, send)
    status = next(message["status"] for message in sent if message["type"] == "http.response.start")
    assert status in (200, 201, 204, 307, 503) or 400 <= status < 500


async def test_the_page_is_served_with_its_files(world: Any, tmp_path: Path) -> None:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html><title>demls</title>")
    (page / "assets" / "index-abc123.js").write_text("export {};")
    async with world.node("alice") as desk:
        app = create_app(desk, Access(token=TOKEN, port=7374), page)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST) as http:
            index = await http.get("/")
            assert index.headers["content-type"].startswith("text/html")
            assert index.headers["cache-control"] == "no-cache"
            script = await http.get("/assets/index-abc123.js")
            assert "javascript" in script.headers["content-type"]
            assert "immutable" in script.headers["cache-control"]
            for path in ("/../conftest.py", "/%2e%2e/conftest.py", "/assets/../../x", "/nothing", "/assets"):
                missing = await http.get(path)
                assert missing.status_code == 404, path
                assert problem(missing).sentence
        bare = create_app(desk, Access(token=TOKEN, port=7374), tmp_path / "none")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(bare), base_url=HOST) as http:
            assert "make page" in (await http.get("/")).text


def test_the_openapi_document_is_the_same_every_time_and_describes_the_events() -> None:
    one, other = json.dumps(openapi_document(), sort_keys=True), json.dumps(openapi_document(), sort_keys=True)
    assert one == other
    document = json.loads(one)
    assert {"News", "TimelineNews", "GroupNews", "Problem"} <= set(document["components"]["schemas"])
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
