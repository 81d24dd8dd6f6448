"""What happens when people ask the node for something? Each request of the API, carried out on the node's scopes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from demls.api import models
from demls.node import cards, commands, policies, present, successors, timeline
from demls.node.clock import now
from demls.node.core import GroupMachine, Machine, is_group, is_inbox
from demls.node.errors import NoSuchGroup, Refused
from demls.node.fetching import Fetch
from demls.node.news import NewsHub
from demls.node.node import INBOX, Node
from demls.node.proofs import VIOLATIONS, case_against
from demls.node.qr import qr_svg
from demls.node.rejoining import ASKED
from demls.node.scope_task import ScopeTask
from demls.node.sent import AlreadySaid
from demls.node.words import called
from demls.protocol.accusing import NO_DEADLOCK
from demls.protocol.effects import Effects
from demls.protocol.errors import NotAMember, RequestRefused, UnknownMember, UnknownProposal
from demls.protocol.events import ProposalHeld, ProposalOpened
from demls.protocol.policy import PRESETS
from demls.protocol.returning import NEEDS_WALLET
from demls.protocol.views import GroupView, MemberView
from demls.storage.store import Batch
from demls.wire.ids import Address, Duration, Instant, ProposalId, parse_address
from demls.wire.links import contact_text, invite_text, parse_contact, parse_invite
from demls.wire.messages import ResyncReason
from demls.wire.violations import Violation

T = TypeVar("T")

ENDED = frozenset(
    {
        models.GroupState.REMOVED,
        models.GroupState.LEFT,
        models.GroupState.CLOSED,
        models.GroupState.REFUSED,
        models.GroupState.MOVED,
    }
)


FORGETTABLE = ENDED | {models.GroupState.ASKING, models.GroupState.RETURNING}


class Desk:
    """The ``Service`` behind the API."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.news: NewsHub = node.news
        self._founding = asyncio.Lock()

    # The node

    def info(self) -> models.NodeInfo:
        return self._node.info()

    def health(self) -> models.Health:
        node = self._node
        sentences = [one.failure for one in node.scopes.values() if one.failure]
        sentences += node.unreadable.values()
        if count := node.counters.count("core_failures"):
            sentences.append(f"The core failed on {count} envelopes; the log says where. Please report it.")
        if not sentences and not node.watch.is_connected:
            return models.Health(ok=True, sentence="At work; the relay cannot be reached at the moment.")
        return models.Health(ok=not sentences, sentence=" ".join(sentences) or "At work.")

    async def metrics(self) -> str:
        node = self._node
        counts = await asyncio.to_thread(node.store.counts)
        gauges = {
            "relay_connected": ("1 while connected to the relay.", float(node.watch.is_connected)),
            "caught_up": ("1 when all that the relay kept has been read.", float(node.watch.is_caught_up)),
            "groups": ("Groups shown to people.", float(len(node.summaries()))),
            "outbox_entries": ("Envelopes waiting to be published.", float(counts.outbox)),
            "database_bytes": ("Size of the database.", float(counts.size_bytes)),
            "event_readers": ("Connected event sockets.", float(node.news.readers)),
        }
        return node.counters.text(gauges)

    def contact(self) -> models.Sharable:
        inbox = self._node.scopes[INBOX].machine
        assert is_inbox(inbox)
        me = self._node.me
        text = contact_text(inbox.contact(me.address, me.name, self._node.settings.relay_in_links))
        return models.Sharable(text=text, qr_svg=qr_svg(text), expires_at=None)

    def presets(self) -> list[models.Policy]:
        return [policies.shown(policy) for policy in PRESETS.values()]

    # Reading

    async def groups(self) -> list[models.GroupSummary]:
        return self._node.summaries()

    async def group(self, group: str) -> models.Group:
        return self._shown(group)

    async def members(self, group: str) -> list[models.Member]:
        return await self._members(group, lambda machine: machine.members())

    async def member(self, group: str, address: str) -> models.Member:
        wanted = _address(address)
        found = await self._members(group, lambda machine: [one for one in machine.members() if one.address == wanted])
        if not found:
            raise _no_such_member()
        return found[0]

    async def _members(self, group: str, choose: Callable[[GroupMachine], Iterable[MemberView]]) -> list[models.Member]:
        shown = self._shown(group)
        backup = shown.backup_steward.address if shown.backup_steward else None

        def read(machine: Machine, at: Instant) -> tuple[list[models.Member], None]:
            if not is_group(machine):
                return [], None
            view = machine.view(at)
            return present.members(choose(machine), backup, view.policy.scoring, view.proposals, at), None

        scope = self._scope(group)
        if scope.is_resting:
            return read(scope.machine, now())[0]  # nothing runs there, so it is shown as it was
        return await scope.call(read)

    async def proposal(self, group: str, proposal: str) -> models.Proposal:
        found = next((one for one in self._shown(group).proposals if one.id == proposal), None)
        if found is None:
            raise UnknownProposal("There is no such proposal. List them again; those that ended long ago are gone.")
        return found

    async def timeline(self, group: str, before: int | None, limit: int) -> list[models.TimelineEntry]:
        self._shown(group)
        stored = await asyncio.to_thread(self._node.store.timeline, group, before, limit)
        return [timeline.entry(one) for one in stored]

    async def timeline_after(self, entry: int, limit: int) -> list[models.TimelineEntry]:
        stored = await asyncio.to_thread(self._node.store.timeline_after, entry, limit)
        return [timeline.entry(one) for one in stored]

    # Coming and going

    async def create_group(self, new: models.NewGroup) -> models.Group:
        node = self._node
        policy = policies.changed(policies.preset(new.preset), new.policy)

        def make() -> tuple[str, GroupMachine, Effects]:
            at = now()
            return node.core.create_group(
                name=_one_line(new.name),
                description=new.description.strip(),
                policy=policy,
                device=node.new_device(at),
                now=at,
            )

        scope, machine, effects = await asyncio.to_thread(make)
        await node.open_scope(scope, machine, effects)
        node.published_more()
        return self._shown(scope)

    async def join_group(self, invite: str) -> models.Group:
        node = self._node
        link = parse_invite(invite)
        self._check_relay(link.relay)
        scope = link.group_id.hex()
        known = node.scopes.get(scope)
        if known is not None and known.shown is not None and not known.is_resting:
            if known.shown.state is models.GroupState.MEMBER:
                raise Refused(f"You are already a member of “{known.shown.name}”.", "already-a-member")
            if known.shown.state is models.GroupState.ASKING:
                return known.shown  # asking anew would throw away the keys that the answer is sealed for
        at = now()
        joining, effects = await asyncio.to_thread(lambda: node.core.ask(link, device=node.new_device(at), now=at))
        await node.open_scope(scope, joining, effects)
        node.published_more()
        return self._shown(scope)

    async def found_successor(self, group: str, new: models.NewSuccessor) -> models.Group:
        node = self._node
        members = [_address(text) for text in new.members]
        async with self._founding:
            old = self._group_scope(group)
            view = await self._view(group)
            if not new.again and any(one.founder == view.own_address for one in view.successors):
                raise Refused(
                    "You have founded a successor of this group already; it is among your groups. "
                    "Say that you want another one if you do.",
                    "already-founded",
                )
            settings = _settings(cards.agreed(view), new)
            scope = await successors.found(node, old, settings, members, node.settings.relay_in_links)
        return self._shown(scope)

    async def join_successor(self, group: str, founder: str) -> models.Group:
        address = _address(founder)
        view = await self._view(group)
        links = [one.link for one in view.successors if one.founder == address and one.link]
        if not links:
            raise Refused(
                "This member has founded no successor of this group to which you are invited. "
                "Ask one of its members for an invite link.",
                "no-successor",
            )
        return await self.join_group(links[0])

    async def refresh_keys(self, group: str) -> models.Done:
        def renew(machine: GroupMachine, at: Instant) -> Effects:
            wanted = machine.to_bind(at)
            binding = self._node.me.bind_again(*wanted, at) if wanted is not None else None
            return machine.refresh_keys(at, binding)

        await self._do(group, renew)
        return models.Done(sentence="Your keys in this group are renewed with the next commit; it needs no vote.")

    async def leave(self, group: str) -> models.Done:
        await self._do(group, lambda machine, at: machine.leave(at))
        return models.Done(sentence="You are out with the next commit; it needs no vote.")

    async def rejoin(self, group: str) -> models.Done:
        """Ask for a new seat: with what a backup or damaged keys have left, or because the person wants it."""
        node = self._node
        if not node.me.has_wallet:
            raise Refused(NEEDS_WALLET, "no-wallet")
        if group in node.unreadable:
            await node.rejoin(group, ResyncReason.LOST_STATE)
            self._scope(group)
        elif self._scope(group).is_resting:
            await node.rejoin(group, ResyncReason.RESTORED_BACKUP)
            if self._scope(group).is_resting:
                raise Refused("This cannot be asked for a new seat; join it again with an invite link.", "no-seat")
        else:
            await self._do(group, lambda machine, at: machine.rejoin(node.me.sign, ResyncReason.WISH, at))
        return models.Done(sentence=ASKED)

    async def forget(self, group: str) -> None:
        node = self._node
        if group in node.unreadable:
            del node.unreadable[group]
        else:
            shown = self._shown(group)
            if shown.state not in FORGETTABLE and not self._scope(group).is_resting:
                raise Refused("You are still a member of this group. Leave it first.", "still-a-member")
            await node.close_scope(group)
        await asyncio.to_thread(node.store.commit, Batch(scope=group, drop_scopes=(group,)))
        await asyncio.to_thread(node.store.forget_timeline, group)

    # Talking and deciding

    async def send(self, group: str, text: str, client_id: str | None = None) -> models.Done:
        match commands.parse(text):
            case commands.Ban(address):
                return await self._remove(group, address)
            case commands.Leave():
                return await self.leave(group)
            case commands.Help():
                return models.Done(sentence=commands.HELP)
            case commands.Say(words):
                if not words.strip():
                    raise Refused("This message is empty. Write something.", "empty")
                try:
                    await self._ask(
                        group, lambda machine, at: (None, machine.send(words, at)), client_id=client_id, text=words
                    )
                except AlreadySaid:
                    return models.Done(sentence="Sent already.")
                return models.Done(sentence="Sent.")

    async def invite(self, group: str, lifetime_ms: int, *, is_open: bool = False) -> models.Sharable:
        relay = self._node.settings.relay_in_links
        lifetime = Duration(lifetime_ms)
        link = await self._ask(
            group, lambda machine, at: machine.invite(relay=relay, lifetime=lifetime, now=at, is_open=is_open)
        )
        text = invite_text(link)
        return models.Sharable(text=text, qr_svg=qr_svg(text), expires_at=link.expires)

    async def invite_contact(self, group: str, contact: str) -> models.Done:
        node = self._node
        card = parse_contact(contact)
        self._check_relay(card.relay)
        self._group_scope(group)
        who = called(Address(card.address), card.name)
        machine, effects = node.core.fetch(card, now())
        key_package = await Fetch(machine, node.router, node.transport).key_package(effects, who=who)
        effects = await self._do(group, lambda machine, at: node.core.propose_invite(machine, key_package, at))
        return _proposed(f"You proposed to admit {who}", effects)

    async def remove_member(self, group: str, address: str) -> models.Done:
        return await self._remove(group, _address(address))

    async def open_emergency(self, group: str, new: models.NewEmergency) -> models.Done:
        if new.about == "deadlock":
            return await self._report_deadlock(group)
        if new.address is None:
            raise Refused("Say whom you accuse, by the address.", "bad-address")
        address, core = _address(new.address), self._node.core

        def accuse(machine: GroupMachine, at: Instant) -> tuple[tuple[str, Effects], Effects]:
            member = next((one for one in machine.members() if one.address == address), None)
            if member is None:
                raise _no_such_member()
            view = machine.view(at)
            case = case_against(member, view.proposals, view.policy.scoring)
            if case.emergency is None:
                raise RequestRefused(case.sentence)
            effects = core.open_emergency(machine, case.emergency, at)
            is_removal = case.emergency.violation_type == Violation.SCORE_BELOW_THRESHOLD
            who, what = called(address, member.name), VIOLATIONS[Violation(case.emergency.violation_type)]
            asked = f"remove {who} at once" if is_removal else f"note that {who} {what}"
            return (f"You asked the members to {asked}", effects), effects

        return _proposed(*await self._ask(group, accuse), for_what="the commit that is due is made")

    async def _report_deadlock(self, group: str) -> models.Done:
        core = self._node.core

        def report(machine: GroupMachine, at: Instant) -> tuple[Effects, Effects]:
            emergency = core.deadlock_of(machine)
            if emergency is None:
                raise RequestRefused(NO_DEADLOCK)
            effects = core.open_emergency(machine, emergency, at)
            return effects, effects

        effects = await self._ask(group, report)
        what = "You asked the members to note that the stewards have not committed"
        return _proposed(what, effects, for_what="the commit that is due is made")

    async def propose_settings(self, group: str, new: models.NewSettings) -> models.Done:
        def propose(machine: GroupMachine, at: Instant) -> Effects:
            wanted = _settings(cards.agreed(machine.view(at)), new)
            return machine.change_settings(at, name=wanted.name, description=wanted.description, policy=wanted.policy)

        return _proposed("You proposed to change the settings", await self._do(group, propose))

    async def vote(self, group: str, proposal: str, yes: bool) -> models.Done:
        proposal_id = ProposalId(_identifier(proposal, UnknownProposal("There is no such proposal. List them again.")))
        await self._do(group, lambda machine, at: machine.vote(proposal_id, yes, at))
        return models.Done(sentence=f"You voted {'yes' if yes else 'no'}. Your vote is final.", proposal=proposal)

    async def sponsor(self, group: str, request: str) -> models.Done:
        request_id = _identifier(request, _no_such_request())
        effects = await self._do(group, lambda machine, at: machine.sponsor(request_id, at))
        return _proposed("The request is put to the vote", effects)

    async def dismiss(self, group: str, request: str) -> models.Done:
        request_id = _identifier(request, _no_such_request())
        await self._do(group, lambda machine, at: machine.dismiss(request_id, at))
        return models.Done(sentence="The request is put away on this node.")

    # Inside

    async def _remove(self, group: str, address: Address) -> models.Done:
        core = self._node.core

        def propose(machine: GroupMachine, at: Instant) -> tuple[tuple[str, Effects], Effects]:
            who = called(address, machine.name_of(address))
            effects = core.propose_removal(machine, address, at)
            return (who, effects), effects

        who, effects = await self._ask(group, propose)
        return _proposed(f"You proposed to remove {who}", effects)

    async def _do(self, group: str, act: Callable[[GroupMachine, Instant], Effects]) -> Effects:
        def both(machine: GroupMachine, at: Instant) -> tuple[Effects, Effects]:
            effects = act(machine, at)
            return effects, effects

        return await self._ask(group, both)

    async def _view(self, group: str) -> GroupView:
        def read(machine: Machine, at: Instant) -> tuple[GroupView, None]:
            assert is_group(machine)
            return machine.view(at), None

        return await self._group_scope(group).call(read)

    async def _ask(
        self,
        group: str,
        act: Callable[[GroupMachine, Instant], tuple[T, Effects]],
        *,
        client_id: str | None = None,
        text: str = "",
    ) -> T:
        def on_group(machine: Machine, at: Instant) -> tuple[T, Effects]:
            if not is_group(machine):
                raise NotAMember("You are not a member of this group yet. Wait until its members have decided.")
            return act(machine, at)

        return await self._group_scope(group).call(on_group, client_id=client_id, text=text)

    def _scope(self, group: str) -> ScopeTask:
        scope = self._node.scopes.get(group)
        if scope is None and group in self._node.unreadable:
            raise Refused(self._node.unreadable[group], "unreadable")
        if scope is None or group == INBOX:
            raise NoSuchGroup
        return scope

    def _group_scope(self, group: str) -> ScopeTask:
        scope = self._scope(group)
        if not is_group(scope.machine):
            raise NotAMember("You are not a member of this group yet. Wait until its members have decided.")
        return scope

    def _shown(self, group: str) -> models.Group:
        shown = self._scope(group).shown
        if shown is None:
            raise NoSuchGroup
        return shown

    def _check_relay(self, relay: str) -> None:
        settings = self._node.settings
        if not settings.serves_relay(relay):
            raise Refused(
                f"This text is for the relay {relay}, but your node uses {settings.relay}. "
                f"Start your node with “--relay {relay}” to go there.",
                "other-relay",
            )


