"""Any sequence of operations gets the same answers from shared memory and from the simulator's."""

import random
from contextlib import ExitStack

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvgateway.state.ports import Intent, Seen
from kvgateway.state.shared import SharedMachine
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import NO_VERSION, Version
from tandem.errors import Overloaded
from tests.kvgateway.state.machines import NOW, memory_machine, shared_machine
from tests.memory.machine import MemoryMachine

NAMES = ["a", "ab", "b", "ü", "n" * 494, "n" * 495, "n" * 512]
KEYS = [Key(namespace * 16, name) for namespace in ("ab", "ac") for name in NAMES]
PAYLOAD_MAX = 300

keys = st.sampled_from(KEYS)
versions = st.builds(
    Version.at,
    st.integers(NOW, NOW + 20) | st.just(NOW + 10**7),
    st.sampled_from([b"\x00" * 8, b"\xff" * 8]),
)
values = st.sampled_from([b"", b"red", b"blue", b"x" * 400])
records = st.builds(seal, versions, values) | st.builds(seal_tombstone, versions)
ticks = st.integers(0, 10)


class SameAnswers(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.stack = ExitStack()
        self.shared: SharedMachine = self.stack.enter_context(
            shared_machine(1024 * 1024 * 2, PAYLOAD_MAX)
        )
        self.memory: MemoryMachine = memory_machine(payload_bytes_max=PAYLOAD_MAX)
        self.memory._random = lambda size: random.Random(size).randbytes(size)
        self.shared._random = self.memory._random
        self.now_us = NOW
        self.highest: dict[Key, Version] = {}

    @rule(ticks=ticks)
    def time_passes(self, ticks: int) -> None:
        self.now_us += ticks

    @rule(wanted=st.lists(st.tuples(keys, versions | st.just(NO_VERSION)), max_size=5))
    def mint(self, wanted: list[tuple[Key, Version]]) -> None:
        ours = self.shared.mint(wanted, self.now_us)
        assert ours == self.memory.mint(wanted, self.now_us)
        assert ours == sorted(set(ours))

    @rule(key=keys)
    def mint_beyond_the_bound(self, key: Key) -> None:
        for machine in (self.shared, self.memory):
            try:
                machine.mint([(key, NO_VERSION)], NOW * 2)
            except Overloaded:
                continue
            raise AssertionError("minted beyond the bound")

    @rule(writes=st.lists(st.tuples(keys, records), max_size=4))
    def install(self, writes: list[tuple[Key, Record]]) -> None:
        self.shared.install(writes, self.now_us)
        self.memory.install(writes, self.now_us)

    @rule(intents=st.lists(st.builds(Intent, keys, versions), max_size=4))
    def pin(self, intents: list[Intent]) -> None:
        self.shared.pin(intents)
        self.memory.pin(intents)

    @rule(key=keys, version=versions, ticks=ticks)
    def unpin(self, key: Key, version: Version, ticks: int) -> None:
        self.shared.unpin([(key, version)], self.now_us + ticks)
        self.memory.unpin([(key, version)], self.now_us + ticks)

    @rule(key=keys)
    def unpin_the_newest(self, key: Key) -> None:
        (known,) = self.memory.lookup([key], self.now_us)
        if known is not None:
            self.unpin(key, known.version, 3)

    @rule(found=st.lists(st.tuples(keys, records | st.none(), ticks), max_size=4))
    def fill(self, found: list[tuple[Key, Record | None, int]]) -> None:
        seen = [Seen(key, record, self.now_us - ago) for key, record, ago in found]
        assert self.shared.fill(seen, self.now_us) == self.memory.fill(seen, self.now_us)

    @rule(
        namespace=st.sampled_from(["ab" * 16, "ac" * 16, "ad" * 16]),
        after=st.sampled_from(["", *NAMES]),
        prefix=st.sampled_from(["", "a", "n", "n" * 494, "n" * 500, "z"]),
        limit=st.integers(1, 8),
    )
    def recent(self, namespace: str, after: str, prefix: str, limit: int) -> None:
        ours = self.shared.recent(namespace, after, prefix, limit, self.now_us)
        assert ours == self.memory.recent(namespace, after, prefix, limit, self.now_us)

    @invariant()
    def same_and_never_back(self) -> None:
        ours = self.shared.lookup(KEYS, self.now_us)
        assert ours == [self.shared.recall(key, self.now_us) for key in KEYS]
        assert ours == self.memory.lookup(KEYS, self.now_us)
        assert self.shared.last_minted_us() == self.memory.last_minted_us()
        for key, known in zip(KEYS, ours, strict=True):
            if known is None:
                assert key not in self.highest
            else:
                assert known.version >= self.highest.get(key, NO_VERSION)
                assert known.record is None or known.record.version == known.version
                self.highest[key] = known.version

    def teardown(self) -> None:
        self.stack.close()


TestSameAnswers = SameAnswers.TestCase
TestSameAnswers.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
