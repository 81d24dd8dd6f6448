"""Plays a script of group life on an engine and notes all that an outsider can compare with another engine.

A script is a list of steps of four small numbers: what, who, and two choices that each step reads in its own way. No
script is invalid: what makes no sense is a refusal, and which one is part of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from demls_engine import Candidate, Engine, EngineError, InvalidInput, MlsGroup, NewKeyPackage, SignatureKey

Step = tuple[int, int, int, int]
MakeEngine = Callable[[bytes], Engine]
_Result = TypeVar("_Result")

PEOPLE = 5
POLICY, BINDING, INVITE, UNKNOWN = 0xF001, 0xF002, 0xF003, 0xFF00
CONTEXTS: tuple[dict[int, bytes] | None, ...] = (None, None, None, {POLICY: b"new"}, {}, {INVITE: b""}, {UNKNOWN: b""})
WINDOWS = {"past_epochs": 2, "out_of_order": 2, "forward": 3}


@dataclass
class Person:
    name: str
    engine: Engine
    key: SignatureKey
    group: MlsGroup | None = None
    read: int = 0
    """How many of the settled commits were merged."""
    secrets: bytes | None = None
    """Of the newest own Update."""
    candidates: list[bytes] = field(default_factory=list)

    def key_package(self) -> NewKeyPackage:
        return self.engine.key_package(
            signature_private=self.key.private,
            credential=self.name.encode(),
            extensions={BINDING: self.name.encode()},
            supported=[POLICY, BINDING] + [INVITE] * (self.name != "person 4"),
        )


class Play:
    """One engine's run of a script; ``notes`` is what two runs are compared by."""

    def __init__(self, make_engine: MakeEngine) -> None:
        self.people: list[Person] = []
        for index in range(PEOPLE):
            engine = make_engine(sha256(b"%d" % index).digest())
            self.people.append(Person(f"person {index}", engine, engine.signature_key()))
        self.commits: list[bytes] = []
        self.strays: list[bytes] = []
        self.updates: list[bytes] = []
        self.messages: list[bytes] = []
        self.notes: list[object] = []
        founder = self.people[0]
        founder.group = founder.engine.create_group(
            group_id=b"group",
            signature_private=founder.key.private,
            credential=founder.name.encode(),
            extensions={BINDING: founder.name.encode()},
            supported=[POLICY, BINDING, INVITE],
            context_extensions={POLICY: b"first"},
            **WINDOWS,
        )

    def run(self, script: Sequence[Step]) -> list[object]:
        steps: list[Callable[[Person, MlsGroup, int, int], None]] = [
            self.commit,
            self.commit,
            self.catch_up,
            self.catch_up,
            self.send,
            self.read,
            self.read,
            self.update,
            self.restart,
            self.merge_old,
            self.stage_any,
            self.forget,
        ]
        for what, who, one, other in script:
            person = self.people[who % PEOPLE]
            if person.group is not None:
                steps[what % len(steps)](person, person.group, one, other)
                self.compare()
        return self.notes

    def attempt(self, act: Callable[[], _Result]) -> _Result | None:
        try:
            return act()
        except EngineError as error:
            self.notes.append(type(error).__name__)
            return None

    def compare(self) -> None:
        """What everybody sees, and who agrees with whom."""
        authenticators: list[bytes] = []
        for person in self.people:
            group = person.group
            if group is None:
                continue
            members = [(each.leaf, each.credential, each.extensions) for each in group.members()]
            self.notes.append((group.epoch, group.own_leaf, group.is_active, members, group.context_extensions()))
            if group.is_active:
                if group.authenticator() not in authenticators:
                    authenticators.append(group.authenticator())
                self.notes.append(authenticators.index(group.authenticator()))

    # The steps

    def commit(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        joiners = [self.people[index] for index in range(PEOPLE) if one >> index & 1]
        packages = [joiner.key_package() for joiner in joiners]
        candidate = self.attempt(
            lambda: group.propose_commit(
                adds=[package.public.encoded for package in packages],
                removes=[leaf for leaf in range(PEOPLE) if other >> leaf & 1],
                updates=self.updates[-(one >> 5 & 3) :] if one >> 5 & 3 else [],
                context_extensions=CONTEXTS[(other >> 5) % len(CONTEXTS)],
                authenticated_data=b"%d" % one,
                group_info_extensions={INVITE: b"info"},
                force_path=bool(one & 1),
            )
        )
        if candidate is None:
            return
        self.notes.append(candidate.welcome is not None)
        person.candidates.append(candidate.staged)
        if person.read < len(self.commits) or other >> 8 & 1:
            self.strays.append(candidate.commit)
            return
        self.commits.append(candidate.commit)
        group.merge(candidate.staged)
        person.read += 1
        for joiner, package in zip(joiners, packages, strict=True):
            self.join(joiner, candidate, package, group.ratchet_tree())

    def join(self, joiner: Person, candidate: Candidate, package: NewKeyPackage, tree: bytes) -> None:
        assert candidate.welcome is not None
        opened = joiner.engine.open_welcome(candidate.welcome, package.private, **WINDOWS)
        self.notes.append((opened.epoch, opened.committer, opened.group_info_extensions, opened.context_extensions))
        joiner.group = opened.join(tree)
        joiner.read, joiner.secrets = len(self.commits), None

    def catch_up(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        """Merges the next commits that everybody else may have merged already."""
        for commit in self.commits[person.read : person.read + 1 + one % 3]:
            if self.stage(person, group, commit, merge=True):
                person.read += 1

    def stage(self, person: Person, group: MlsGroup, commit: bytes, *, merge: bool) -> bool:
        try:
            staged = group.stage(commit, self.updates, person.secrets)
        except InvalidInput:
            self.notes.append("old secrets")
            person.secrets = None
            return self.stage(person, group, commit, merge=merge)
        except EngineError as error:
            self.notes.append(type(error).__name__)
            return False
        self.notes.append(
            (
                staged.committer,
                [package.credential for package in staged.adds],
                staged.removes,
                staged.updates,
                [(leaf.leaf, leaf.extensions) for leaf in staged.updated_leaves],
                staged.context_extensions,
                staged.has_path,
                staged.path_credential,
                staged.path_extensions,
                staged.authenticated_data,
                staged.removes_self,
                staged.epoch,
                len(staged.authenticator),
            )
        )
        if merge:
            group.merge(staged)
        return True

    def send(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        for number in range(1 + one % 5):
            message = self.attempt(lambda text=b"%d of %d" % (number, other): group.encrypt(text, b"beside"))  # type: ignore[misc]
            if message is not None:
                self.messages.append(message)

    def read(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        if not self.messages:
            return
        message = self.messages[-1 - one % min(len(self.messages), 12)]
        if other % 4 == 0:
            message = message[:-1] + bytes([message[-1] ^ 1])
        read = self.attempt(lambda: group.decrypt(message))
        if read is not None:
            self.notes.append((read.sender, read.epoch, read.plaintext, read.authenticated_data))

    def update(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        key = person.engine.signature_key() if one % 3 == 0 else None
        made = self.attempt(
            lambda: group.propose_update(
                extensions=[None, {BINDING: b"renewed"}, {UNKNOWN: b""}][other % 3],
                signature_private=None if key is None else key.private,
            )
        )
        if made is None:
            return
        self.updates.append(made[0])
        person.secrets = made[1]
        for each in self.people:
            if each.group is not None:
                shown = self.attempt(lambda group=each.group: group.read_update(made[0]))  # type: ignore[misc]
                self.notes.append(shown and (shown.leaf, shown.credential, shown.extensions))

    def restart(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        group.changes()
        person.group = person.engine.load_group(group.snapshot())

    def merge_old(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        """A candidate that may be of any state; if it is of this one, the branch ends in a dead end and is left."""
        if person.candidates:
            fork = person.engine.load_group(group.snapshot())
            self.attempt(lambda: fork.merge(person.candidates[-1 - one % len(person.candidates)]))
            self.notes.append(fork.epoch)

    def stage_any(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        known = [*self.commits, *self.strays, *self.messages[-1:], *self.updates[-1:]]
        if known:
            commit = known[one % len(known)]
            self.stage(person, group, commit if other % 4 else commit[:-1] + bytes([commit[-1] ^ 1]), merge=False)

    def forget(self, person: Person, group: MlsGroup, one: int, other: int) -> None:
        group.forget_past_epochs(one % 3)
