"""How is a data folder set up? A wallet, a password, a name, a relay."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from demls.cli.output import say, waiting
from demls.client.address import data_folder
from demls.identity.errors import IdentityError, KeystoreExists
from demls.identity.keystore import Keystore
from demls.identity.password import PASSWORD_FILE_VARIABLE, environment_password, read_password
from demls.identity.wallet import IMPORT_WARNING, Wallet
from demls.node.data_folder import DataFolder, write_private
from demls.node.settings import DEFAULT_RELAY, config_text, read_settings
from demls.wire.ids import address_text

IMPORT_PASSWORD_VARIABLE = "DEMLS_IMPORT_PASSWORD_FILE"  # noqa: S105 (a variable's name)


def set_up(
    folder: Path | None, name: str | None, relay: str | None, *, import_key: bool, import_keystore: Path | None
) -> None:
    """Raises IdentityError, CannotStart."""
    place = DataFolder(data_folder(folder))
    keystore = Keystore(place.keystore)
    if keystore.has_storage_key:
        raise KeystoreExists(f"{place.path} is set up already. Run “demls node”, or name another folder.")
    read_settings(place.config, name=name, relay=relay)  # refuses what cannot be used, before anything is written
    is_imported = import_key or import_keystore is not None
    if is_imported:
        print(IMPORT_WARNING, file=sys.stderr)
    wallet = _wallet(import_key=import_key, import_keystore=import_keystore)
    if name is None:
        name = input("What do you call yourself (others in your groups see it)? ").strip() if _has_terminal() else ""
        read_settings(place.config, name=name)
    with environment_password(is_new=True) as password, waiting("Sealing the keystore…"):
        place.create()
        keystore.create(password.reveal(), wallet)
    values: dict[str, str | bool] = {
        "name": name,
        "relay": relay or DEFAULT_RELAY,
        "address": address_text(wallet.address),
        "wallet_imported": is_imported,
    }
    if not place.config.exists():
        write_private(place.config, config_text(values))
    say(f"Your wallet address is {address_text(wallet.address)}.")
    say(f"Everything is in {place.path}; keep the password, it cannot be recovered.")
    say(f"Start your node with “demls node{f' --folder {folder}' if folder else ''}”.")


def _wallet(*, import_key: bool, import_keystore: Path | None) -> Wallet:
    if import_key and import_keystore is not None:
        raise IdentityError("Give either --import-key or --import-keystore, not both.")
    if import_keystore is not None:
        source = os.environ.get(IMPORT_PASSWORD_VARIABLE)
        environment = {PASSWORD_FILE_VARIABLE: source} if source else {}
        print(f"The password of {import_keystore}:", file=sys.stderr)
        prompt = getpass.getpass if _has_terminal() else None
        with read_password(is_new=False, environment=environment, prompt=prompt) as password:
            return Wallet.from_keystore_file(import_keystore, password.reveal())
    if import_key:
        text = getpass.getpass("The wallet's key: ") if _has_terminal() else sys.stdin.readline()
        return Wallet.from_hex(text.strip())
    return Wallet.create()


def _has_terminal() -> bool:
    return sys.stdin.isatty()
