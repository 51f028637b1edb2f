"""Scenes: the rare histories against which one part of a rule stands alone.

Each is a shortest losing history, of `tests/core/test_collect_model.py` or of a rule left out,
played by a client on real gateways while a real crawler works; when, where and how long each step
takes is drawn.

    a crawl that began too early     S3 alone takes a write after a crawl has passed its page
    no ack window                    the same, later: the crawl began when it should
    equal, though not mended         no crawl gives that write to KVSP, and the floor passes it
    removed without comparing        a key that a crawl saw dead is written before it is removed
    not pinned at restart            a machine begins anew, and the home that lacks its write is
                                     the quicker one to answer
    doubtful answers forgotten       a machine has read what one home alone has, and then that
                                     home does not answer
    unversioned negative cache       a miss is told after the machine has written the name
    the time of a beginning          a session comes to a worker that has just begun
    restored, but not renewed        a key that was deleted for good is read in the old copy
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from tandem.core.key import Key
from tandem.core.reply import Side
from tests.sim.clients import NAMESPACES, Client
from tests.sim.faults import Fault
from tests.sim.host import Host
from tests.sim.plan_scenes import (
    Doubt,
    Entrance,
    FirstWrite,
    LoneWrite,
    Restart,
    Revisit,
    Rewrite,
    Scene,
)
from tests.sim.worker import Worker

if TYPE_CHECKING:
    from tests.sim.universe import Universe

_DOWN_S: Final = 0.01
_TRY_EACH_S: Final = 0.02
"""How often a client looks whether a worker serves."""
_SERVES_MAX_S: Final = 30.0
"""It goes away when none has served by then."""
_READS: Final = 12
_READ_EACH_S: Final = 0.1
_BETWEEN_S: Final = 0.01


class Scenes:
    """Plays those of one universe."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe

    def begin(self, scenes: Sequence[Scene]) -> list["asyncio.Task[None]"]:
        """All of them, each at its time. Their names are nobody else's."""
        loop = self._universe.loop
        return [loop.create_task(self._play(n, scene)) for n, scene in enumerate(scenes)]

    async def _play(self, number: int, scene: Scene) -> None:
        random = Random(self._universe.random.getrandbits(64))
        await asyncio.sleep(scene.at_s)
        match scene:
            case LoneWrite():
                await self._lone_write(self._client(number, random), f"above{number}", scene)
            case Rewrite():
                await self._rewrite(self._client(number, random), _key(f"again{number}"), scene)
            case Restart():
                await self._restart(self._client(number, random), _key(f"owed{number}"), scene)
            case Doubt():
                client = self._client(number, random, roams=False)
                await self._doubt(client, _key(f"doubt{number}"), scene)
            case FirstWrite():
                client = self._client(number, random, roams=False)
                await self._first_write(client, _key(f"first{number}"), scene)
            case Entrance():
                client = self._client(number, random, roams=True)
                await self._entrance(client, _key(f"enter{number}"), scene)
            case Revisit():
                await self._revisit(self._client(number, random), _key(f"gone{number}"), scene)

    def _client(self, number: int, random: Random, roams: bool | None = None) -> Client:
        return Client(f"s{number}", self._universe, random, self._universe.plan, roams=roams)

    async def _lone_write(self, client: Client, name: str, scene: LoneWrite) -> None:
        """Its names come before all others: a crawl that has passed them has more to do."""
        universe = self._universe
        lone = _key(f"{name}a")
        universe.weather[Side.KVSP].fates["put", _place(lone)] = Fault.LOST
        universe.weather[Side.S3].fates["put", _place(lone)] = scene.leg_s
        writing = universe.loop.create_task(self._write(client, scene.host, [lone], put=True))
        universe.loop.call_later(scene.crawler_after_s, self._stop_crawler, lone, scene.for_s)
        if scene.disk_after_s is not None:
            universe.loop.call_later(scene.disk_after_s, universe.disasters.lose_disk, scene.host)
        await asyncio.sleep(scene.deletes_after_s)
        others = [_key(f"{name}{letter}") for letter in "bc"]
        await self._write(client, scene.host, others, put=False)
        await writing

    def _stop_crawler(self, past: Key, for_s: float) -> None:
        crawler = self._universe.crawlers[0]
        if crawler.runs and not self._universe.is_calm:
            crawler.stop_past(past, for_s)

    async def _rewrite(self, client: Client, key: Key, scene: Rewrite) -> None:
        await self._write(client, scene.host, [key], put=False)
        await asyncio.sleep(scene.again_after_s)
        await self._write(client, scene.host, [key], put=True)

    async def _restart(self, client: Client, key: Key, scene: Restart) -> None:
        host, weather = self._universe.hosts[scene.host], self._universe.weather
        await self._write(client, scene.host, [key], put=True)
        for verb in ("put", "heal"):
            weather[scene.lacks].fates[verb, _place(key)] = Fault.ERROR
        weather[scene.lacks.other].fates["get", _place(key)] = scene.slow_s
        await self._write(client, scene.host, [key], put=True)
        await asyncio.sleep(scene.dies_after_s)
        self._begins_anew(host)
        for _ in range(_READS):
            await self._look(client, host, key)
            await asyncio.sleep(_READ_EACH_S)
        self._mend(key)

    def _begins_anew(self, host: Host) -> None:
        if host.on and not self._universe.is_calm:
            host.crash()
            self._universe.machines[host.name].forget_reads()
            self._universe.loop.call_later(_DOWN_S, host.boot)

    async def _doubt(self, client: Client, key: Key, scene: Doubt) -> None:
        hosts, weather = self._universe.hosts, self._universe.weather
        for verb in ("put", "heal"):
            weather[scene.lacks].fates[verb, _place(key)] = Fault.ERROR
        await self._write(client, (scene.host + 1) % len(hosts), [key], put=True)
        await self._look(client, hosts[scene.host], key)
        fault = Fault.LOST if scene.hangs else Fault.ERROR
        weather[scene.lacks.other].fates["get", _place(key)] = fault
        await self._look(client, hosts[scene.host], key)
        self._mend(key)

    async def _first_write(self, client: Client, key: Key, scene: FirstWrite) -> None:
        host = self._universe.hosts[scene.host]
        for weather in self._universe.weather.values():
            weather.fates["get", _place(key)] = scene.read_s
            weather.fates["put", _place(key)] = 2 * scene.read_s
        reading = self._universe.loop.create_task(self._look(client, host, key))
        await asyncio.sleep(scene.writes_after_s)
        await self._write(client, scene.host, [key], put=True)
        await reading
        await self._look(client, host, key, past_cache=False)
        self._mend(key)

    def _mend(self, key: Key) -> None:
        for weather in self._universe.weather.values():
            for verb in ("put", "heal", "get"):
                weather.fates.pop((verb, _place(key)), None)

    async def _entrance(self, client: Client, key: Key, scene: Entrance) -> None:
        host = self._universe.hosts[scene.host]
        if not self._universe.is_calm:
            host.kill(0)
        if await self._serving(host) is None:
            return
        for _ in range(scene.writes):
            await self._write(client, (scene.host + 1) % len(self._universe.hosts), [key], put=True)
            await self._write(client, scene.host, [key], put=True)
            await asyncio.sleep(_BETWEEN_S)

    async def _revisit(self, client: Client, key: Key, scene: Revisit) -> None:
        loop, plan = self._universe.loop, self._universe.plan
        await self._write(client, scene.host, [key], put=True)
        await asyncio.sleep(scene.deletes_after_s)
        await self._write(client, scene.host, [key], put=False)
        await asyncio.sleep(max(0.0, scene.reads_at_s - loop.time()))
        while loop.time() < plan.storm_s:
            await self._look(client, self._universe.hosts[scene.host], key)
            await asyncio.sleep(scene.each_s)

    async def _look(self, client: Client, host: Host, key: Key, *, past_cache: bool = True) -> None:
        worker = await self._serving(host)
        if worker is not None:
            await client.look(worker, key, past_cache=past_cache)

    async def _serving(self, host: Host) -> Worker | None:
        """A worker that serves and is heard, once there is one."""
        until_s = self._universe.loop.time() + _SERVES_MAX_S
        while not host.living() or host.stands_still:
            if self._universe.loop.time() > until_s:
                return None
            await asyncio.sleep(_TRY_EACH_S)
        return host.living()[0]

    async def _write(self, client: Client, host: int, keys: Sequence[Key], *, put: bool) -> None:
        """Nothing where no worker serves just now."""
        living = self._universe.hosts[host].living()
        if living:
            await client.write(living[0], keys, put=put, lasting=True)


def _key(name: str) -> Key:
    return Key(NAMESPACES[0], name)


def _place(key: Key) -> str:
    return f"{key.namespace[0]}/{key.name}"
