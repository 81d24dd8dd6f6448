"""Who is this node for? The wallet, opened in the background, and the devices it binds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from demls.identity.device import bind_device
from demls.identity.wallet import Wallet
from demls.node.errors import Refused
from demls.protocol.credential import Device
from demls.wire.ids import Address, Instant, LeafKey
from demls.wire.messages import Binding

WALLET_SECONDS_MAX = 60.0


class BindDevice(Protocol):
    def __call__(self, wallet: Wallet, *, name: str, device: str, now: Instant) -> Device: ...


class Me:
    """The person. ``address`` is known at once, the wallet's key only when its file has been opened."""

    def __init__(
        self, address: Address, open_wallet: Callable[[], Future[Wallet]] | None, *, name: str, device: str
    ) -> None:
        """``open_wallet``: begins to open it, is called once; None while the wallet is offline."""
        self.address = address
        self.name = name
        self._open_wallet = open_wallet
        self._wallet: Future[Wallet] | None = None
        self._device = device
        self._lock = threading.Lock()

    @property
    def has_wallet(self) -> bool:
        return self._open_wallet is not None

    def device(self, bind: BindDevice, now: Instant) -> Device:
        """A new device for one group; waits for the wallet. For worker threads. Raises Refused, IdentityError."""
        opened = self._opened()
        if opened is None:
            raise Refused("The wallet is offline. Put its file back into the keystore and start the node.", "no-wallet")
        wallet = opened.result(WALLET_SECONDS_MAX)
        if wallet.address != self.address:
            raise Refused("The wallet's file does not hold the key of the address it names. Restore it.", "no-wallet")
        return bind(wallet, name=self.name, device=self._device, now=now)

    def sign(self, sentence: str) -> bytes:
        """The wallet's signature over a sentence; waits for it. For worker threads. Raises Refused, IdentityError."""
        opened = self._opened()
        if opened is None:
            raise Refused("The wallet is offline. Put its file back into the keystore and start the node.", "no-wallet")
        wallet = opened.result(WALLET_SECONDS_MAX)
        if wallet.address != self.address:
            raise Refused("The wallet's file does not hold the key of the address it names. Restore it.", "no-wallet")
        return wallet.sign_text(sentence)

    def bind_again(self, leaf_key: LeafKey, device: str, now: Instant) -> Binding | None:
        """The wallet speaks anew for a leaf; waits for it. None while it is offline. Raises IdentityError."""
        opened = self._opened()
        return None if opened is None else bind_device(opened.result(WALLET_SECONDS_MAX), leaf_key, device, now)

    def open_wallet(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to open the wallet; ``on_failure`` is called, in whatever thread, if that fails."""

        def check(wallet: Future[Wallet]) -> None:
            problem = None if wallet.cancelled() else wallet.exception()
            if problem is not None:
                on_failure(problem)

        opened = self._opened()
        if opened is not None:
            opened.add_done_callback(check)

    def _opened(self) -> Future[Wallet] | None:
        with self._lock:
            if self._wallet is None and self._open_wallet is not None:
                self._wallet = self._open_wallet()
            return self._wallet
