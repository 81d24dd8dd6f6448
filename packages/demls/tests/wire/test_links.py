"""The texts that people hand out survive being sent around, and say so when they did not."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
from demls.wire.links import (
    BadLink,
    contact_text,
    invite_text,
    new_contact,
    new_invite,
    parse_contact,
    parse_invite,
)
from demls.wire.messages import Contact, InviteLink
from hypothesis import given
from hypothesis import strategies as st

CONTACT = new_contact(b"a" * 20, "Alice", b"i" * 32, "wss://relay.example")
INVITE = new_invite(
    group_id=b"g" * 32,
    group_name="friends",
    rendezvous=b"r" * 32,
    relay="",
    token=b"t" * 16,
    expires=1_800_000_000_000,
    issuer=b"a" * 20,
    signature=b"s" * 64,
)
LINKS: dict[str, tuple[str, Callable[[str], Any], Contact | InviteLink]] = {
    "contact": (contact_text(CONTACT), parse_contact, CONTACT),
    "invite": (invite_text(INVITE), parse_invite, INVITE),
}
ALPHABET = string.ascii_letters + string.digits + "-_"


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_is_read_back(kind: str) -> None:
    text, parse, link = LINKS[kind]
    assert parse(text) == link


@pytest.mark.parametrize("kind", LINKS)
def test_white_space_from_a_mail_does_no_harm(kind: str) -> None:
    text, parse, link = LINKS[kind]
    broken = "  " + "\n> ".join(text[i : i + 40] for i in range(0, len(text), 40)).replace("> ", "\t") + "\r\n"
    assert parse(broken) == link


@pytest.mark.parametrize("kind", LINKS)
def test_every_typo_is_recognised(kind: str) -> None:
    text, parse, link = LINKS[kind]
    start = text.rindex(":") + 1
    for place in range(start, len(text)):
        for other in ("A", "z", "7", "_"):
            typo = text[:place] + other + text[place + 1 :]
            if typo == text:
                continue
            try:
                assert place == len(text) - 1, "only bits that mean nothing may differ"
                assert parse(typo) == link
            except BadLink:
                pass
            except AssertionError:
                with pytest.raises(BadLink, match="damaged or incomplete"):
                    parse(typo)


@pytest.mark.parametrize("kind", LINKS)
def test_a_text_that_was_cut_is_recognised(kind: str) -> None:
    text, parse, _ = LINKS[kind]
    for length in range(text.rindex(":") + 1, len(text)):
        with pytest.raises(BadLink, match="damaged or incomplete"):
            parse(text[:length])


@pytest.mark.parametrize("kind", LINKS)
def test_swapped_letters_are_recognised(kind: str) -> None:
    text, parse, _ = LINKS[kind]
    for place in range(text.rindex(":") + 1, len(text) - 1):
        swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        if swapped != text:
            with pytest.raises(BadLink):
                parse(swapped)


def test_one_kind_is_not_taken_for_the_other() -> None:
    with pytest.raises(BadLink, match=r"^This is a contact, but an invite link is needed here\.$"):
        parse_invite(contact_text(CONTACT))
    with pytest.raises(BadLink, match=r"^This is an invite link, but a contact is needed here\.$"):
        parse_contact(invite_text(INVITE))


def test_a_body_under_the_other_prefix_is_damaged() -> None:
    body = invite_text(INVITE).removeprefix("demls:invite:")
    with pytest.raises(BadLink, match="damaged"):
        parse_contact("demls:contact:" + body)


def test_a_link_of_a_newer_version_says_so() -> None:
    newer = InviteLink(2, *(getattr(INVITE, name) for name in InviteLink.__slots__[1:]))
    with pytest.raises(BadLink, match="newer demls; update"):
        parse_invite(invite_text(newer))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "demls:",
        "demls:contact",
        "DEMLS:CONTACT:AAAA",
        "demls:contact:é",
        "demls:contact:=",
        "demls:contact:",
    ],
)
def test_other_texts_are_no_contact(text: str) -> None:
    with pytest.raises(BadLink, match=r"\.$"):
        parse_contact(text)


def test_endless_texts_are_no_contact() -> None:
    with pytest.raises(BadLink, match="damaged"):
        parse_contact("demls:contact:" + "A" * 1_000_000)


@given(st.text(max_size=80))
def test_any_text_is_a_link_or_a_bad_one(text: str) -> None:
    for prefix in ("", "demls:contact:", "demls:invite:"):
        for parse in (parse_contact, parse_invite):
            with pytest.raises(BadLink):
                parse(prefix + text)
