"""What survives what: a machine's disk survives everything, its memory survives a worker.

A dead worker's objects stay behind in callbacks that are still to come. So whatever a worker holds
of the outside asks first whether the worker lives, and raises `Crashed` if not.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from kvgateway.homes.trust import Trust
from kvgateway.registry.form import NAMESPACES
from kvgateway.state.clock_bound import AHEAD_US, WAIT_MAX_US
from kvgateway.state.ports import Intent
from kvgateway.state.switches import Switches
from tandem.core.key import Key
from tandem.core.namespace import Namespace
from tandem.core.version import Version
from tests.kvgateway.registry.memory_copy import MemoryCopy
from tests.memory.journal import MemoryJournal
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.sim.history import Crashed

_CHANGES = frozenset({"add", "take", "done", "later", "park", "clear_dirty"})
"""What takes the queue's disk a moment."""


class Life:
    """Whether a worker lives."""

    def __init__(self) -> None:
        self.over = False

    def check(self) -> None:
        """Raises Crashed to code of a dead worker."""
        if self.over:
            raise Crashed


@dataclass(slots=True)
class Disk:
    """What a machine has on stable storage."""

    gateway_id: bytes
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    trust: Trust = field(default_factory=Trust)
    trust_text: str = ""
    """What `trust` was read from."""
    switches: Switches = field(default_factory=Switches)
    clock_bound_us: int = 0
    leftovers: list["Leftover"] = field(default_factory=list)
    namespaces: MemoryCopy[Namespace] = field(default_factory=lambda: MemoryCopy(NAMESPACES))
    """What its gateway has last known of them."""
    queue_writable: bool = True
    """While it is not, whatever would change the queue is refused, and nothing has changed."""

    async def exchange(self, mine: Trust, namespaces: frozenset[str] = frozenset()) -> None:
        """See `kvgateway.homes.keeper.TrustFile`."""
        mine.merge(self.trust)
        mine.settle(namespaces)
        text = mine.to_json()
        if text != self.trust_text:
            self.trust, self.trust_text = Trust.from_json(text), text

    async def enter(self, mine: Trust) -> None:
        """See `kvgateway.homes.keeper.TrustFile`."""
        await self.exchange(mine)

    def load(self) -> Switches:
        """See `kvgateway.homes.switchboard.SwitchStore`."""
        return self.switches

    def store(self, switches: Switches) -> Switches:
        """See `kvgateway.homes.switchboard.SwitchStore`."""
        self.switches = max(self.switches, switches, key=lambda each: each.epoch)
        return self.switches

    def adopt(self, switches: Switches) -> None:
        """See `kvgateway.homes.switchboard.SwitchStore`."""
        self.switches = max(self.switches, switches, key=lambda each: each.rank)

    def check_queue(self) -> None:
        """Raises OSError to whoever wants to change the queue on a full disk."""
        if not self.queue_writable:
            raise OSError("no space is left")

    def wait_us(self, now_us: int) -> int:
        """As `kvgateway.state.clock_bound` has it: how long a start waits."""
        wait_us = self.clock_bound_us - now_us
        return wait_us if 0 < wait_us <= WAIT_MAX_US else 0

    def begin_clock(self, now_us: int, new_id: Callable[[int], bytes]) -> int:
        """The same: a bound of a clock that was far ahead is dropped under a new id."""
        if now_us < self.clock_bound_us:
            self.gateway_id = new_id(len(self.gateway_id))
        self.clock_bound_us = now_us + AHEAD_US
        return self.clock_bound_us

    def extend_clock(self, now_us: int) -> int:
        """As `kvgateway.state.clock_bound` does it; the bound."""
        self.clock_bound_us = max(self.clock_bound_us, now_us + AHEAD_US)
        return self.clock_bound_us


@dataclass(slots=True)
class Leftover:
    """See `kvgateway.process.left_intents.Leftover`."""

    disk: Disk
    intents: Sequence[Intent]
    damaged: bool = False
    held: bool = False
    """By who recovers it."""

    def release(self) -> None:
        self.held = False

    async def drop(self) -> None:
        self.disk.leftovers = [one for one in self.disk.leftovers if one is not self]


class LivingMachine:
    """The machine's memory as one worker holds it."""

    def __init__(self, memory: MemoryMachine, life: Life) -> None:
        self._memory = memory
        self._life = life
        self.minted: Sequence[Version] = ()
        """By the last call."""

    def mint(self, wanted: Sequence[tuple[Key, Version]], now_us: int) -> list[Version]:
        self._life.check()
        self.minted = versions = self._memory.mint(wanted, now_us)
        return versions

    def __getattr__(self, name: str) -> Any:
        self._life.check()
        return getattr(self._memory, name)


class LivingJournal:
    """A worker's journal."""

    def __init__(self, disk: MemoryJournal, life: Life) -> None:
        self._disk = disk
        self._life = life

    def __getattr__(self, name: str) -> Any:
        self._life.check()
        return getattr(self._disk, name)


class SupervisorsQueue:
    """The machine's queue as its supervisor holds it, for whom nothing takes a moment."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in _CHANGES:
            self._disk.check_queue()
        call: Callable[..., Any] = getattr(self._disk.queue, name)
        return call


class LivingQueue:
    """The machine's queue as one worker holds it."""

    def __init__(self, disk: Disk, life: Life, random: Random, slowest_s: float) -> None:
        self._disk = disk
        self._life = life
        self._random = random
        self._slowest_s = slowest_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            self._life.check()
            if name in _CHANGES:
                await asyncio.sleep(self._random.uniform(0.0002, self._slowest_s))
                self._life.check()
                self._disk.check_queue()
            return await getattr(self._disk.queue, name)(*arguments, **named)

        return call
