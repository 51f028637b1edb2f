"""Many callers on few keys: each waits for one answer, has it judged, and asks the next thing."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kvctl.adversary.checker import Checker
from kvctl.adversary.evidence import Evidence
from kvctl.adversary.operation import NOTHING, UNKNOWN, Kind, Operation, Outcome
from kvctl.adversary.tally import Tally
from tandem.client import Client
from tandem.core.version import NO_VERSION
from tandem.errors import TandemError, Unavailable
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy, SeededEntropy

PAUSE_AFTER_ERROR_S: Final = 0.02
_HEAD: Final = b"%020d-%08d-"
_NUMBER_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, how much of it, and by how many."""

    seed: str
    callers: int
    puts: float
    """Share of the operations; so is `deletes`. The rest are reads."""
    deletes: float
    value_bytes: int
    operations_max: int | None
    seconds_max: float | None
    sessions: bool
    """Whether a session goes from gateway to gateway; if not, each gateway is judged by itself."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Who sees what the run does: its judge, its evidence, its numbers."""

    checker: Checker
    evidence: Evidence
    tally: Tally


def value_of(number: int, key: int, size: int) -> bytes:
    """The value that the put of this number writes."""
    return (_HEAD % (number, key)).ljust(size, b"v")


def number_in(value: bytes) -> int:
    """The number of the put that wrote a value; NOTHING when it is none of ours."""
    digits = value[:_NUMBER_DIGITS]
    return int(digits) if digits.isdigit() else NOTHING


class Hammer:
    """Runs the callers; every connection is without a session of its own, which is kept here."""

    def __init__(
        self,
        connections: Sequence[Sequence[Client]],
        key_names: Sequence[str],
        plan: Plan,
        marks: Marks,
        clock: Clock,
        advanced: Callable[[Tally], None],
    ) -> None:
        """`connections` are those to each gateway, as many to each."""
        self._connections = connections
        self._key_names = key_names
        self._plan = plan
        self._marks = marks
        self._clock = clock
        self._advanced = advanced
        self._epoch_us = clock.now_us() - clock.monotonic_us()
        self._began = 0
        self._processes: dict[Client, int] = {}
        """Which worker process a connection leads to, until it fails."""
        self._end_us: float = float("inf")

    async def run(self) -> None:
        """Returns when the last answer is in."""
        began_us = self._clock.monotonic_us()
        if self._plan.seconds_max is not None:
            self._end_us = began_us + self._plan.seconds_max * 1e6
        await asyncio.gather(*(self._meet(one) for each in self._connections for one in each))
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._plan.callers):
                    group.create_task(self._call(number))
        finally:
            self._marks.tally.seconds = (self._clock.monotonic_us() - began_us) / 1e6

    async def _call(self, caller: int) -> None:
        entropy = SeededEntropy(f"{self._plan.seed}.{caller}")
        while not self._over():
            operation, client = self._next(entropy, caller)
            scope = operation.session if self._plan.sessions else operation.gateway
            self._marks.checker.begin(operation, scope)
            await self._ask(operation, client)
            operation.ended_us = self._now_us()
            self._judge(operation, scope)
            if operation.error:
                await asyncio.sleep(PAUSE_AFTER_ERROR_S)
                await self._meet(client)

    async def _meet(self, client: Client) -> None:
        """Learns which process a connection leads to; after an error it may be another one."""
        try:
            self._processes[client] = (await client.ops.status()).process
        except TandemError:
            self._processes[client] = UNKNOWN

    def _over(self) -> bool:
        most = self._plan.operations_max
        enough = most is not None and self._began >= most
        return enough or self._clock.monotonic_us() >= self._end_us

    def _next(self, entropy: Entropy, caller: int) -> tuple[Operation, Client]:
        """A session keeps its connection to each gateway; without sessions any will do, so that
        any worker process may be the next to be asked."""
        gateway = int(entropy.uniform(0, len(self._connections)))
        connections = self._connections[gateway % len(self._connections)]
        chosen = caller if self._plan.sessions else int(entropy.uniform(0, len(connections)))
        connection = chosen % len(connections)
        key = int(entropy.uniform(0, len(self._key_names))) % len(self._key_names)
        chance = entropy.uniform(0, 1)
        kind = Kind.GET
        if chance < self._plan.deletes:
            kind = Kind.DELETE
        elif chance < self._plan.deletes + self._plan.puts:
            kind = Kind.PUT
        self._began += 1
        operation = Operation(
            self._began, kind, key, gateway % len(self._connections), connection,
            connection if self._plan.sessions else NOTHING, self._now_us(),
            process=self._processes[connections[connection]],
        )  # fmt: skip
        return operation, connections[connection]

    async def _ask(self, operation: Operation, client: Client) -> None:
        try:
            if operation.kind is Kind.GET:
                await self._read(operation, client)
            else:
                await self._write(operation, client)
        except TandemError as error:
            operation.error = f"{operation.kind.value}: {type(error).__name__}"
            unknown = operation.kind is not Kind.GET and isinstance(error, Unavailable)
            operation.outcome = Outcome.AMBIGUOUS if unknown else Outcome.FAILED
        else:
            operation.outcome = Outcome.ANSWERED

    async def _read(self, read: Operation, client: Client) -> None:
        wanted = max(read.acknowledged, read.seen) if self._plan.sessions else None
        seen = await client.look(self._key_names[read.key], min_version=wanted)
        read.version = seen.version
        if seen.entry is not None:
            value = seen.entry.value
            read.content = number_in(value)
            read.intact = value == value_of(read.content, read.key, self._plan.value_bytes)
            self._marks.tally.value_bytes += len(value)

    async def _write(self, write: Operation, client: Client) -> None:
        name = self._key_names[write.key]
        above = max(write.acknowledged, write.seen) if self._plan.sessions else None
        above = None if above == NO_VERSION else above
        if write.kind is Kind.DELETE:
            write.version = await client.delete(name, above=above)
            return
        write.content = write.number
        value = value_of(write.number, write.key, self._plan.value_bytes)
        write.version = await client.put(name, value, above=above)
        self._marks.tally.value_bytes += len(value)

    def _judge(self, operation: Operation, scope: int) -> None:
        marks = self._marks
        violations = marks.checker.end(operation, scope)
        marks.tally.ended(operation)
        marks.tally.violated(violations)
        marks.evidence.ended(operation)
        for violation in violations:
            marks.evidence.keep(violation)
        self._advanced(marks.tally)

    def _now_us(self) -> int:
        return self._epoch_us + self._clock.monotonic_us()
