"""A load that records what it asked and was answered, and the check of that record.

All clients run in one event loop, so the order of the record's steps is the order in real time.
Every value is written once only, so a value tells which write it comes from.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from random import Random

from tandem import Client
from tandem.core.version import NO_VERSION, Version
from tandem.errors import TandemError, Unavailable
from tests.e2e.waiting import WITHIN_S


class Kind(Enum):
    GET = "get"
    PUT = "put"
    DELETE = "delete"


class Outcome(Enum):
    ANSWERED = "answered"
    AMBIGUOUS = "ambiguous"
    """A write that ended without a word on whether it happened, or that had not ended."""
    FAILED = "failed"
    """A read without an answer, or a write that was refused before it began."""


@dataclass(slots=True)
class Event:
    """One operation; steps count invocations and completions of the whole history."""

    client: int
    kind: Kind
    key: str
    digest: bytes
    """Of the value written, or read; empty for none."""
    invoked: int
    completed: int = 0
    """0 while it is under way."""
    version: Version = NO_VERSION
    outcome: Outcome = Outcome.AMBIGUOUS
    error: str = ""


@dataclass(slots=True)
class History:
    """Everything that was asked and answered, in order of invocation."""

    events: list[Event] = field(default_factory=list)
    steps: int = 0
    answered: int = 0

    def begin(self, client: int, kind: Kind, key: str, value: bytes = b"") -> Event:
        self.steps += 1
        event = Event(client, kind, key, digest_of(value) if value else b"", self.steps)
        self.events.append(event)
        return event

    def end(self, event: Event, outcome: Outcome, version: Version = NO_VERSION) -> None:
        self.steps += 1
        event.completed, event.outcome, event.version = self.steps, outcome, version
        self.answered += outcome is Outcome.ANSWERED

    def errors(self) -> list[str]:
        """What was not answered, though it had to be."""
        return [f"{e.kind.value} {e.key}: {e.error}" for e in self.events if e.error]

    def acknowledged(self) -> dict[str, Event]:
        """The newest acknowledged write of each key."""
        newest: dict[str, Event] = {}
        for event in self.events:
            if event.kind is not Kind.GET and event.outcome is Outcome.ANSWERED:
                known = newest.get(event.key)
                if known is None or event.version > known.version:
                    newest[event.key] = event
        return newest


def digest_of(value: bytes) -> bytes:
    return blake2b(value, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Mix:
    """What the clients do."""

    keys: int = 200
    clients: int = 4
    tasks: int = 8
    """Concurrent callers in each client."""
    deletes: float = 0.1
    puts: float = 0.45
    value_bytes: int = 300
    large_bytes: int = 300_000
    large: float = 0.003
    sessions: bool = True
    pause_s: float = 0.001
    seed: int = 1


class Load:
    """Clients that read, write and delete the keys of one namespace until they are told to stop."""

    def __init__(self, mix: Mix, history: History) -> None:
        self._mix = mix
        self._stop = asyncio.Event()
        self._values = 0
        self.history = history

    def stop(self) -> None:
        self._stop.set()

    async def run(self, address: str, namespace: str) -> None:
        """Runs until `stop`; no operation is under way when it returns."""
        async with AsyncExitStack() as stack:
            session_keys_max = 100_000 if self._mix.sessions else 0
            clients = [
                await stack.enter_async_context(
                    Client(address, namespace, session_keys_max=session_keys_max)
                )
                for _ in range(self._mix.clients)
            ]
            async with asyncio.TaskGroup() as group:
                for number in range(self._mix.clients * self._mix.tasks):
                    group.create_task(self._act(number, clients))

    async def _act(self, number: int, clients: Sequence[Client]) -> None:
        random = Random(f"{self._mix.seed}.{number}")
        while not self._stop.is_set():
            # Without sessions any connection, so any worker process, may be the next to be asked.
            chosen = number if self._mix.sessions else random.randrange(len(clients))
            await self._one(random, chosen % len(clients), clients[chosen % len(clients)])
            await asyncio.sleep(self._mix.pause_s)

    async def _one(self, random: Random, number: int, client: Client) -> None:
        key, chance = f"key-{random.randrange(self._mix.keys):05}", random.random()
        if chance < self._mix.deletes:
            event = self.history.begin(number, Kind.DELETE, key)
            await self._written(event, client.delete(key))
        elif chance < self._mix.deletes + self._mix.puts:
            value = self._value(random)
            event = self.history.begin(number, Kind.PUT, key, value)
            await self._written(event, client.put(key, value))
        else:
            await self._read(self.history.begin(number, Kind.GET, key), client)

    def _value(self, random: Random) -> bytes:
        self._values += 1
        large = random.random() < self._mix.large
        size = self._mix.large_bytes if large else self._mix.value_bytes
        return f"{self._mix.seed}-{self._values:09}-".encode().ljust(size, b"v")

    async def _written(self, event: Event, write: Coroutine[object, object, Version]) -> None:
        try:
            version = await write
        except Unavailable as error:
            event.error = str(error)
            self.history.end(event, Outcome.AMBIGUOUS)
        except TandemError as error:
            event.error = str(error)
            self.history.end(event, Outcome.FAILED)
        else:
            self.history.end(event, Outcome.ANSWERED, version)

    async def _read(self, event: Event, client: Client) -> None:
        try:
            entry = await client.get_with_metadata(event.key)
        except TandemError as error:
            event.error = str(error)
            self.history.end(event, Outcome.FAILED)
            return
        if entry is not None:
            event.digest = digest_of(entry.value)
        self.history.end(event, Outcome.ANSWERED, NO_VERSION if entry is None else entry.version)


@asynccontextmanager
async def under_load(address: str, namespace: str, mix: Mix) -> AsyncIterator[History]:
    """A history that grows while the block runs, and is complete after it."""
    load = Load(mix, History())
    running = asyncio.create_task(load.run(address, namespace))
    try:
        yield load.history
    finally:
        load.stop()
        await running


async def more(history: History, operations: int, within_s: float = WITHIN_S) -> None:
    """Returns when so many more operations were answered."""
    wanted = history.answered + operations
    async with asyncio.timeout(within_s):
        while history.answered < wanted:
            await asyncio.sleep(0.01)


def violations(history: History) -> list[str]:
    """Answers that no order of the acknowledged writes explains.

    On one machine a read is at or above every write that was acknowledged before it began, whoever
    made it (with sessions or without), and at or above what its client had read before. A write is
    above all that were acknowledged before it began.
    """
    by_key: defaultdict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        by_key[event.key].append(event)
    return [text for events in by_key.values() for text in _violations_of(events)]


def _violations_of(events: Sequence[Event]) -> Iterator[str]:
    acknowledged = NO_VERSION
    seen: defaultdict[int, Version] = defaultdict(lambda: NO_VERSION)
    floors: dict[int, Version] = {}
    puts: defaultdict[bytes, list[Event]] = defaultdict(list)
    for event in events:
        if event.kind is Kind.PUT:
            puts[event.digest].append(event)
    for step, event in _steps(events):
        if step == event.invoked:
            floors[step] = acknowledged
            if event.kind is Kind.GET:
                floors[step] = max(acknowledged, seen[event.client])
        elif event.outcome is Outcome.ANSWERED:
            yield from _judged(event, floors[event.invoked], events, puts[event.digest])
            if event.kind is Kind.GET:
                seen[event.client] = max(seen[event.client], event.version)
            else:
                acknowledged = max(acknowledged, event.version)


def _steps(events: Sequence[Event]) -> list[tuple[int, Event]]:
    steps = [(event.invoked, event) for event in events]
    steps += [(event.completed, event) for event in events if event.completed]
    return sorted(steps, key=lambda step: step[0])


def _judged(
    event: Event, floor: Version, events: Sequence[Event], puts: Sequence[Event]
) -> Iterator[str]:
    """`puts` are those of the value that it read."""
    what = f"{event.kind.value} of {event.key} by client {event.client} at step {event.invoked}"
    if event.kind is not Kind.GET:
        if event.version <= floor:
            yield f"{what}: its version {event.version} is not above {floor}"
    elif event.version == NO_VERSION:
        if floor != NO_VERSION and not any(_deletes(e, floor, event) for e in events):
            yield f"{what}: a miss, though {floor} was known"
    else:
        if event.version < floor:
            yield f"{what}: {event.version} is older than {floor}"
        if not any(_wrote(put, event.version, event.completed) for put in puts):
            yield f"{what}: nobody wrote {event.version} with this value"


def _deletes(write: Event, floor: Version, read: Event) -> bool:
    """Whether a deletion explains that a read found nothing though `floor` was known."""
    if write.kind is not Kind.DELETE or write.invoked > read.completed:
        return False
    return write.outcome is Outcome.AMBIGUOUS or write.version >= floor


def _wrote(put: Event, version: Version, before: int) -> bool:
    if put.invoked > before:
        return False
    return put.outcome is Outcome.AMBIGUOUS or put.version == version


@dataclass(frozen=True, slots=True)
class Held:
    """What a home holds under a key at the end; `digest` is empty for a tombstone."""

    version: Version
    digest: bytes


def losses(history: History, held: Mapping[str, Held]) -> list[str]:
    """Keys that do not hold what the history says that they hold.

    That is the newest acknowledged write, or a newer one whose outcome is not known. A deleted key
    that is back is one of these.
    """
    return [
        f"{key}: holds {held.get(key)}, acknowledged was {event.kind.value} {event.version}"
        for key, event in sorted(history.acknowledged().items())
        if not _kept(event, held.get(key), history)
    ]


def _kept(event: Event, held: Held | None, history: History) -> bool:
    if held is None or held.version < event.version:
        return False
    if held.version == event.version:
        return held.digest == event.digest
    return any(
        other.key == event.key
        and other.outcome is Outcome.AMBIGUOUS
        and other.kind is not Kind.GET
        and other.digest == held.digest
        for other in history.events
    )
