"""Scenes: the rare histories against which one part of the rule of deleting for good stands alone.

Each is a shortest losing history of `tests/core/test_collect_model.py`, played by a client on real
gateways while a real crawler works; when, where and how long each step takes is drawn.

    a crawl that began too early     S3 alone takes a write after a crawl has passed its page
    no ack window                    the same, later: the crawl began when it should
    equal, though not mended         no crawl gives that write to KVSP, and the floor passes it
    removed without comparing        a key that a crawl saw dead is written before it is removed
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from tandem.core.key import Key
from tandem.core.reply import Side
from tests.sim.clients import NAMESPACES, Client
from tests.sim.faults import Fault
from tests.sim.plan import LoneWrite, Rewrite

if TYPE_CHECKING:
    from tests.sim.universe import Universe


class Scenes:
    """Plays those of one universe."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe

    def begin(self, scenes: Sequence[LoneWrite | Rewrite]) -> list["asyncio.Task[None]"]:
        """All of them, each at its time. Their names are nobody else's."""
        loop = self._universe.loop
        return [loop.create_task(self._play(n, scene)) for n, scene in enumerate(scenes)]

    async def _play(self, number: int, scene: LoneWrite | Rewrite) -> None:
        universe = self._universe
        random = Random(universe.random.getrandbits(64))
        client = Client(f"s{number}", universe, random, universe.plan)
        await asyncio.sleep(scene.at_s)
        match scene:
            case LoneWrite():
                await self._lone_write(client, f"above{number}", scene)
            case Rewrite():
                await self._rewrite(client, Key(NAMESPACES[0], f"again{number}"), scene)

    async def _lone_write(self, client: Client, name: str, scene: LoneWrite) -> None:
        """Its names come before all others: a crawl that has passed them has more to do."""
        universe = self._universe
        lone = Key(NAMESPACES[0], f"{name}a")
        place = f"{lone.namespace[0]}/{lone.name}"
        universe.weather[Side.KVSP].fates["put", place] = Fault.LOST
        universe.weather[Side.S3].fates["put", place] = scene.leg_s
        writing = universe.loop.create_task(self._write(client, scene.host, [lone], put=True))
        universe.loop.call_later(scene.crawler_after_s, self._stop_crawler, lone, scene.for_s)
        if scene.disk_after_s is not None:
            universe.loop.call_later(scene.disk_after_s, universe.disasters.lose_disk, scene.host)
        await asyncio.sleep(scene.deletes_after_s)
        others = [Key(NAMESPACES[0], f"{name}{letter}") for letter in "bc"]
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

    async def _write(self, client: Client, host: int, keys: Sequence[Key], *, put: bool) -> None:
        """Nothing where no worker serves just now."""
        living = self._universe.hosts[host].living()
        if living:
            await client.write(living[0], keys, put=put, lasting=True)
