"""What does a text that begins with ``/`` ask for?"""

from __future__ import annotations

from dataclasses import dataclass

from demls.node.errors import Refused
from demls.wire.ids import Address, parse_address

HELP = (
    "Commands: /ban <wallet address> proposes to remove a member; /leave leaves this group; /help shows this. "
    "To send a text that begins with “/”, begin it with “//”."
)


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Ban:
    address: Address


@dataclass(frozen=True, slots=True)
class Leave:
    pass


@dataclass(frozen=True, slots=True)
class Help:
    pass


Command = Say | Ban | Leave | Help


def parse(text: str) -> Command:
    """What is to be done with what somebody typed. Raises Refused."""
    if not text.startswith("/"):
        return Say(text)
    if text.startswith("//"):
        return Say(text[1:])
    word, _, rest = text.strip().partition(" ")
    match word.lower(), rest.split():
        case "/ban", [address]:
            try:
                return Ban(parse_address(address))
            except ValueError as problem:
                raise Refused(str(problem), "bad-address") from None
        case "/ban", _:
            raise Refused("Write /ban and the wallet address of the member, such as /ban 0x52…; “/help” explains.")
        case "/leave", []:
            return Leave()
        case "/leave", _:
            raise Refused("Write /leave alone; it leaves this group.")
        case "/help", _:
            return Help()
    raise Refused(f"There is no command “{word[:20]}”. {HELP}", "unknown-command")
