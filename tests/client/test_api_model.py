"""Any sequence of calls of the public API answers as a dictionary whose entries expire.

`tandem.Client` over gRPC, a gateway's data path with a real server, two homes, one clock for all of
them. Each home may fail for a while, as long as the other one does not.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kvgateway.access.body_room import BodyRoom
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.server import RpcServer
from tandem import Client
from tandem.client import Entry, Item, JsonText
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version
from tandem.errors import TandemError
from tandem.wire.codec import JsonValue
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.open_entrance import OpenCaller, OpenEntrance
from tests.kvgateway.rpc.memory_admin import MemoryOperations, MemoryRegistry
from tests.kvgateway.rpc.memory_store import MemoryStore
from tests.kvgateway.rpc.running import RecordingLog
from tests.kvgateway.served import Served

T = TypeVar("T")
NAMES = ["a", "a/", "a/b", "a/c", "b", "é", "\U0001f600", "~", "a" * 512]
names = st.sampled_from(NAMES)
some_names = st.lists(names, min_size=1, max_size=4, unique=True)
values = st.sampled_from([0, 1, 2, 100_000]).map(lambda size: b"\xff" * size)
metadata: st.SearchStrategy[JsonValue] = st.sampled_from(
    [None, {"a": [1, "é"]}, "text", 0, False, 1.5, []]
)
lives_s = st.none() | st.integers(60, 400)
prefixes = st.sampled_from(["", "a", "a/", "b", "é", "nothing", "a" * 512])


@dataclass(frozen=True)
class Held:
    """What the model holds under a name."""

    value: bytes
    metadata: JsonValue
    expires_at_s: int | None


class Store:
    """A server, its client and its clock, in one event loop of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.homes = TwoHomes()
        self.clock = self.homes.clock
        self.log = RecordingLog()
        self.run(self._start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(asyncio.wait_for(work, 30))

    async def _start(self) -> None:
        self.served = Served(self.homes)
        namespace = await self.served.created("n")
        entrance = OpenEntrance(MemoryStore(self.clock), MemoryRegistry(), MemoryOperations())
        entrance.caller = OpenCaller(
            self.served.door, self.served.namespaces, MemoryOperations(), self.served.tokens
        )
        self._server = RpcServer(
            entrance, self.clock, Failures(self.log), BodyRoom(), CallMemory(lambda: False)
        )
        port = await self._server.start("127.0.0.1:0")
        self.client = await Client(f"127.0.0.1:{port}", namespace.id).__aenter__()

    def advance(self, seconds: float) -> None:
        """Time passes, for the homes too; the gateway hears of it as from any reply."""
        self.clock.advance(seconds)
        for side in Side:
            self.served.gateway.time.observe(side, self.clock.now_us())

    @property
    def now_s(self) -> float:
        return self.clock.now_us() / 1e6

    def close(self) -> None:
        async def stop() -> None:
            await self.client.aclose()
            await self._server.stop(0)
            await self.served.gateway.writer.drained()

        self.run(stop())
        self._loop.close()


class LikeADictionary(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.store = Store()
        self.kv = self.store.client
        self.model: dict[str, Held] = {}
        self.versions: dict[str, Version] = {}

    def _live(self) -> dict[str, Held]:
        now_s = self.store.now_s
        return {
            name: held
            for name, held in self.model.items()
            if held.expires_at_s is None or now_s < held.expires_at_s
        }

    def _wrote(self, name: str, version: Version | TandemError) -> None:
        assert isinstance(version, Version)
        assert version > self.versions.get(name, NO_VERSION)
        self.versions[name] = version

    def _held(self, item: Item) -> Held:
        assert isinstance(item.value, bytes)
        assert not isinstance(item.metadata, JsonText)
        ends_s = None
        if item.ttl is not None:
            assert isinstance(item.ttl, int)
            ends_s = int(self.store.now_s) + item.ttl
        return Held(item.value, item.metadata, ends_s)

    def _is(self, name: str, entry: Entry | TandemError | None) -> None:
        held = self._live().get(name)
        if held is None:
            assert entry is None
            return
        assert isinstance(entry, Entry)
        assert entry.version == self.versions[name]
        assert Held(entry.value, entry.metadata, entry.expires_at_s) == held
        assert type(entry.metadata) is type(held.metadata)

    @rule(name=names, value=values, metadata=metadata, life_s=lives_s)
    def put(self, name: str, value: bytes, metadata: JsonValue, life_s: int | None) -> None:
        item = Item(value, metadata, ttl=life_s)
        held = self._held(item)
        self._wrote(name, self.store.run(self.kv.put(name, value, metadata=metadata, ttl=life_s)))
        self.model[name] = held

    @rule(name=names, ahead_s=st.integers(60, 400))
    def put_until(self, name: str, ahead_s: int) -> None:
        ends_s = int(self.store.now_s) + ahead_s + 1
        self._wrote(name, self.store.run(self.kv.put(name, b"until", expires_at=ends_s)))
        self.model[name] = Held(b"until", None, ends_s)

    @rule(name=names)
    def put_in_pieces(self, name: str) -> None:
        self._wrote(name, self.store.run(self.kv.put_stream(name, [b"one", b"", b"two"])))
        self.model[name] = Held(b"onetwo", None, None)

    @rule(name=names)
    def delete(self, name: str) -> None:
        self._wrote(name, self.store.run(self.kv.delete(name)))
        self.model.pop(name, None)

    @rule(name=names)
    def get(self, name: str) -> None:
        held = self._live().get(name)
        assert self.store.run(self.kv.get(name)) == (held.value if held else None)

    @rule(name=names)
    def get_with_metadata(self, name: str) -> None:
        self._is(name, self.store.run(self.kv.get_with_metadata(name)))

    @rule(name=names)
    def look(self, name: str) -> None:
        seen = self.store.run(self.kv.look(name))
        assert seen.version == self.versions.get(name, NO_VERSION)
        self._is(name, seen.entry)

    @rule(name=names)
    def get_in_pieces(self, name: str) -> None:
        async def read() -> bytes | None:
            entry = await self.kv.get_stream(name)
            return None if entry is None else b"".join([piece async for piece in entry])

        held = self._live().get(name)
        assert self.store.run(read()) == (held.value if held else None)

    @rule(items=st.dictionaries(names, st.tuples(values, metadata, lives_s), max_size=4))
    def put_many(self, items: dict[str, tuple[bytes, JsonValue, int | None]]) -> None:
        batch = {
            name: Item(value, about, ttl=life_s) for name, (value, about, life_s) in items.items()
        }
        held = {name: self._held(item) for name, item in batch.items()}
        for name, version in self.store.run(self.kv.put_many(batch)).items():
            self._wrote(name, version)
        self.model.update(held)

    @rule(wanted=some_names)
    def get_many(self, wanted: list[str]) -> None:
        found = self.store.run(self.kv.get_many(wanted))
        assert found.keys() == set(wanted)
        for name, entry in found.items():
            self._is(name, entry)

    @rule(gone=some_names)
    def delete_many(self, gone: list[str]) -> None:
        for name, version in self.store.run(self.kv.delete_many(gone)).items():
            self._wrote(name, version)
            self.model.pop(name, None)

    @rule(
        prefix=prefixes,
        page_size=st.integers(1, 4),
        limit=st.none() | st.integers(1, 5),
        after=st.just("") | names,
    )
    def list(self, prefix: str, page_size: int, limit: int | None, after: str) -> None:
        async def listed() -> list[tuple[str, JsonValue, int | None]]:
            pages = self.kv.list(prefix, after=after, page_size=page_size, limit=limit)
            return [(key.name, key.metadata, key.expires_at_s) async for key in pages]

        expected = [
            (name, held.metadata, held.expires_at_s)
            for name, held in sorted(self._live().items(), key=lambda one: one[0].encode())
            if name.startswith(prefix) and name.encode() > after.encode()
        ]
        assert self.store.run(listed()) == expected[:limit]

    @rule(seconds=st.sampled_from([0.4, 5, 59, 61, 300]))
    def time_passes(self, seconds: float) -> None:
        self.store.advance(seconds)

    @rule(beside_s=st.sampled_from([-0.5, 0, 0.5]))
    def the_next_expires(self, beside_s: float) -> None:
        """Time comes to the moment, or to just before or after it; then each key is looked at."""
        ends_s = [held.expires_at_s for held in self._live().values() if held.expires_at_s]
        if ends_s:
            self.store.advance(max(0, min(ends_s) + beside_s - self.store.now_s))
        for name, entry in self.store.run(self.kv.get_many(NAMES)).items():
            self._is(name, entry)

    @rule(side=st.sampled_from(Side))
    def only_this_home_is_down(self, side: Side) -> None:
        """It stays down, since nobody here repairs what it has missed."""
        if not any(home.down for home in self.store.homes.by_side.values()):
            self.store.homes.by_side[side].down = True

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            assert self.store.log.events == []


LikeADictionary.TestCase.settings = settings(
    max_examples=max(30, settings().max_examples // 4),
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLikeADictionary = LikeADictionary.TestCase
