"""Namespaces that are made, used and deleted all the time, under few titles, in virtual time.

Three processes, as in `stepping`, over homes that are slow, fail before or after they apply a
write, and apply some long after they were given up. Each process makes a namespace under a title,
writes to whatever it knows under the title, and deletes it; the crawler's part ends what was
deleted once the grace is over. What is judged: a namespace shows nothing but what was written under
its own id, one that was deleted long ago is known to no process, and in the end neither home holds
anything of one, both have every write that was acknowledged in the others, and all processes agree
on whose a title is.
"""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from random import Random
from typing import Final
from unittest.mock import patch

from crawler import deleted
from crawler.board import Board
from crawler.book import Book
from crawler.crawl import Crawl
from crawler.deleted import DeletedNamespaces
from crawler.pace import Pace
from crawler.registry import registered
from tandem.backends.port import Backend, Heal
from tandem.core.collect import CollectRule
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.record import Record
from tandem.core.reply import Found, Side, WriteReply
from tandem.core.request import Delete, Put, Read
from tandem.core.version import NO_VERSION, Version
from tandem.errors import NamespaceNotFound, TandemError
from tests.memory.home import MemoryHome
from tests.sim import loop as virtual
from tests.sim.crawlers import IN_MEMORY
from tests.sim.loop import SeededEntropy, VirtualClock, VirtualLoop
from tests.sim.plan_crawl import LIFE_IN_MEMORY_S
from tests.sim.stepping import BROKEN, CRAWL, Process, ShakyHome, Wrongs

TITLES: Final = ("one", "two", "three")
NAMES: Final = 12
STORM_S: Final = 500.0
KNOWN_S: Final = 60.0
"""By then every process knows of a deletion, whatever failed meanwhile."""
LATE_S: Final = 80.0
"""A request that was given up arrives up to so long after."""
RULE: Final = CollectRule(tombstone_grace_s=LIFE_IN_MEMORY_S + 1, request_life_s=LIFE_IN_MEMORY_S)
END_EACH_S: Final = 20.0
AGAIN_S: Final = 60.0
"""So long after it ended one the crawler's part looks again: a day, in production."""


class LateHome(ShakyHome):
    """A process's way to a home, on which some requests are given up and arrive all the same."""

    async def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> WriteReply:
        weather = self._weather
        if not weather.strikes():
            return await super().put_if_newer(key, record, deadline_s, heal)
        at_s = weather.loop.time() + weather.random.uniform(0.0, LATE_S)
        weather.loop.call_at(at_s, self._arrives, key, record, heal)
        return BROKEN

    def _arrives(self, key: Key, record: Record, heal: Heal | None) -> None:
        self._memory.put_if_newer(key, record, 1.0, heal)


