"""What can be set, where it stands and what holds if nothing is set.

The order: what the command line says, the environment (``DEMLS_RELAY`` and so on), ``config.toml`` in the data
folder, the defaults below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from demls.node.errors import CannotStart

DEFAULT_RELAY = "ws://127.0.0.1:7373"
DEFAULT_API_PORT = 7374


class Settings(BaseSettings):
    """The settings of a node."""

    model_config = SettingsConfigDict(env_prefix="DEMLS_", extra="forbid", frozen=True)

    name: Annotated[str, Field(max_length=64)] = ""
    """What you call yourself in groups and contacts."""
    device: Annotated[str, Field(min_length=1, max_length=64)] = "device 1"
    """What this device is called."""
    relay: str = DEFAULT_RELAY
    """Where the relay is reached."""
    relay_public: str = ""
    """What stands in invite links and contacts instead of ``relay``, if others reach it under another address."""
    address: str = ""
    """The wallet's address; needed only while the wallet is offline."""
    wallet_imported: bool = False
    """Written at set-up: the wallet has a past outside of demls."""
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_API_PORT
    """0: any free port."""
    hosts: tuple[str, ...] = ()
    """Further host names under which the API is reached, such as a reverse proxy's."""
    history_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Delete what people see of conversations, and all copies of messages, when it is so old. 0: keep it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    batch_deliveries: Annotated[int, Field(ge=1, le=1024)] = 64
    """So many envelopes at most go into one transaction."""
    batch_ms: Annotated[int, Field(ge=1, le=10_000)] = 50
    """So long at most a transaction gathers envelopes that are already there."""

    @field_validator("name", "device")
    @classmethod
    def _is_shown_to_people(cls, value: str) -> str:
        if not value.isprintable() or len(value.encode()) > 64:
            raise ValueError("is a name of at most 64 bytes, without control characters")
        return value

    @field_validator("relay", "relay_public")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("ws", "wss") or not urlsplit(value).hostname):
            raise ValueError("is an address such as wss://relay.example.org")
        return value

    @property
    def relay_in_links(self) -> str:
        return self.relay_public or self.relay

    def serves_relay(self, relay: str) -> bool:
        """Is ``relay``, as an invite link or contact names it, the one this node talks to?"""
        return same_relay(relay, self.relay) or same_relay(relay, self.relay_in_links)


def same_relay(one: str, other: str) -> bool:
    """Do two texts name the same relay?"""
    return _parts(one) == _parts(other)


def _parts(relay: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(relay)
        port = parts.port or {"ws": 80, "wss": 443}.get(parts.scheme)
    except ValueError:
        return ("", relay, None, "")
    host = parts.hostname or ""
    return (parts.scheme, "127.0.0.1" if host == "localhost" else host, port, parts.path.rstrip("/"))


def read_settings(config: Path, **given: Any) -> Settings:
    """The settings that hold for the data folder of ``config``; ``given`` wins, None in it means not given.

    Raises CannotStart.
    """

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config)

    try:
        return FromFile(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, it ")
        message = "there is no such setting" if first["type"] == "extra_forbidden" else f"it {message}"
        raise CannotStart(f"The setting “{where}” cannot be used: {message}. Correct it in {config}.") from None
    except (ValueError, OSError) as problem:
        raise CannotStart(f"{config} cannot be read: {problem}. Correct it or remove it.") from None


def config_text(values: dict[str, str | bool]) -> str:
    """A ``config.toml`` with these values."""
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return "\n".join(["# Settings of this demls node.", *lines, ""])
