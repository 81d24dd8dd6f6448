"""Where are this node's secrets? In ``keystore/``: the wallet's key and the key of the data file, two v3 files.

* ``wallet.json``: the wallet, readable by other Ethereum programs.
* ``storage.json``: 32 random bytes, the key of the encrypted data file. Same format, same password.

Why two files and not one with the storage key wrapped under the wallet's: the wallet is needed only to bind devices
and may stay offline. Then ``wallet.json`` is elsewhere, the node runs on ``storage.json`` alone and knows the address
from its settings. The price is a second scrypt derivation, 0.55 s, paid only when the wallet is opened; and the
storage key does not follow from the wallet's, so whoever gets the one does not have the other.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from demls.identity.errors import IdentityError, KeystoreMissing
from demls.identity.keyfile import SCRYPT_N, read_address, read_keyfile, write_keyfile
from demls.identity.wallet import Wallet
from demls.wire.ids import Address, parse_address

FOLDER_NAME = "keystore"
WALLET_NAME = "wallet.json"
STORAGE_NAME = "storage.json"
STORAGE_KEY_BYTES = 32


class Keystore:
    """The folder of secrets. Holds neither keys nor passwords in memory; each method reads the files anew."""

    __slots__ = ("_scrypt_n", "folder")

    def __init__(self, folder: Path, *, scrypt_n: int = SCRYPT_N) -> None:
        """``folder``: where the files are or will be. ``scrypt_n``: cost of files written from now on."""
        self.folder = folder
        self._scrypt_n = scrypt_n

    def __repr__(self) -> str:
        return f"Keystore({str(self.folder)!r})"

    @property
    def has_wallet(self) -> bool:
        """Whether the wallet's file is here (it may stay offline)."""
        return (self.folder / WALLET_NAME).exists()

    @property
    def has_storage_key(self) -> bool:
        """Whether this keystore has been set up."""
        return (self.folder / STORAGE_NAME).exists()

    def create(self, password: bytes, wallet: Wallet | None) -> bytes:
        """Set up the folder (mode 0700) and return the new storage key; None: the wallet stays offline.

        Takes one scrypt derivation a file. The wallet is written first, so a crash in between leaves no storage key
        without it; calling again then continues if the wallet is the same.
        Raises KeystoreExists (nothing is ever overwritten), IdentityError.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as problem:
            raise IdentityError(
                f"The keystore folder {self.folder} cannot be written ({problem.strerror}); "
                "correct the permissions or choose another data folder."
            ) from problem
        if wallet is not None and not self._continues(wallet, password):
            write_keyfile(self.folder / WALLET_NAME, wallet.secret(), password, scrypt_n=self._scrypt_n, is_wallet=True)
        storage_key = secrets.token_bytes(STORAGE_KEY_BYTES)
        write_keyfile(self.folder / STORAGE_NAME, storage_key, password, scrypt_n=self._scrypt_n, is_wallet=False)
        return storage_key

    def storage_key(self, password: bytes) -> bytes:
        """The key of the data file, 32 bytes; one scrypt derivation.

        Raises WrongPassword, KeystoreMissing, KeystoreDamaged.
        """
        return read_keyfile(self.folder / STORAGE_NAME, password)

    def wallet(self, password: bytes) -> Wallet:
        """The wallet; one scrypt derivation.

        Raises WrongPassword, KeystoreMissing (also while it is offline), KeystoreDamaged.
        """
        path = self.folder / WALLET_NAME
        if self.has_storage_key and not path.exists():
            raise KeystoreMissing(
                f"The wallet is offline: {path} is not here. It is needed to bind a device; put it back for as long as "
                "that takes."
            )
        return Wallet(read_keyfile(path, password))

    def wallet_address(self) -> Address | None:
        """The address that the wallet's file names, without the password; None while the wallet is offline.

        For showing who this is before the password is given: only ``wallet`` proves it.
        """
        if not self.has_wallet:
            return None
        text = read_address(self.folder / WALLET_NAME)
        try:
            return None if text is None else parse_address(text)
        except ValueError:
            return None

    def _continues(self, wallet: Wallet, password: bytes) -> bool:
        """Whether an earlier ``create`` with the same wallet and password was cut off before its second file."""
        return (
            self.has_wallet
            and not self.has_storage_key
            and self.wallet_address() == wallet.address
            and self.wallet(password).address == wallet.address
        )