class Endings:
    """The whole, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.loop: VirtualLoop = virtual.current()
        self._clock = VirtualClock(self.loop)
        self.memories = {side: MemoryHome(side, self._clock) for side in Side}
        self.processes = [Process(n, self.memories, self.random, way=LateHome) for n in range(3)]
        self.wrong = Wrongs()
        self.acked: dict[Key, Version] = {}
        self.made: set[str] = set()
        self.deleted_s: dict[str, float] = {}
        """When a process was told that the namespace is deleted."""
        self.stormy = True

    async def run(self) -> None:
        """A storm of beginnings and ends, then calm until the last grace is over."""
        await asyncio.sleep(2.0)
        works = [self._client(process) for process in self.processes]
        works += [self._owner(process) for process in self.processes]
        tasks = [self.loop.create_task(work) for work in (*works, self._weather())]
        end = self.loop.create_task(self._end())
        end.add_done_callback(self.loop.must_not_fail)
        await asyncio.sleep(STORM_S)
        self.stormy = False
        for task in tasks:
            await task
        for process in self.processes:
            process.weather.fails = 0.0
        await asyncio.sleep(LATE_S + RULE.tombstone_grace_s + 2 * (AGAIN_S + END_EACH_S))
        await self._crawl()
        await self._last_look()

    async def _weather(self) -> None:
        """Each process has its own faults, for a while."""
        while self.stormy:
            await asyncio.sleep(self.random.uniform(3.0, 20.0))
            weather = self.random.choice(self.processes).weather
            weather.fails = self.random.choice([0.0, 0.02, 0.1])

    async def _owner(self, process: Process) -> None:
        """Makes a namespace where a title is free, and ends it some time later."""
        while self.stormy:
            await asyncio.sleep(self.random.expovariate(1 / 20.0))
            title = self.random.choice(TITLES)
            try:
                found = await process.namespaces.find(title)
            except NamespaceNotFound:
                await self._make(process, title)
            except TandemError:
                continue
            else:
                await self._delete(process, found)

    async def _make(self, process: Process, title: str) -> None:
        try:
            made = await process.namespaces.create(title, SettingsChange())
        except TandemError:
            return
        if made.id in self.made:
            self.wrong.append(f"{self.loop.time():.2f} the id {made.id} is used again")
        self.made.add(made.id)

    async def _delete(self, process: Process, namespace: Namespace) -> None:
        try:
            await process.namespaces.delete(namespace.id)
        except TandemError:
            return
        self.deleted_s.setdefault(namespace.id, self.loop.time())

    async def _client(self, process: Process) -> None:
        while self.stormy:
            await asyncio.sleep(self.random.uniform(0.05, 1.0))
            try:
                await self._use(process, await self._found(process))
            except TandemError:
                continue

    async def _found(self, process: Process) -> Namespace:
        """By its title, or as one who has kept its id."""
        if self.made and self.random.random() < 0.3:
            asked_s, id_ = self.loop.time(), self.random.choice(sorted(self.made))
            found = await process.registry.resolve(id_)
            if self.deleted_s.get(id_, asked_s) < asked_s - KNOWN_S:
                self.wrong.append(f"{asked_s:.2f} {process.presence.id} still knows {id_}")
            return found
        return await process.namespaces.find(self.random.choice(TITLES))

    async def _use(self, process: Process, namespace: Namespace) -> None:
        key = Key(namespace.id, f"k{self.random.randrange(NAMES)}")
        if self.random.random() < 0.5:
            await self._write(process, key)
        else:
            await self._read(process, key)

    async def _write(self, process: Process, key: Key) -> None:
        puts = self.random.random() < 0.8
        write = Put(key, key.namespace.encode()) if puts else Delete(key)
        [answer] = process.writer.write([write])
        version = (await answer).version
        self.acked[key] = max(version, self.acked.get(key, NO_VERSION))

    async def _read(self, process: Process, key: Key) -> None:
        [answer] = process.reader.read([Read(key, cache_ttl_s=0)])
        if isinstance(answer, TandemError):
            raise answer
        result = await answer if isinstance(answer, asyncio.Future) else answer
        if result.record is not None and result.record.value != key.namespace.encode():
            self.wrong.append(f"{self.loop.time():.2f} {key} shows {result.record.value!r}")

    async def _end(self) -> None:
        """As the crawler's rounds do it, in both homes directly."""
        rows, objects = self.memories[Side.KVSP], self.memories[Side.S3]
        with closing(Book(IN_MEMORY)) as book:
            ends = DeletedNamespaces(
                rows=rows, objects=objects, rule=RULE, share=1.0, book=book,
                board=Board(book, SeededEntropy(Random(1))), pace=Pace(), clock=self._clock,
            )  # fmt: skip
            while True:
                await asyncio.sleep(END_EACH_S)
                found = await registered(self.memories, 1.0)
                await ends.end(found.deleted, len(found.kept), _nothing_against_it)

    async def _crawl(self) -> None:
        """The registry and every namespace that lives, as often as a crawler needs."""
        homes: Mapping[Side, Backend] = self.memories
        for _ in range(2):
            alive = (await registered(homes, 1.0)).kept
            for namespace in (SYSTEM_NAMESPACE, *alive):
                await Crawl(homes, namespace, CRAWL).run()
        await asyncio.sleep(20.0)

    async def _last_look(self) -> None:
        alive = set((await registered(self.memories, 1.0)).kept)
        for id_ in self.deleted_s:
            if id_ in alive:
                self.wrong.append(f"{id_} was deleted, and is there again")
        for side, memory in self.memories.items():
            for namespace in sorted((self.made | set(self.deleted_s)) - alive):
                left = memory._namespace(namespace).records
                if left:
                    self.wrong.append(f"{side.value} still holds {sorted(left)} of {namespace}")
            for key, version in self.acked.items():
                reply = await memory.get(key, 1.0)
                held = reply.record.version if isinstance(reply, Found) else NO_VERSION
                if key.namespace in alive and held < version:
                    self.wrong.append(f"LOST: {side.value} holds {key} at {held}: {version}")
        books = [
            sorted((one.id, one.title, one.title_conflict) for one in process.registry.book.live())
            for process in self.processes
        ]
        if any(book != books[0] for book in books):
            self.wrong.append(f"the processes do not agree: {books}")
        titles = [title for _, title, conflict in books[0] if not conflict]
        if len(titles) != len(set(titles)):
            self.wrong.append(f"two namespaces have one title: {books[0]}")


async def _nothing_against_it() -> str:
    return ""


def ended(seed: int, *, until_broken: bool = False) -> Endings:
    """What came of a seed; up to the first wrong, if that is enough."""

    async def main() -> Endings:
        endings = Endings(seed)
        await endings.wrong.judging(endings.run(), until_broken=until_broken)
        return endings

    with patch.multiple(deleted, AGAIN_US=int(AGAIN_S * 1e6), RETRY_US=int(AGAIN_S * 1e6)):
        return virtual.run(main())
