"""This process's registration: that it serves, which modes it goes by, and until when it may.

The registration is a lease. A step from mode to mode waits for every process that is registered, so
a process may go by the modes in its copy of the registry only while its lease lasts: LEASE_US after
it last began to read all of one home's registry, provided that a home has stored the registration
which says so. The lease runs out only when neither home can be reached; should they answer again
before it is renewed, the process treats the mode of every namespace as unknown
(`kvgateway.data_path.view`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.settled_modes import SettledModes
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust import Trust
from kvgateway.registry.namespaces import Registry
from kvgateway.state.ports import Machine, RepairQueue
from tandem.backends.port import Backend
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.registration import (
    ALL,
    GONE_US,
    LEASE_US,
    MODES_MAX,
    Registration,
    SeenMode,
    encode_registration,
)
from tandem.core.reply import Side, Stored
from tandem.core.version import NO_VERSION
from tandem.errors import TandemError, Unavailable
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG = logs.get("presence")
PREFIX: Final = "gateway/"
LOOK_S: Final = 1.0
RENEW_US: Final = 5_000_000
PUT_DEADLINE_S: Final = 3.0
STEP_US: Final = 45_000_000
"""So long after its beginning a step has been taken, or nothing can come of it any more: legs end
30 s after their version."""


class Presence:
    """Keeps the registration of this process up to date; `run` is its one task."""

    def __init__(
        self,
        *,
        process: str,
        homes: Mapping[Side, Backend],
        machine: Machine,
        time: HomeTime,
        clock: Clock,
        registry: Registry,
        modes: SettledModes,
        inbox: RepairInbox,
        queue: RepairQueue,
        trust: Trust,
    ) -> None:
        """`process` is the id of its gateway and the number of its seat."""
        self.id = process
        self.key = Key(IDENTITY_NAMESPACE, PREFIX + process)
        self._homes = homes
        self._machine = machine
        self._time = time
        self._clock = clock
        self._registry = registry
        self._modes = modes
        self._inbox = inbox
        self._queue = queue
        self._trust = trust
        self._steps: dict[str, int] = {}
        self._stands_until_us = 0
        self._renewed_us = -RENEW_US
        self._told: Mapping[str, tuple[int, bool]] = {}
        self._renewing = asyncio.Lock()
        self._left = False
        self._contested_until_us = 0
        self.said = NO_VERSION
        """The version of its last registration, whether or not a home has it."""
        self.errors = 0

    def stands(self) -> bool:
        """Whether this process may go by the modes that it has seen. For the hot path."""
        return self._clock.monotonic_us() < self._stands_until_us

    async def run(self) -> None:
        """Renews until cancelled: every few seconds, and at once when there is news."""
        while True:
            try:
                if self._is_due():
                    await self.renew()
            except TandemError as error:
                self.errors += 1
                _LOG.error("not_registered", why=str(error))
            except Exception as error:
                self.errors += 1
                _LOG.error("registration_broke", error=repr(error), exc_info=True)
            await asyncio.sleep(LOOK_S)

    def _is_due(self) -> bool:
        if self._clock.monotonic_us() - self._renewed_us >= RENEW_US:
            return True
        return _news(self._modes.seen(self._time.now_or_zero_us())) != self._told

    async def renew(self) -> Sequence[Side]:
        """Says anew what this process knows; the homes that have confirmed it."""
        async with self._renewing:
            now_us = self._time.now_or_none_us()
            looked_us = self._registry.looked_us
            if now_us is None or not looked_us:
                return ()
            age_us = self._clock.monotonic_us() - looked_us
            registration = await self._registration(now_us, now_us - age_us)
            if self._left:
                return ()
            confirmed = await self._put(registration)
            if confirmed and self._may_stand():
                self._stands_until_us = looked_us + LEASE_US
                self._renewed_us = self._clock.monotonic_us()
                self._told = _news(registration.modes)
            return confirmed

    async def leave(self) -> None:
        """Says that this process serves no longer, and nothing after that; nobody waits for it
        then."""
        self._left = True
        self._stands_until_us = 0
        try:
            await self._put(Registration(self.id, self._time.now_or_zero_us(), ended=True))
        except TandemError as error:
            _LOG.warning("not_unregistered", error=str(error))

    def _may_stand(self) -> bool:
        return not self._left and not self.is_contested

    @property
    def is_contested(self) -> bool:
        """Whether another process was lately seen to register under the same id."""
        return self._clock.monotonic_us() < self._contested_until_us

    def contest(self) -> None:
        """Another process registers under this id, so nobody can wait for both of them: neither may
        go by the modes that it has seen until nothing can come of the other one."""
        self._stands_until_us = 0
        self._contested_until_us = self._clock.monotonic_us() + GONE_US

    async def begin_step(self, namespace: str) -> Sequence[Side]:
        """Lets everyone know that a step is being taken here; the homes that have confirmed it.
        Unavailable while others would not know whose registration it is."""
        if self.is_contested:
            raise Unavailable(f"another gateway uses the id of this one: {self.id}")
        self._steps[namespace] = self._time.now_us() + STEP_US
        return await self.renew()

    def is_stepping(self, namespace: str) -> bool:
        """Whether a step that was begun here has not ended, and something can come of it still."""
        return self._steps.get(namespace, 0) > self._time.now_us()

    async def end_step(self, namespace: str) -> None:
        """The step has been taken, or was not begun."""
        self._steps.pop(namespace, None)
        await self.renew()

    async def _registration(self, now_us: int, looked_us: int) -> Registration:
        """Ended writes are looked at first and waiting repairs after them: a write that ends in
        between, and leaves a repair, shows as one or the other. Either home may lack what dead
        workers have left."""
        modes = self._modes.seen(now_us)
        left_over = self._machine.left_over()
        waiting = {side: left_over + self._inbox.lacks(side) for side in Side}
        stats = await self._queue.stats()
        waiting[Side.KVSP] += stats.depth_kvsp
        waiting[Side.S3] += stats.depth_s3
        self._steps = {n: until_us for n, until_us in self._steps.items() if until_us > now_us}
        return Registration(
            id=self.id,
            looked_us=looked_us,
            behind={side: self._behind(side) for side in Side},
            waiting=waiting,
            modes=modes,
            steps=dict(self._steps),
        )

    def _behind(self, side: Side) -> frozenset[str]:
        marks = self._trust.open_marks(side)
        return frozenset(marks if len(marks) <= MODES_MAX else [ALL])

    async def _put(self, registration: Registration) -> Sequence[Side]:
        [self.said] = self._machine.mint([(self.key, NO_VERSION)], self._time.now_us())
        record = seal(self.said, encode_registration(registration))
        sides = list(self._homes)
        replies = await asyncio.gather(
            *(self._homes[side].put_if_newer(self.key, record, PUT_DEADLINE_S) for side in sides)
        )
        pairs = zip(sides, replies, strict=True)
        return [side for side, reply in pairs if isinstance(reply, Stored)]


def _news(modes: Mapping[str, SeenMode]) -> Mapping[str, tuple[int, bool]]:
    """What others wait for."""
    return {name: (seen.epoch, bool(seen.since_us)) for name, seen in modes.items()}
