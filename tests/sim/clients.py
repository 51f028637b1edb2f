"""Clients: each has its habits, keeps at it through the storm, and tells the oracles what it sees.

A client without a token stays with one machine, whose own promises protect it. One with a token
roams between machines, and carries the versions that it knows.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

from tandem.core.key import Key
from tandem.core.record import Kind
from tandem.core.request import Delete, Listing, Put, Read, Write, Written
from tandem.core.version import NO_VERSION, Version
from tandem.errors import TandemError
from tests.sim.history import ConnectionLost
from tests.sim.host import Host
from tests.sim.loop import VirtualLoop
from tests.sim.oracles import Operation, Oracles, Writing, value_of
from tests.sim.plan import Plan
from tests.sim.scope import Scope
from tests.sim.worker import POLICIES, Worker

PATIENCE_S: Final = 600.0
"""Whatever takes longer than this hangs."""
NAMESPACES: Final = tuple(POLICIES)
STILL_S: Final = 0.05
"""How often a client tries a machine that stands still."""
RECONNECT_S: Final = 0.1
"""How often it looks for a worker while there is none."""
QUICK_S: Final = 0.002
"""Between two operations of one breath."""


class Surroundings(Protocol):
    """What a client finds in its universe."""

    loop: VirtualLoop
    oracles: Oracles
    hosts: list[Host]
    machines: dict[str, Scope]

    def read_may_fail(self, worker: Worker, read: Read) -> bool:
        """Whether the design allows that this read fails, as things stand now."""
        ...

    def write_may_fail(self, worker: Worker, write: Write) -> bool:
        """The same for a write."""
        ...

    def list_may_fail(self, worker: Worker, namespace: str) -> bool:
        """The same for a listing."""
        ...

    def loss_is_unnoticed(self, worker: Worker, namespace: str, since_s: float) -> bool:
        """Whether a home was emptied since then, or before and this worker does not know it yet."""
        ...


class Client:
    """One client; `run` is its life."""

    def __init__(
        self, name: str, universe: Surroundings, random: Random, plan: Plan,
        *, roams: bool | None = None,
    ) -> None:  # fmt: skip
        """Whether it roams, with a token, is drawn unless it is told."""
        self._name = name
        self._universe = universe
        self._random = random
        self._plan = plan
        drawn = random.random() < 0.6
        self._token = Scope(name, demands=True) if (drawn if roams is None else roams) else None
        self._home = random.choice(list(universe.hosts))
        self._haste = random.choice([0.0, 0.5, 0.8, 0.95])
        self._walks_off = random.random() < 0.2
        self._weights = [random.random() ** 2 + 0.05 for _ in range(4)]
        self._last = Key(NAMESPACES[0], "hot0")

    async def run(self) -> None:
        """As many operations as were planned, one after another."""
        think_s = self._plan.think_s
        for _ in range(self._plan.operations):
            quick = self._random.random() < self._haste
            await asyncio.sleep(self._random.expovariate(1 / (QUICK_S if quick else think_s)))
            worker = self._worker()
            if worker is None:
                await self._read(await self._reconnected())
            elif await self._is_heard(worker):
                await self._operate(worker)

    async def _is_heard(self, worker: Worker) -> bool:
        """Waits while its machine stands still; False when it does not outlive that."""
        while worker.host.stands_still:
            await asyncio.sleep(STILL_S)
        return worker in worker.host.living()

    async def _reconnected(self) -> Worker:
        while (worker := self._worker()) is None or worker.host.stands_still:
            await asyncio.sleep(RECONNECT_S)
        return worker

    def _worker(self) -> Worker | None:
        host = self._home
        if self._token is not None and self._random.random() < 0.7:
            host = self._random.choice(list(self._universe.hosts))
        living = host.living()
        return self._random.choice(list(living)) if living else None

    def _scopes(self, worker: Worker) -> list[Scope]:
        machine = self._universe.machines[worker.host.name]
        return [machine] if self._token is None else [machine, self._token]

    def _key(self) -> Key:
        if self._random.random() < 0.4:
            return self._last
        namespace = NAMESPACES[self._random.random() < 0.1]
        if self._random.random() < 0.93:
            passed = len(self._universe.oracles.operations) // self._plan.writes_a_name
            number = passed + self._random.randrange(self._plan.hot_names)
            self._last = Key(namespace, f"hot{number}")
            return self._last
        return Key(namespace, f"cold{self._random.randrange(40)}")

    async def _operate(self, worker: Worker) -> None:
        what = self._random.choices(("read", "put", "delete", "list"), self._weights)[0]
        try:
            async with asyncio.timeout(PATIENCE_S):
                match what:
                    case "read":
                        await self._read(worker)
                    case "list":
                        await self._list(worker)
                    case kind:
                        await self._write(worker, kind == "put")
        except TimeoutError:
            self._universe.oracles.fail(f"{self._name}: a {what} at {worker.name} hangs")

    async def _read(self, worker: Worker) -> None:
        keys = [self._key() for _ in range(self._random.choice([1, 1, 1, 4]))]
        await self._look(worker, [self._read_of(key) for key in keys], stays=not self._walks_off)

    async def look(self, worker: Worker, key: Key, *, past_cache: bool) -> None:
        """Reads this key, and tells the oracles what it finds."""
        read = Read(key, self._wanted(key), 0 if past_cache else None)
        await self._look(worker, [read], stays=True)

    async def _look(self, worker: Worker, reads: Sequence[Read], *, stays: bool) -> None:
        scopes = self._scopes(worker)
        readings = [self._universe.oracles.reading(read.key, scopes) for read in reads]
        excused = [self._universe.read_may_fail(worker, read) for read in reads]
        answers = worker.read(reads)
        if not stays and self._random.random() < 0.3:
            await asyncio.sleep(self._random.expovariate(1 / 0.003))
            return
        for n, answer in enumerate(answers):
            try:
                result = await answer
            except TandemError as error:
                if not excused[n] and not self._universe.read_may_fail(worker, reads[n]):
                    self._failed(worker, f"cannot read {reads[n].key.name}: {error}")
            except ConnectionLost:
                pass
            else:
                self._universe.oracles.read(readings[n], result)

    def _failed(self, worker: Worker, what: str) -> None:
        self._universe.oracles.fail(f"{worker.name} {what}")

    def _read_of(self, key: Key) -> Read:
        past_cache = self._random.random() < self._plan.past_cache
        return Read(key, self._wanted(key), 0 if past_cache else None)

    def _wanted(self, key: Key) -> Version:
        return NO_VERSION if self._token is None else self._token.floors.get(key, NO_VERSION)

    async def _write(self, worker: Worker, put: bool) -> None:
        keys = list(dict.fromkeys(self._key() for _ in range(self._random.choice([1, 1, 1, 3]))))
        await self.write(worker, keys, put=put)

    async def write(
        self, worker: Worker, keys: Sequence[Key], *, put: bool, lasting: bool = False
    ) -> None:
        """Puts or deletes these keys together, and tells the oracles what it hears of it; a value
        may expire, unless it is to be lasting."""
        oracles = self._universe.oracles
        operations = [self._operation(key, put, may_expire=not lasting) for key in keys]
        writes = [self._write_of(operation) for operation in operations]
        scopes = self._scopes(worker)
        excused = [self._universe.write_may_fail(worker, write) for write in writes]
        worker.machine.minted = ()
        answers = worker.write(writes)
        minted: Sequence[Version] = worker.machine.minted
        believed_us = worker.time.now_or_zero_us()
        writings = [
            oracles.stamped(operation, version, scopes, believed_us)
            for operation, version in zip(operations, minted, strict=bool(minted))
        ]
        if not writings:
            for operation in operations:
                operation.over = True
        for n, answer in enumerate(answers):
            writing = writings[n] if writings else None
            error = await self._heard(answer, operations[n], writing)
            excused[n] |= self._universe.write_may_fail(worker, writes[n])
            if error is not None and not excused[n]:
                self._failed(worker, f"cannot write {keys[n].name}: {error}")

    async def _heard(
        self, answer: "asyncio.Future[Written]", operation: Operation, writing: Writing | None
    ) -> TandemError | None:
        """Tells the oracles of a write's end; why it fails, if it does."""
        failure = None
        try:
            written = await answer
        except TandemError as error:
            failure = error
        except ConnectionLost:
            pass
        else:
            assert writing is not None
            superseded = written.superseded_by is not None
            self._universe.oracles.acknowledged(writing, written.version, superseded=superseded)
        operation.over = True
        return failure

    def _operation(self, key: Key, put: bool, *, may_expire: bool) -> Operation:
        expires_at_s = 0
        if put and may_expire and self._random.random() < 0.2:
            expires_at_s = self._universe.loop.true_us() // 1_000_000 + self._random.randint(2, 60)
        kind = Kind.VALUE if put else Kind.TOMBSTONE
        return self._universe.oracles.operation(key, kind, expires_at_s)

    def _write_of(self, operation: Operation) -> Write:
        key = operation.key
        above = self._wanted(key)
        if operation.kind is Kind.TOMBSTONE:
            return Delete(key, above)
        return Put(key, value_of(operation), b"", operation.expires_at_s, above)

    async def _list(self, worker: Worker) -> None:
        oracles = self._universe.oracles
        namespace = NAMESPACES[self._random.random() < 0.15]
        machine = self._universe.machines[worker.host.name]
        after = self._random.choice(["", "", "cold2", "hot1"])
        listing = Listing(namespace, "", after, self._random.choice([1000, 1000, 2, 5]))
        before = oracles.surely(machine, namespace)
        excused = self._universe.list_may_fail(worker, namespace)
        asked_s = self._universe.loop.time()
        unnoticed = self._universe.loss_is_unnoticed(worker, namespace, asked_s)
        try:
            page = await worker.list(listing)
        except TandemError as error:
            if not excused and not self._universe.list_may_fail(worker, namespace):
                self._failed(worker, f"cannot list: {error}")
        except ConnectionLost:
            pass
        else:
            now = oracles.surely(machine, namespace)
            unnoticed |= self._universe.loss_is_unnoticed(worker, namespace, asked_s)
            oracles.listed(worker.name, machine, listing, page, before, now, unnoticed=unnoticed)
