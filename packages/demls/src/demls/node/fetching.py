"""How does the node get a key package from a contact's node? It asks, and waits for a while."""

from __future__ import annotations

import asyncio

from demls.node.clock import now
from demls.node.core import FetchingMachine
from demls.node.errors import Refused
from demls.node.routing import Router, Subscribed
from demls.protocol.effects import Effects
from demls.transport.base import Delivery, EnvelopeRefused, Transport

WAIT_SECONDS = 20.0


class Fetch:
    """One question to one contact. Nothing of it is kept: whoever asked asks again after a crash."""

    def __init__(self, machine: FetchingMachine, router: Router, transport: Transport) -> None:
        self._machine = machine
        self._transport = transport
        self._subscribed = Subscribed(router, self)
        self._answered = asyncio.Event()
        self._effects = Effects()

    async def key_package(self, effects: Effects, *, who: str, seconds: float = WAIT_SECONDS) -> bytes:
        """``effects``: of the machine's making. Raises Refused if no answer comes."""
        try:
            async with asyncio.timeout(seconds):
                await self._carry_out(effects)
                while self._machine.key_package is None:
                    await self._next()
        except (TimeoutError, EnvelopeRefused):
            raise Refused(
                f"The node of {who} does not answer. It has to be running and connected to the same relay; "
                "try again when it is, or send an invite link instead.",
                "no-answer",
            ) from None
        finally:
            self._subscribed.stop()
        return self._machine.key_package

    async def offer(self, delivery: Delivery) -> None:
        if self._machine.key_package is None:
            effects = self._machine.receive(delivery.topic, delivery.payload, now())
            self._effects = Effects(outbound=self._effects.outbound + effects.outbound, deadline=effects.deadline)
            self._answered.set()

    async def _next(self) -> None:
        deadline = self._effects.deadline
        try:
            async with asyncio.timeout(None if deadline is None else max(0.01, (deadline - now()) / 1000)):
                await self._answered.wait()
        except TimeoutError:
            self._effects = self._machine.tick(now())
        self._answered.clear()
        await self._carry_out(self._effects)

    async def _carry_out(self, effects: Effects) -> None:
        self._subscribed.follow(self._machine.topics(), {})
        self._effects = Effects(deadline=effects.deadline)
        for envelope in effects.outbound:
            await self._transport.publish(envelope.topic, envelope.payload)
