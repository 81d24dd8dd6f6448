"""Does a client find its node, say what is wrong in a sentence, and read what it gets as types?"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import demls.client
import httpx
import pytest
from demls.api import models
from demls.client import Client, NodeNotRunning, NodeUnreachable, RefusedByNode
from demls.client.address import Address, data_folder
from demls.node.api.app import openapi_document


def served(handler: httpx.MockTransport) -> Client:
    return Client.at("http://127.0.0.1:7374/", "secret-token", transport=handler)


def answering(status: int, body: str) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, text=body))


def test_the_public_names_are_these() -> None:
    assert demls.client.__all__ == ["Client", "ClientError", "NodeNotRunning", "NodeUnreachable", "RefusedByNode"]


async def test_without_a_running_node_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NodeNotRunning, match="demls node"):
        async with Client.connect(tmp_path):
            pass


async def test_a_node_that_went_away_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "api.address").write_text("http://127.0.0.1:1\n")
    (tmp_path / "api.token").write_text("token\n")
    async with Client.connect(tmp_path) as node:
        with pytest.raises(NodeUnreachable, match="Check that it is running"):
            await node.groups()


class Closing(httpx.AsyncBaseTransport):
    """Whose first connections are closed while something is asked, as a node does that was asleep."""

    def __init__(self, closed: int) -> None:
        self.left = closed
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.method)
        if self.left:
            self.left -= 1
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return httpx.Response(200, text="[]")


async def test_a_question_on_a_connection_that_was_just_closed_is_asked_again() -> None:
    node_closes = Closing(1)
    async with Client.at("http://127.0.0.1:7374/", "token", transport=node_closes) as node:
        assert await node.groups() == []
    assert node_closes.asked == ["GET", "GET"]


async def test_it_is_asked_again_once_and_what_changes_something_is_not() -> None:
    async with Client.at("http://127.0.0.1:7374/", "token", transport=Closing(2)) as node:
        with pytest.raises(NodeUnreachable):
            await node.groups()
    node_closes = Closing(1)
    async with Client.at("http://127.0.0.1:7374/", "token", transport=node_closes) as node:
        with pytest.raises(NodeUnreachable):
            await node.leave("group")
    assert node_closes.asked == ["POST"]


async def test_the_folder_comes_from_the_argument_or_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEMLS_FOLDER", str(tmp_path))
    assert data_folder(None) == tmp_path
    assert data_folder("elsewhere") == Path("elsewhere")
    monkeypatch.delenv("DEMLS_FOLDER")
    assert data_folder(None).name == "demls"


async def test_a_refusal_carries_code_and_sentence() -> None:
    async with served(answering(409, '{"code": "not-a-member", "sentence": "Join first."}')) as node:
        with pytest.raises(RefusedByNode, match=r"^Join first\.$") as refused:
            await node.send("group", "hello")
    assert (refused.value.status, refused.value.code) == (409, "not-a-member")


@pytest.mark.parametrize("body", ["", "<html>", "{}", "[1]"])
async def test_an_answer_of_another_program_is_no_traceback(body: str) -> None:
    async with served(answering(502, body)) as node:
        with pytest.raises(RefusedByNode, match="502"):
            await node.groups()
    async with served(answering(200, body)) as node:
        with pytest.raises(NodeUnreachable, match="Update both"):
            await node.group("x")


async def test_the_token_goes_only_into_the_header_and_is_not_shown() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text="[]")

    async with served(httpx.MockTransport(answer)) as node:
        assert await node.groups() == []
    assert seen[0].headers["authorization"] == "Bearer secret-token"
    assert "secret-token" not in str(seen[0].url)
    assert "secret-token" not in repr(Address("http://x", "secret-token"))


async def test_every_endpoint_has_a_method(tmp_path: Path) -> None:
    """The paths that a client asks for are those of the OpenAPI document."""
    asked: set[tuple[str, str]] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.add((request.method.lower(), request.url.path))
        return httpx.Response(418, text='{"code": "x", "sentence": "No."}')

    arguments = {"group": "g", "name": "n", "text": "t", "invite": "i", "contact": "c", "address": "a"}
    arguments |= {"proposal": "p", "yes": True, "request": "r", "founder": "f", "members": ["m"]}  # type: ignore[dict-item]
    skipped = {"connect", "at", "events", "messages"}
    async with served(httpx.MockTransport(answer)) as node:
        for name, method in inspect.getmembers(node, inspect.iscoroutinefunction):
            if name.startswith("_") or name in skipped:
                continue
            parameters = inspect.signature(method).parameters.values()
            needed = {one.name: arguments[one.name] for one in parameters if one.default is inspect.Parameter.empty}
            with pytest.raises(RefusedByNode):
                await method(**needed)
    names = {"{group_id}": "g", "{proposal_id}": "p", "{request_id}": "r", "{founder}": "f", "{address}": "a"}
    documented = {
        (verb, re.sub(r"\{\w+\}", lambda found: names[found[0]], path))
        for path, operations in openapi_document()["paths"].items()
        for verb in operations
    }
    assert asked == documented - {("post", "/api/v1/session")}


def test_models_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="extra"):
        models.Vote.model_validate({"yes": True, "no": False})