def _settings(now: policies.Agreed, new: models.NewSettings | models.NewSuccessor) -> policies.Agreed:
    """``now`` with what is given."""
    base = now.policy if new.preset is None else policies.preset(new.preset)
    return policies.Agreed(
        now.name if new.name is None else _one_line(new.name),
        now.description if new.description is None else new.description.strip(),
        policies.changed(base, new.policy),
    )


def _proposed(what: str, effects: Effects, *, for_what: str = "the emergency is decided") -> models.Done:
    """``what`` was done, in words that “your vote is yes” follows. ``for_what``: until when it may have to wait."""
    if any(isinstance(event, ProposalHeld) for event in effects.events):
        return models.Done(sentence=f"{what}. It waits until {for_what}, and is opened then.")
    return models.Done(sentence=f"{what}; your vote is yes.", proposal=_opened(effects))


def _opened(effects: Effects) -> str | None:
    """The proposal that a step opened."""
    opened = [event.proposal_id.hex() for event in effects.events if isinstance(event, ProposalOpened)]
    return opened[0] if opened else None


def _identifier(text: str, problem: Exception) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise problem from None


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as problem:
        raise Refused(str(problem), "bad-address") from None


def _no_such_member() -> UnknownMember:
    return UnknownMember("There is no such member in this group; look the address up among its members.")


def _no_such_request() -> Refused:
    return Refused("There is no such request. It may have been decided or have expired.", "unknown-request")


def _one_line(name: str) -> str:
    name = " ".join(name.split())
    if not name or not name.isprintable():
        raise Refused("The name of a group is one line of text. Choose another one.", "bad-name")
    return name
