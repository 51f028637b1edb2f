"""One rule broken at a time, to prove that the simulator would see it.

Each canary patches one piece of the product while universes run. How often its breach shows is
measured in `calibration`.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.remembered import Answered, Remembered, result_of
from kvgateway.data_path.writes import Writer
from kvgateway.homes import identity
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust import Trust
from kvgateway.state import minting
from kvgateway.state.entry import Head
from kvgateway.state.ports import Intent, Known, RepairTask, Seen
from tandem.backends.port import Backend
from tandem.backends.s3.bucket import Answer, Call
from tandem.backends.s3.conditional_put import ConditionalPut
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.replies import VERSION_HEADER, Held
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.key import Key
from tandem.core.limits import CLOCK_SKEW_MAX_US
from tandem.core.record import Record
from tandem.core.reply import Found, Missing, ReadReply, Side, Stored, Superseded
from tandem.core.request import Delete, Put, ReadResult
from tandem.core.version import Version
from tandem.core.write_race import WriteRace
from tests.memory import home_namespace
from tests.memory.journal import MemoryJournal
from tests.memory.machine import MemoryMachine
from tests.sim import host, s3_store
from tests.sim.canaries_collect import COLLECT_CANARIES
from tests.sim.plan import Sort

_RETRIES_S: Final = (100.0, 100.0, 100.0)
"""Between the tries of a client that never gives up; together longer than the grace."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A broken rule."""

    name: str
    broken: Callable[[], AbstractContextManager[object]]
    sort: Sort
    """What the universes are about in which it is looked for."""


def _blind_put() -> AbstractContextManager[object]:
    def headers(self: ConditionalPut, held: Held | None) -> Mapping[str, str]:
        return {VERSION_HEADER: self._record.version.hex()}

    return patch.object(ConditionalPut, "_headers", headers)


def _wrong_if_match() -> AbstractContextManager[object]:
    """The ETag that is known is matched whatever its version."""
    return patch.object(ConditionalPut, "_replaces", lambda self, held: held != self._ours)


def _no_intents() -> AbstractContextManager[object]:
    def append(self: MemoryJournal, intents: Sequence[Intent]) -> "asyncio.Future[bool]":
        future = asyncio.get_running_loop().create_future()
        future.set_result(True)
        return future

    return patch.object(MemoryJournal, "append", append)


def _restamping() -> AbstractContextManager[object]:
    """A write that turns out to be superseded is stamped anew and written again."""
    decided = Writer.decided

    def restamped(self: Writer, flight: Any, outcome: Any) -> None:
        decided(self, flight, outcome)
        newest: Version | None = getattr(outcome, "newest", None)
        if newest is not None:
            key, record = flight.intent.key, flight.record
            value = record.value
            self.write([Put(key, value, above=newest) if value else Delete(key, newest)])

    return patch.object(Writer, "decided", restamped)


@contextmanager
def _cache_kept() -> Iterator[None]:
    """What reads have cached survives a crash of the machine; its recent writes do not."""
    fill, boot = MemoryMachine.fill, MemoryMachine.__init__
    kept: dict[bytes, dict[Key, Seen]] = {}

    def remembering(
        self: MemoryMachine, seen: Sequence[Seen], now_us: int
    ) -> Sequence[Known | None]:
        of_gateway = kept.setdefault(self._gateway_id, {})
        of_gateway.update({one.key: one for one in seen if one.record is not None})
        return fill(self, seen, now_us)

    def booting(self: MemoryMachine, **arguments: Any) -> None:
        boot(self, **arguments)
        for seen in kept.get(self._gateway_id, {}).values():
            fill(self, [seen], seen.began_us)

    with (
        patch.object(MemoryMachine, "fill", remembering),
        patch.object(MemoryMachine, "__init__", booting),
    ):
        yield


def _intents_not_pinned() -> AbstractContextManager[object]:
    return patch.object(MemoryMachine, "pin", lambda self, intents: None)


def _queue_not_pinned() -> AbstractContextManager[object]:
    async def nothing(queue: object, machine: object) -> None:
        """Forgets what is queued."""

    return patch.object(host, "pin_queue", nothing)


def _recents_after_ack() -> AbstractContextManager[object]:
    install = MemoryMachine.install

    def late(self: MemoryMachine, writes: Sequence[tuple[Key, Record]], now_us: int) -> None:
        asyncio.get_running_loop().call_later(0.2, install, self, writes, now_us)

    return patch.object(MemoryMachine, "install", late)


def _unversioned_miss() -> AbstractContextManager[object]:
    """A miss that both homes confirm is cached whatever version is known."""
    return patch(
        "tests.memory.machine.missed",
        lambda old, began_us: Head(Version(bytes(16)), Version(bytes(16)), 0, began_us, b""),
    )


def _cache_goes_back() -> AbstractContextManager[object]:
    """What a read has found is cached though something newer is known."""
    return patch(
        "tests.memory.machine.filled",
        lambda old, version, digest, began_us: Head(
            version, version, old.until_us if old else 0, began_us, digest
        ),
    )


def _no_settling_of_trust() -> AbstractContextManager[object]:
    return patch.object(Trust, "crawled", lambda self, namespace, began_us: None)


def _blind_sql() -> AbstractContextManager[object]:
    """A home that takes every write, whatever it holds."""
    return patch.object(home_namespace, "_replaces", lambda record, holds, heal: True)


