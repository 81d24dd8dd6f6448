"""What can a program ask of a node? One method for each request of its API, and its events as they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from demls.api import models
from demls.client.address import Address, data_folder, find_node
from demls.client.errors import NodeUnreachable, RefusedByNode
from demls.client.events import AnyNews, read_events

API = "/api/v1"
TIMEOUT_SECONDS = 60.0
NO_CHANGE = models.PolicyChange()

T = TypeVar("T")


class Client(AbstractAsyncContextManager["Client"]):
    """A connection to one node; use it with ``async with``.

    All methods raise NodeUnreachable when the node does not answer and RefusedByNode when it says no.
    """

    def __init__(self, locate: Callable[[], Address], *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """``locate`` is asked again for each connection to events, since a restarted node may be elsewhere."""
        self._locate = locate
        self._transport = transport
        self._http: httpx.AsyncClient | None = None
        self._address: Address | None = None

    @classmethod
    def connect(cls, folder: str | Path | None = None) -> Self:
        """A client of the node that runs in ``folder`` (None: DEMLS_FOLDER or the usual place)."""
        place = data_folder(folder)
        return cls(lambda: find_node(place))

    @classmethod
    def at(cls, url: str, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> Self:
        """A client of the node whose API is at ``url``."""
        address = Address(url.rstrip("/"), token)
        return cls(lambda: address, transport=transport)

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    # The node

    async def node(self) -> models.NodeInfo:
        return await self._get("/node", models.NodeInfo)

    async def health(self) -> models.Health:
        return await self._get("/health", models.Health, also=503)

    async def metrics(self) -> str:
        return (await self._request("GET", "/metrics")).text

    async def contact(self) -> models.Sharable:
        """What to hand out so that others can invite you."""
        return await self._get("/contact", models.Sharable)

    async def page_address(self) -> str:
        """A fresh address of the node's page, good for one browser."""
        session = await self._post("/codes", None, models.NewSession)
        return f"{self._known_address().url}/#{session.code}"

    async def presets(self) -> list[models.Policy]:
        """The policies that a new group can begin with."""
        return await self._get("/presets", list[models.Policy])

    # Groups

    async def groups(self) -> list[models.GroupSummary]:
        return await self._get("/groups", list[models.GroupSummary])

    async def group(self, group: str) -> models.Group:
        return await self._get(f"/groups/{group}", models.Group)

    async def members(self, group: str) -> list[models.Member]:
        return await self._get(f"/groups/{group}/members", list[models.Member])

    async def member(self, group: str, address: str) -> models.Member:
        """One member: its score and why, and what the node can prove against it."""
        return await self._get(f"/groups/{group}/members/{address}", models.Member)

    async def proposal(self, group: str, proposal: str) -> models.Proposal:
        """One proposal by its id, open or among those that ended last."""
        return await self._get(f"/groups/{group}/proposals/{proposal}", models.Proposal)

    async def timeline(self, group: str, *, before: int | None = None, limit: int = 100) -> list[models.TimelineEntry]:
        """The newest ``limit`` lines (with an id below ``before``), oldest first."""
        query = f"?limit={limit}" + ("" if before is None else f"&before={before}")
        return await self._get(f"/groups/{group}/timeline{query}", list[models.TimelineEntry])

    async def create_group(
        self,
        name: str,
        *,
        description: str = "",
        preset: models.Preset = "day",
        policy: models.PolicyChange = NO_CHANGE,
    ) -> models.Group:
        """Found a group; ``policy``: what shall differ from the preset."""
        new = models.NewGroup(name=name, description=description, preset=preset, policy=policy)
        return await self._post("/groups", new, models.Group)

    async def join(self, invite: str) -> models.Group:
        """Ask to be admitted, with an invite link."""
        return await self._post("/groups/join", models.JoinGroup(invite=invite), models.Group)

    async def send(self, group: str, text: str, *, client_id: str | None = None) -> models.Done:
        """Send a message; a text that begins with ``/`` is a command.

        ``client_id``: your own mark for the message; sent again with the same one it is not said twice.
        """
        message = models.NewMessage(text=text, client_id=client_id)
        return await self._post(f"/groups/{group}/messages", message, models.Done)

    async def invite(self, group: str, *, lifetime_ms: int = 7 * 86_400_000, is_open: bool = False) -> models.Sharable:
        """A new invite link for one person; ``is_open``: for anybody, whom a member then has to answer for."""
        new = models.NewInvite(lifetime_ms=lifetime_ms, open=is_open)
        return await self._post(f"/groups/{group}/invites", new, models.Sharable)

    async def invite_contact(self, group: str, contact: str) -> models.Done:
        """Propose to admit the person whose contact this is."""
        return await self._post(f"/groups/{group}/invitations", models.InviteContact(contact=contact), models.Done)

    async def remove(self, group: str, address: str) -> models.Done:
        """Propose to remove a member."""
        return await self._post(f"/groups/{group}/removals", models.Removal(address=address), models.Done)

    async def accuse(self, group: str, address: str) -> models.Done:
        """Open an emergency about a member, with what the node can prove against it; refused if that is nothing."""
        new = models.NewEmergency(about="member", address=address)
        return await self._post(f"/groups/{group}/emergencies", new, models.Done)

    async def report_deadlock(self, group: str) -> models.Done:
        """Open an emergency about stewards who have not committed in a round that is past the last of them."""
        return await self._post(f"/groups/{group}/emergencies", models.NewEmergency(about="deadlock"), models.Done)

    async def propose_settings(
        self,
        group: str,
        *,
        name: str | None = None,
        description: str | None = None,
        preset: models.Preset | None = None,
        policy: models.PolicyChange = NO_CHANGE,
    ) -> models.Done:
        """Propose another name, description or policy; what is not given stays."""
        new = models.NewSettings(name=name, description=description, preset=preset, policy=policy)
        return await self._post(f"/groups/{group}/settings", new, models.Done)

    async def found_successor(
        self,
        group: str,
        members: Sequence[str],
        *,
        name: str | None = None,
        description: str | None = None,
        preset: models.Preset | None = None,
        policy: models.PolicyChange = NO_CHANGE,
        again: bool = False,
    ) -> models.Group:
        """Found a group that goes on from this one with ``members`` (addresses); what is not given stays.

        ``again``: although you have founded one before.
        """
        new = models.NewSuccessor(
            members=list(members), name=name, description=description, preset=preset, policy=policy, again=again
        )
        return await self._post(f"/groups/{group}/successors", new, models.Group)

    async def join_successor(self, group: str, founder: str) -> models.Group:
        """Ask to be admitted to the successor that ``founder`` (an address) founded."""
        return await self._post(f"/groups/{group}/successors/{founder}/join", None, models.Group)

    async def vote(self, group: str, proposal: str, yes: bool) -> models.Done:
        return await self._post(f"/groups/{group}/proposals/{proposal}/vote", models.Vote(yes=yes), models.Done)

    async def sponsor(self, group: str, request: str) -> models.Done:
        return await self._post(f"/groups/{group}/requests/{request}/sponsor", None, models.Done)

    async def dismiss(self, group: str, request: str) -> models.Done:
        return await self._post(f"/groups/{group}/requests/{request}/dismiss", None, models.Done)

    async def refresh_keys(self, group: str) -> models.Done:
        return await self._post(f"/groups/{group}/refresh-keys", None, models.Done)

    async def leave(self, group: str) -> models.Done:
        return await self._post(f"/groups/{group}/leave", None, models.Done)

    async def rejoin(self, group: str) -> models.Done:
        """Ask the group for a new seat, because this node cannot follow it any more."""
        return await self._post(f"/groups/{group}/rejoin", None, models.Done)

    async def forget(self, group: str) -> None:
        """Delete what the node keeps of a group you are no longer in."""
        await self._request("DELETE", f"/groups/{group}")

    # What happens

    def events(self, *, after: int | None = None) -> AsyncIterator[AnyNews]:
        """Everything that happens, for ever; reconnects by itself and then goes on where it was.

        ``after``: begin with the timeline lines after this id; None: with what happens from now on. Each connection
        begins with the state of the node and of all groups.
        """
        return read_events(self._locate, after)

    async def messages(
        self, group: str | None = None, *, after: int | None = None
    ) -> AsyncIterator[models.TimelineEntry]:
        """The messages of ``group`` (None: of all groups) as they arrive, own ones included."""
        async for news in self.events(after=after):
            if not isinstance(news, models.TimelineNews) or news.entry.kind != "message":
                continue
            if group is None or news.entry.group == group:
                yield news.entry

    # Inside

    async def _get(self, path: str, kind: type[T], *, also: int = 0) -> T:
        return _read(await self._request("GET", path, also=also), kind)

    async def _post(self, path: str, body: models.Model | None, kind: type[T]) -> T:
        content = None if body is None else body.model_dump_json()
        return _read(await self._request("POST", path, content=content), kind)

    async def _request(self, method: str, path: str, *, content: str | None = None, also: int = 0) -> httpx.Response:
        http = self._open()
        headers = {"content-type": "application/json"} if content is not None else {}
        try:
            try:
                answer = await http.request(method, API + path, content=content, headers=headers)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                if method != "GET":
                    raise  # what was asked may have been done
                # The node has closed the connection, which was kept, in this moment: a question is asked again.
                answer = await http.request(method, API + path, headers=headers)
        except httpx.TransportError as problem:
            raise NodeUnreachable(
                f"The node at {self._known_address().url} does not answer. Check that it is running and try again."
            ) from problem
        if answer.is_success or answer.status_code == also:
            return answer
        try:
            found = models.Problem.model_validate_json(answer.content)
        except ValidationError:
            found = models.Problem(code="unknown", sentence=f"The node answered with error {answer.status_code}.")
        raise RefusedByNode(answer.status_code, found.code, found.sentence)

    def _open(self) -> httpx.AsyncClient:
        if self._http is None:
            self._address = self._locate()
            self._http = httpx.AsyncClient(
                base_url=self._address.url,
                headers={"authorization": f"Bearer {self._address.token}"},
                timeout=TIMEOUT_SECONDS,
                transport=self._transport,
                trust_env=False,
            )
        return self._http

    def _known_address(self) -> Address:
        assert self._address is not None
        return self._address


def _read(answer: httpx.Response, kind: type[T]) -> T:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        value: T = adapter.validate_json(answer.content)
    except ValidationError as problem:
        raise NodeUnreachable("The node's answer cannot be read; it is of another version. Update both.") from problem
    return value
