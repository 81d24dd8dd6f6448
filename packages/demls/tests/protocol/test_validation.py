"""One builder of malformed candidates for every numbered check, with the real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from demls.protocol import policy as bounds
from demls.protocol.admission import meaning_of
from demls.protocol.ballots import Ballot
from demls.protocol.credential import BINDING_EXTENSION, Device, binding_sentence
from demls.protocol.electorates import Electorates, electorate_of
from demls.protocol.engine import MlsGroup, StagedCommit
from demls.protocol.group import SUPPORTED_EXTENSIONS
from demls.protocol.items import Item
from demls.protocol.policy import DAY, DAY_POLICY, HOUR, MINUTE, POLICY_EXTENSION, QUICK
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.stewards import StewardList
from demls.protocol.succession import Carried, follow
from demls.protocol.validation import (
    TIME_DIFFERENCE_MAX,
    Check,
    Content,
    Finding,
    State,
    Verdict,
    added_by,
    amended,
    check_consent,
    check_content,
    check_credentials,
    check_time,
    read_content,
    removed_by,
)
from demls.protocol.views import ProposalStatus
from demls.wire.chain import LostTurn, Reseated, Seat, Succession, electorate_hash, succession_hash
from demls.wire.charters import Charter
from demls.wire.ids import Address, Duration, Epoch, GroupId, Head, Instant, LeafKey, ProposalId, View
from demls.wire.messages import (
    Binding,
    Candidate,
    Change,
    ChangeRequest,
    CommitContext,
    Credential,
    Entry,
    Invite,
    Leave,
    Proposal,
    Remove,
    Resync,
    Settings,
    Sync,
    encode_message,
)
from demls_consensus import Silence, Tally, wallet_address, wallet_sign
from demls_engine import Engine

NOW = Instant(1_800_000_000_000)
PARENT = Instant(NOW - 60_000)
HEAD = Head(b"h" * 32)
GROUP = b"g" * 32
PATIENCE = Duration(12_000)
NONE: frozenset[Address] = frozenset()


def named(follows: Succession) -> bytes:
    return succession_hash(encode_message(follows))


@dataclass
class Member:
    """Somebody with a wallet and one device."""

    number: int
    engine: Engine = field(init=False)
    wallet: bytes = field(init=False)
    device: Device = field(init=False)
    group: Any = None

    def __post_init__(self) -> None:
        self.engine = Engine(bytes([self.number]) * 32)
        self.wallet = bytes([self.number]) * 32
        self.device = self.bind()

    @property
    def address(self) -> Address:
        return Address(wallet_address(self.wallet))

    def bind(self, wallet: bytes | None = None, issued: int = NOW - DAY, expires: int = NOW + DAY) -> Device:
        key = self.engine.signature_key()
        leaf_key = LeafKey(key.public)
        sentence = binding_sentence(self.address, leaf_key, "laptop", Instant(issued), Instant(expires))
        binding = Binding(issued, expires, wallet_sign(wallet or self.wallet, sentence.encode()))
        return Device(self.address, f"member {self.number}", "laptop", leaf_key, key.private, binding)

    def key_package(self, device: Device | None = None) -> Any:
        device = device or self.device
        return self.engine.key_package(
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=SUPPORTED_EXTENSIONS,
        )


class Altered:
    """A staged commit or a group with some answers changed: what no engine of ours would build."""

    def __init__(self, real: Any, **answers: Any) -> None:
        self._real, self._answers = real, answers

    def __getattr__(self, name: str) -> Any:
        return self._answers[name] if name in self._answers else getattr(self._real, name)


class Bench:
    """Three members in epoch 1, where ``leader`` leads view 0; the judge looks at what the leader builds."""

    def __init__(self) -> None:
        self.leader, self.judge, self.victim = Member(1), Member(2), Member(3)
        self.newcomer, self.other = Member(4), Member(5)
        self.charter = Charter(1, "demls", "friends", "", bytes(32), QUICK)
        device = self.leader.device
        self.leader.group = self.leader.engine.create_group(
            group_id=GROUP,
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=SUPPORTED_EXTENSIONS,
            context_extensions={POLICY_EXTENSION: encode_message(self.charter)},
        )
        packages = [member.key_package() for member in (self.judge, self.victim)]
        built = self.leader.group.propose_commit(adds=[package.public.encoded for package in packages])
        self.leader.group.merge(built.staged)
        for member, package in zip((self.judge, self.victim), packages, strict=True):
            opened = member.engine.open_welcome(built.welcome, package.private)
            member.group = opened.join(self.leader.group.ratchet_tree())
        self.mls: MlsGroup = self.judge.group
        self.roster = Roster(self.mls.members(), Epoch(1), {self.leader.address: Epoch(0)})
        self.order = order = (self.leader.address, self.judge.address, self.victim.address)
        stewards = StewardList((self.leader.address,), Epoch(1), Epoch(1))
        electorate = electorate_of(Epoch(1), self.roster, stewards.members, QUICK)
        self.state = State(
            Epoch(1),
            HEAD,
            PARENT,
            self.roster,
            stewards,
            order,
            (),
            (),
            self.charter,
            electorate,
            settled=1,
            way_back=bytes(32),
        )
        self.items: dict[ProposalId, Item] = {}
        self.now = NOW
        self.patience = PATIENCE
        self.removal = self.item(Remove(self.victim.address))
        self.package = self.newcomer.key_package().public.encoded
        self.invite = self.item(Invite(self.package))
        change = Settings(self.charter.digest, "neighbours", "of the yard", DAY_POLICY)
        self.settings = self.item(change, status=ProposalStatus.OPEN)
        self.settings_charter = amended(self.charter, change)

    def item(self, change: Change, owner: Member | None = None, epoch: int = 1, **fields: Any) -> Item:
        """A proposal that is known and, unless ``fields`` say otherwise, approved just now."""
        owner = owner or self.leader
        proposal = Proposal(
            GROUP, epoch, owner.address, ChangeRequest(change), NOW + len(self.items), 30_000, bytes(64)
        )
        meaning = meaning_of(change, owner.address, self.judge.engine.parse_key_package)
        assert meaning is not None
        tally = Tally(frozenset(map(bytes, self.roster.addresses)), Silence.COUNTS_AS_YES)
        values: dict[str, Any] = {"status": ProposalStatus.APPROVED, "approved_since": NOW} | fields
        ballots = (Ballot(proposal.id, tally, Instant(NOW + 30_000)),)
        item = Item(proposal, proposal.id, meaning, NOW, ballots, **values)
        self.items[item.proposal_id] = item
        return item

    def leaf(self, member: Member) -> int:
        return self.roster.leaves_of(member.address)[0]

    def sync(self, **fields: Any) -> Sync:
        values: dict[str, Any] = {
            "group_id": GROUP,
            "epoch": 1,
            "head": HEAD,
            "electorate": self.state.electorate.hash,
            "succession": named(self.succession()),
            "proposals": (),
            "time": NOW,
            "electorates": (),
            "way_back": bytes(32),
        }
        return Sync(**(values | fields))

    def succession(self, removed: Iterable[Address] = (), view: int = 0, **fields: Any) -> Succession:
        """What follows from the invite of the newcomer, and the removal of some."""
        carried = Carried(
            (), frozenset(removed), frozenset({self.newcomer.address}), self.order[view % 3], View(view), NONE, NONE
        )
        return replace(
            follow(
                carried,
                epoch=self.state.epoch,
                roster=self.roster,
                stewards=self.state.stewards,
                lost=self.state.lost,
                deeds=self.state.deeds,
                leaders=self.order,
                policy=self.state.charter.policy,
                group_id=GroupId(GROUP),
            ),
            **fields,
        )

    def follows(self, content: Content, changes: tuple[Change, ...]) -> bytes:
        removed = {owner for leaf in content.staged.removes if (owner := self.roster.owner_of(leaf))}
        return named(self.succession(removed, content.view))

    def candidate(
        self,
        *work: Item,
        by: Member | None = None,
        context: bytes | None = None,
        adds: Iterable[bytes] | None = None,
        removes: Iterable[int] | None = None,
        certificate: bytes = b"",
        sort: bool = True,
        sync: bytes | None = None,
        joiner_key: bytes | None = None,
        welcome: bytes | None = None,
        extensions: dict[int, bytes] | None = None,
        force_path: bool = False,
        **fields: Any,
    ) -> Candidate:
        """The sound candidate for ``work``, but for what the other arguments say."""
        items = sorted(work, key=Item.order) if sort else list(work)
        values: dict[str, Any] = {
            "head": HEAD,
            "view": 0,
            "time": NOW,
            "entries": tuple(Entry(item.proposal_id, certificate) for item in items),
        }
        if adds is None:
            adds = [item.change.key_package_bytes for item in items if isinstance(item.change, Invite)]
        if removes is None:
            removes = [self.roster.leaves_of(item.subject)[0] for item in items if item.effect[0] == "remove"]
        built = (by or self.leader).group.propose_commit(
            adds=list(adds),
            removes=list(removes),
            authenticated_data=encode_message(CommitContext(**(values | fields))) if context is None else context,
            context_extensions=extensions,
            force_path=force_path,
        )
        joining = built.welcome is not None
        removed = {owner for leaf in removes if (owner := self.roster.owner_of(leaf))}
        follows = self.succession(removed, (values | fields)["view"])
        return Candidate(
            built.commit,
            (built.welcome or b"") if welcome is None else welcome,
            (b"k" * 32 if joining else b"") if joiner_key is None else joiner_key,
            (encode_message(self.sync(succession=named(follows))) if joining else b"") if sync is None else sync,
        )

    def judged(self, candidate: Candidate, mls: Any = None) -> Finding | None:
        """All checks of a fresh candidate, in their order."""
        content = read_content(candidate, self.state, mls or self.mls, GroupId(GROUP), Electorates(Ledger()))
        if isinstance(content, Finding):
            return content
        return self.judged_content(content)

    def judged_content(self, content: Content, fits: Callable[[Item], bool] = lambda item: True) -> Finding | None:
        approved = [item for item in self.items.values() if item.status is ProposalStatus.APPROVED]
        return (
            check_content(content, self.items, self.state, self.follows)
            or check_credentials(content, self.now)
            or check_time(content, self.now)
            or check_consent(content, self.items, approved, self.patience, self.now, fits)
        )

    def staged(self, candidate: Candidate, **answers: Any) -> Any:
        """A group whose engine reports this commit with some fields changed."""
        real = self.mls.stage(candidate.commit)
        return Altered(
            self.mls, stage=lambda commit, updates=(), own=None: cast("StagedCommit", Altered(real, **answers))
        )

    def content(self, candidate: Candidate) -> Content:
        content = read_content(candidate, self.state, self.mls, GroupId(GROUP), Electorates(Ledger()))
        assert isinstance(content, Content)
        return content


@pytest.fixture
def bench() -> Bench:
    return Bench()


def path_with(**answers: Any) -> Callable[[Bench], Finding | None]:
    def build(bench: Bench) -> Finding | None:
        candidate = bench.candidate(bench.removal)
        return bench.judged(candidate, bench.staged(candidate, **answers))

    return build


def invited_with(device: Callable[[Bench], Device], **fields: Any) -> Callable[[Bench], Finding | None]:
    """An invite whose binding went wrong after it was voted on."""

    def build(bench: Bench) -> Finding | None:
        encoded = bench.newcomer.key_package(device(bench)).public.encoded
        item = bench.item(Invite(bench.package))
        bench.items = {item.proposal_id: item}
        content = bench.content(bench.candidate(item, adds=[encoded]))
        return check_credentials(content, bench.now)

    return build


def sync_with(**fields: Any) -> Callable[[Bench], Finding | None]:
    return lambda bench: bench.judged(bench.candidate(bench.invite, sync=encode_message(bench.sync(**fields))))


def electorate_with(**fields: Any) -> Callable[[Bench], Finding | None]:
    def build(bench: Bench) -> Finding | None:
        other = replace(bench.state.electorate.message(), **fields)
        return sync_with(electorate=electorate_hash(encode_message(other)))(bench)

    return build


def changed_seats(**fields: Any) -> Callable[[Bench], Finding | None]:
    def build(bench: Bench) -> Finding | None:
        seats = tuple(replace(seat, **fields) for seat in bench.state.electorate.message().seats)
        return electorate_with(seats=seats)(bench)

    return build


def succession_with(**fields: Any) -> Callable[[Bench], Finding | None]:
    return lambda bench: sync_with(succession=named(bench.succession(**fields)))(bench)


def listing_with(**fields: Any) -> Callable[[Bench], Finding | None]:
    def build(bench: Bench) -> Finding | None:
        return succession_with(stewards=replace(bench.succession().stewards, **fields))(bench)

    return build


def settled_otherwise(**fields: Any) -> Callable[[Bench], Finding | None]:
    """A settings decision, and a commit that makes other settings."""

    def build(bench: Bench) -> Finding | None:
        bench.settings.status = ProposalStatus.APPROVED
        charter = replace(bench.settings_charter, **fields)
        return bench.judged(bench.candidate(bench.settings, extensions={POLICY_EXTENSION: encode_message(charter)}))

    return build


def with_status(status: ProposalStatus) -> Callable[[Bench], Finding | None]:
    def build(bench: Bench) -> Finding | None:
        bench.removal.status = status
        return bench.judged(bench.candidate(bench.removal))

    return build


def at_time(chain: int, clock: int = NOW) -> Callable[[Bench], Finding | None]:
    def build(bench: Bench) -> Finding | None:
        bench.now = Instant(clock)
        content = read_content(
            bench.candidate(bench.removal, time=chain), bench.state, bench.mls, GroupId(GROUP), Electorates(Ledger())
        )
        return content if isinstance(content, Finding) else check_time(content, bench.now)

    return build


def left_out(waited: int) -> Callable[[Bench], Finding | None]:
    def build(bench: Bench) -> Finding | None:
        bench.invite.approved_since = Instant(NOW - waited)
        return bench.judged(bench.candidate(bench.removal))

    return build


def named_certificate(bench: Bench) -> Finding | None:
    bench.removal.by_silence = True
    return bench.judged(bench.candidate(bench.removal, certificate=b"c" * 32))


def again(bench: Bench) -> Finding | None:
    package = bench.victim.key_package(bench.victim.bind()).public.encoded
    return bench.judged(bench.candidate(bench.item(Invite(package))))


def came_back(bench: Bench) -> Finding | None:
    return bench.judged(bench.candidate(bench.item(Remove(bench.victim.address), epoch=0)))


def two_of_one_effect(bench: Bench) -> Finding | None:
    twin = bench.item(Remove(bench.victim.address))
    return bench.judged(bench.candidate(bench.removal, twin, removes=[bench.leaf(bench.victim)]))


def other_package(bench: Bench) -> Finding | None:
    return bench.judged(bench.candidate(bench.invite, adds=[bench.other.key_package().public.encoded]))


def out_of_order(bench: Bench) -> Finding | None:
    leave = bench.item(Leave(), owner=bench.judge)
    return bench.judged(bench.candidate(bench.removal, leave, sort=False))


def garbled(bench: Bench) -> Finding | None:
    sound = bench.candidate(bench.removal)
    return bench.judged(replace(sound, commit=sound.commit[:-1] + bytes([sound.commit[-1] ^ 1])))


def of_the_next_epoch(bench: Bench) -> Finding | None:
    built = bench.leader.group.propose_commit(force_path=True)
    bench.leader.group.merge(built.staged)
    return bench.judged(bench.candidate(bench.removal))


def dropped(field_name: str, value: bytes = b"") -> Callable[[Bench], Finding | None]:
    return lambda bench: bench.judged(replace(bench.candidate(bench.invite), **{field_name: value}))


def present(field_name: str, value: bytes) -> Callable[[Bench], Finding | None]:
    return lambda bench: bench.judged(replace(bench.candidate(bench.removal), **{field_name: value}))


INVALID, NOT_YET = Verdict.INVALID, Verdict.NOT_YET


def seat_for(*members: str, time: int = NOW, key: bytes = b"", state: dict[str, Any] | None = None) -> Any:
    """A commit of ``time`` that gives new seats; ``key``: of the leaf that a request names."""

    def build(bench: Bench) -> Finding | None:
        items = []
        for name in members:
            member: Member = getattr(bench, name)
            seat = bench.roster.seat(member.address)
            assert seat is not None
            package = member.key_package(member.bind()).public.encoded
            change = Resync(key or seat.leaf_key, b"", package, NOW + HOUR, 1, 1, b"n" * 16, bytes(65))
            items.append(bench.item(change, owner=member))
        bench.state = replace(bench.state, **({"time": Instant(NOW - DAY)} | (state or {})))
        bench.now = time
        removes = removed_by(items, bench.roster)
        follows = bench.succession({owner for leaf in removes if (owner := bench.roster.owner_of(leaf))})
        sync = encode_message(bench.sync(time=time, succession=named(follows)))
        return bench.judged(bench.candidate(*items, time=time, adds=added_by(items), removes=removes, sync=sync))

    return build


def seat_again(name: str, ago: int) -> Callable[[Bench], Finding | None]:
    """A new seat for who was given one so long ago."""

    def build(bench: Bench) -> Finding | None:
        given = (Reseated(getattr(bench, name).address, 1, NOW - ago),)
        finding: Finding | None = seat_for(name, state={"reseated": given})(bench)
        return finding

    return build


CASES: dict[Check, dict[str, tuple[Verdict, Callable[[Bench], Finding | None]]]] = {
    Check.STAGES: {
        "no commit at all": (INVALID, lambda bench: bench.judged(Candidate(b"commit", b"", b"", b""))),
        "a commit with one bit changed": (INVALID, garbled),
        "a commit of the next epoch": (INVALID, of_the_next_epoch),
        "a commit in the judge's own name": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.removal, by=bench.judge)),
        ),
        "a committer without a leaf": (INVALID, path_with(committer=99)),
    },
    Check.CONTEXT: {
        "no context": (INVALID, lambda bench: bench.judged(bench.candidate(bench.removal, context=b""))),
        "a context that cannot be read": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.removal, context=b"\xff" * 40)),
        ),
        "no entries": (INVALID, lambda bench: bench.judged(bench.candidate(bench.removal, entries=()))),
        "the time of its parent": (INVALID, at_time(PARENT)),
        "a time before its parent": (INVALID, at_time(PARENT - 1)),
        "another state": (INVALID, lambda bench: bench.judged(bench.candidate(bench.removal, head=b"x" * 32))),
        "more entries than fit": (
            INVALID,
            lambda bench: bench.judged(
                bench.candidate(
                    bench.removal,
                    entries=tuple(Entry(bytes([n]) * 32, b"") for n in range(bounds.CANDIDATE_ENTRIES_MAX + 1)),
                )
            ),
        ),
    },
    Check.COMMITTER: {
        "minted for a view that another leads": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.removal, view=1)),
        ),
        "committed by a member that does not lead": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.invite, by=bench.victim)),
        ),
    },
    Check.CANONICAL: {
        "an entry twice": (
            INVALID,
            lambda bench: bench.judged(
                bench.candidate(bench.removal, entries=(Entry(bench.removal.proposal_id, b""),) * 2)
            ),
        ),
        "a leave after a removal": (INVALID, out_of_order),
        "two removals of one member": (INVALID, two_of_one_effect),
    },
    Check.NOTHING_ELSE: {
        "another charter": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.removal, extensions={POLICY_EXTENSION: b"mine"})),
        ),
        "a pre-shared key": (INVALID, path_with(other_proposals=["psk"])),
        "a GroupContext without any charter": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.removal, extensions={})),
        ),
    },
    Check.UPDATES: {"an update that it does not bring along": (INVALID, path_with(updates=[1], updated_leaves=[]))},
    Check.NOT_ITSELF: {"its committer's own removal": (INVALID, path_with(removes=[0, 2]))},
    Check.PATH: {
        "another signature key": (INVALID, path_with(has_path=True, path_signature_key=b"k" * 32)),
        "no word about its key": (INVALID, path_with(has_path=True, path_signature_key=None)),
        "another address": (
            INVALID,
            path_with(has_path=True, path_credential=encode_message(Credential(b"a" * 20, "laptop", "member 1"))),
        ),
        "a credential that cannot be read": (INVALID, path_with(has_path=True, path_credential=b"me")),
        "no binding": (INVALID, path_with(has_path=True, path_extensions={})),
        "a binding of nobody": (
            INVALID,
            path_with(
                has_path=True, path_extensions={BINDING_EXTENSION: encode_message(Binding(NOW, NOW + 1, bytes(65)))}
            ),
        ),
    },
    Check.WELCOME: {
        "an addition without a welcome": (INVALID, dropped("welcome")),
        "an addition without a joiner key": (INVALID, dropped("joiner_key")),
        "a joiner key of half the size": (INVALID, dropped("joiner_key", b"k" * 16)),
        "an addition without a sync": (INVALID, dropped("sync")),
        "a sync that cannot be read": (INVALID, dropped("sync", b"sync")),
        "a removal with a welcome": (INVALID, present("welcome", b"w")),
        "a removal with a joiner key": (INVALID, present("joiner_key", b"k" * 32)),
        "a removal with a sync": (INVALID, present("sync", b"s")),
        "a sync of another epoch": (INVALID, sync_with(epoch=2)),
        "a sync of another state": (INVALID, sync_with(head=b"x" * 32)),
        "a sync of another group": (INVALID, sync_with(group_id=b"x" * 32)),
        "a sync with another time than the commit's": (INVALID, sync_with(time=NOW + 1)),
        "a sync with another roster": (INVALID, electorate_with(seats=(Seat(b"r" * 20, 0, b"k" * 32, 0),))),
        "a sync with other stewards now": (INVALID, electorate_with(stewards=(b"s" * 20,))),
        "a sync with another policy": (INVALID, electorate_with(policy=DAY_POLICY)),
        "a sync with other dates of joining": (INVALID, changed_seats(since=0)),
        "a sync that calls a member dormant": (INVALID, changed_seats(dormant=True)),
    },
    Check.KNOWN: {
        "a proposal that nobody has heard of": (
            NOT_YET,
            lambda bench: bench.judged(bench.candidate(bench.removal, entries=(Entry(b"p" * 32, b""),))),
        )
    },
    Check.EXACT: {
        "the removal of another member": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.removal, removes=[bench.leaf(bench.judge)])),
        ),
        "no removal": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.removal, removes=[], force_path=True)),
        ),
        "one removal more": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.invite, removes=[bench.leaf(bench.victim)])),
        ),
        "another key package": (INVALID, other_package),
        "the addition of a member": (INVALID, again),
        "a removal decided before the member came back": (INVALID, came_back),
        "settings that were decided and not made": (
            INVALID,
            lambda bench: bench.judged(bench.candidate(bench.settings, force_path=True)),
        ),
        "settings under another name": (INVALID, settled_otherwise(name="mine")),
        "settings with another policy": (INVALID, settled_otherwise(policy=replace(DAY_POLICY, stewards_max=1))),
        "settings with another rendezvous": (INVALID, settled_otherwise(rendezvous=b"r" * 32)),
        "settings under another profile": (INVALID, settled_otherwise(profile="mine")),
        "settings and one extension more": (
            INVALID,
            lambda bench: bench.judged(
                bench.candidate(
                    bench.settings,
                    extensions={
                        POLICY_EXTENSION: encode_message(bench.settings_charter),
                        BINDING_EXTENSION: b"x",
                    },
                )
            ),
        ),
    },
    Check.FOLLOWS: {
        "stewards that nobody elected": (INVALID, listing_with(members=(b"s" * 20,))),
        "stewards since another epoch": (INVALID, listing_with(since=0)),
        "stewards of another round": (INVALID, listing_with(retry_round=1)),
        "a steward left out of the pool": (INVALID, listing_with(excluded=(b"s" * 20,))),
        "a steward said to have left": (INVALID, listing_with(departed=(b"s" * 20,))),
        "a turn that nobody lost": (INVALID, succession_with(lost=(LostTurn(b"l" * 20, 1),))),
        "a dormant member that is awake": (INVALID, succession_with(dormant=(b"d" * 20,))),
    },
    Check.CREDENTIALS: {
        "a binding that has expired": (
            NOT_YET,
            invited_with(lambda bench: bench.newcomer.bind(issued=NOW - DAY, expires=NOW)),
        ),
        "a binding that begins later": (
            NOT_YET,
            invited_with(lambda bench: bench.newcomer.bind(issued=NOW + 61_000, expires=NOW + DAY)),
        ),
        "a binding by another wallet": (
            NOT_YET,
            invited_with(lambda bench: bench.newcomer.bind(wallet=bench.other.wallet)),
        ),
    },
    Check.APPROVED: {
        "work that is still open": (NOT_YET, with_status(ProposalStatus.OPEN)),
        "work that was rejected": (NOT_YET, with_status(ProposalStatus.REJECTED)),
        "work that was withdrawn": (NOT_YET, with_status(ProposalStatus.WITHDRAWN)),
        "work that was committed before": (NOT_YET, with_status(ProposalStatus.COMMITTED)),
        "a decision certificate where there was silence": (NOT_YET, named_certificate),
    },
    Check.PATIENCE: {"work left out for too long": (NOT_YET, left_out(PATIENCE + 1))},
    Check.RESYNC: {
        "a new seat for a leaf that is not there": (INVALID, seat_for("victim", key=b"k" * 32)),
        "a new seat when its request has expired": (INVALID, seat_for("victim", time=NOW + HOUR)),
        "a new seat long before its request was made": (INVALID, seat_for("victim", time=NOW - 3 * MINUTE)),
        "two new seats in a group of three": (INVALID, seat_for("victim", "judge")),
        "a second new seat within the hour": (INVALID, seat_again("victim", HOUR - 1)),
    },
    Check.TIME: {
        "two minutes behind": (NOT_YET, at_time(NOW, NOW + TIME_DIFFERENCE_MAX + 1)),
        "two minutes ahead": (NOT_YET, at_time(NOW, NOW - TIME_DIFFERENCE_MAX - 1)),
    },
}


@pytest.mark.parametrize(("check", "case"), [(check, case) for check, cases in CASES.items() for case in cases])
def test_a_malformed_candidate_is_found(check: Check, case: str, bench: Bench) -> None:
    verdict, build = CASES[check][case]
    finding = build(bench)
    assert finding is not None
    assert (finding.check, finding.verdict) == (check, verdict)


def test_every_check_has_a_case() -> None:
    assert set(CASES) == set(Check)


SOUND: dict[str, Callable[[Bench], Finding | None]] = {
    "a removal": lambda bench: bench.judged(bench.candidate(bench.removal)),
    "an invite": lambda bench: bench.judged(bench.candidate(bench.invite)),
    "settings": settled_otherwise(),
    "both": lambda bench: bench.judged(bench.candidate(bench.removal, bench.invite)),
    "a leave": lambda bench: bench.judged(bench.candidate(bench.item(Leave(), owner=bench.victim))),
    "a new seat": seat_for("victim"),
    "a second new seat an hour later": seat_again("victim", HOUR),
    "a later view, by its leader": lambda bench: bench.judged(bench.candidate(bench.invite, by=bench.victim, view=2)),
    "a view round the table": lambda bench: bench.judged(bench.candidate(bench.removal, view=3)),
    "a path that changes nothing": lambda bench: bench.judged(bench.candidate(bench.removal, force_path=True)),
    "work left out that was approved just now": left_out(PATIENCE),
    "a millisecond after its parent": at_time(PARENT + 1),
    "just within two minutes": at_time(NOW, NOW + TIME_DIFFERENCE_MAX),
    "just within two minutes the other way": at_time(NOW, NOW - TIME_DIFFERENCE_MAX),
    "a binding that begins within the difference of clocks": invited_with(
        lambda bench: bench.newcomer.bind(issued=NOW + 60_000)
    ),
    "a binding in its last millisecond": invited_with(lambda bench: bench.newcomer.bind(expires=NOW + 1)),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_candidate_passes(case: str, bench: Bench) -> None:
    assert SOUND[case](bench) is None


def test_work_that_does_not_fit_may_be_left_out(bench: Bench) -> None:
    bench.invite.approved_since = Instant(NOW - PATIENCE - 1)
    content = bench.content(bench.candidate(bench.removal))
    assert bench.judged_content(content, fits=lambda item: False) is None


def test_a_leader_need_not_carry_its_own_removal(bench: Bench) -> None:
    own = bench.item(Remove(bench.leader.address), owner=bench.judge)
    own.approved_since = Instant(NOW - PATIENCE - 1)
    assert bench.judged(bench.candidate(bench.removal)) is None


def test_work_of_the_same_effect_makes_up_for_what_is_left_out(bench: Bench) -> None:
    twin = bench.item(Remove(bench.victim.address), owner=bench.judge)
    twin.approved_since = Instant(NOW - PATIENCE - 1)
    assert bench.judged(bench.candidate(bench.removal)) is None


def test_a_full_candidate_may_leave_out_the_rest(bench: Bench) -> None:
    bench.invite.approved_since = Instant(NOW - PATIENCE - 1)
    content = bench.content(bench.candidate(bench.removal))
    full = replace(content, entries=content.entries * bounds.CANDIDATE_ENTRIES_MAX)
    approved = [bench.invite]
    assert check_consent(full, bench.items, approved, PATIENCE, NOW, lambda item: True) is None