def _late_sample() -> AbstractContextManager[object]:
    """A home's time is taken when both homes have answered."""

    async def look(
        homes: Mapping[Side, Backend], deadline_s: float, time: HomeTime
    ) -> dict[Side, ReadReply]:
        calls = (home.get(STORE_ID_KEY, deadline_s) for home in homes.values())
        replies = dict(zip(homes, await asyncio.gather(*calls), strict=True))
        for side, reply in replies.items():
            if isinstance(reply, Found | Missing):
                time.observe(side, reply.home_time_us)
        return replies

    return patch.object(identity, "look", look)


def _begins_ignorant() -> AbstractContextManager[object]:
    """A worker is not told what its supervisor believes of the homes' time."""
    return patch.object(host.Host, "believed_us", lambda self: None)


def _doubt_forgets() -> AbstractContextManager[object]:
    """What is stale or in doubt is told, but neither remembered nor compared with memory."""
    told = Remembered.told

    def forgetful(self: Remembered, answered: Sequence[Answered], now_us: int) -> list[ReadResult]:
        return [
            result_of(answer.record, now_us, unconfirmed=answer.unconfirmed, stale=answer.stale)
            if answer.stale or answer.unconfirmed
            else told(self, [one], now_us)[0]
            for one in answered
            for answer in [one.answer]
        ]

    return patch.object(Remembered, "told", forgetful)


def _observes_too_little() -> AbstractContextManager[object]:
    """Versions are observed as if the machine knew the homes' time to the millisecond."""
    return patch.object(minting, "OBSERVED_AHEAD_MAX_US", CLOCK_SKEW_MAX_US)


def _client_retries() -> AbstractContextManager[object]:
    """The S3 client repeats a conditional write that has no good answer, on its own and signed
    anew, long after the gateway has given it up."""
    send, kept = s3_store._Bucket.send, set[asyncio.Task[None]]()

    async def again(self: Any, call: Call) -> None:
        for wait_s in _RETRIES_S:
            await asyncio.sleep(wait_s)
            with suppress(TransportError):
                await send(self, call, asyncio.get_running_loop().time() + 5, self.clock.now_us())

    async def retrying(self: Any, call: Call, until_s: float, signed_at_us: int) -> Answer:
        answer = None
        try:
            answer = await send(self, call, until_s, signed_at_us)
            return answer
        finally:
            if call.method == "PUT" and (answer is None or answer.http.status >= 500):
                task = asyncio.create_task(again(self, call))
                kept.add(task)
                task.add_done_callback(kept.discard)

    return patch.object(s3_store._Bucket, "send", retrying)


def _no_ack_window() -> AbstractContextManager[object]:
    """A confirmation counts however late it is."""

    def in_time(self: WriteRace, side: Side, reply: Stored | Superseded) -> bool:
        return True

    return patch.object(WriteRace, "_in_time", in_time)


def _intent_dropped_early() -> AbstractContextManager[object]:
    """The intent of a write is dropped when its legs have answered, whatever they said."""
    add = RepairInbox.add

    def hasty(
        self: RepairInbox, task: RepairTask, queued: Callable[[], None] | None = None
    ) -> None:
        if queued is not None:
            queued()
        add(self, task, queued and (lambda: None))

    return patch.object(RepairInbox, "add", hasty)


def _emptied_unnoticed() -> AbstractContextManager[object]:
    """Memory that was emptied is believed as one that knows of all writes under way."""
    return patch("tests.memory.machine.just_emptied", lambda emptied_at_us, monotonic_us: False)


def _older_than_emptied() -> AbstractContextManager[object]:
    """What is older than the emptying of memory is entered like any news."""
    return patch("tests.memory.machine.seen_us", lambda at_us, seen_at_us, emptied_us: seen_at_us)


CANARIES: Final = (
    Canary("blind PUT on S3", _blind_put, Sort.CROWD),
    Canary("wrong If-Match", _wrong_if_match, Sort.CROWD),
    Canary("blind write in SQL", _blind_sql, Sort.CROWD),
    Canary("no intents", _no_intents, Sort.DEATHS),
    Canary("superseded write stamped again", _restamping, Sort.CROWD),
    Canary("cache kept after a crash", _cache_kept, Sort.DEATHS),
    Canary("intents not pinned at restart", _intents_not_pinned, Sort.OWED),
    Canary("queue not pinned at restart", _queue_not_pinned, Sort.OWED),
    Canary("recent writes entered after the ack", _recents_after_ack, Sort.ANYTHING),
    Canary("unversioned negative cache", _unversioned_miss, Sort.OWED),
    Canary("cache goes back in version", _cache_goes_back, Sort.CROWD),
    Canary("a home is distrusted for ever", _no_settling_of_trust, Sort.GRAVES),
    Canary("home time sampled late", _late_sample, Sort.ENTERED),
    Canary("a worker begins without the time", _begins_ignorant, Sort.ENTERED),
    Canary("doubtful answers forgotten", _doubt_forgets, Sort.OWED),
    Canary("whole-second clocks not allowed for", _observes_too_little, Sort.ENTERED),
    Canary("client retries on conditional writes", _client_retries, Sort.STORE),
    Canary("no ack window", _no_ack_window, Sort.STAGED),
    Canary("an intent dropped before its task is durable", _intent_dropped_early, Sort.FULL),
    Canary("memory emptied, and believed", _emptied_unnoticed, Sort.FORGETFUL),
    Canary("memory emptied, then filled with what is older", _older_than_emptied, Sort.FORGETFUL),
    *(
        Canary(name, broken, sort)
        for name, (broken, sort) in COLLECT_CANARIES.items()
    ),
)  # fmt: skip
