"""What goes wrong between a worker and a home, and a home that can be reached only through it.

Each universe draws its own weather (which faults there are, and how often), so that rare ones are
not drowned by common ones. Whatever is lost, a call resolves by its deadline, as the port promises.
"""

import asyncio
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, TypeVar

from kvgateway.homes.legs import one_by_one
from tandem.backends.memory import MemoryHome
from tandem.backends.port import Heal, Puts, Replied, ScanPage
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, ReadReply, Reason, Side, Stored, WriteReply
from tandem.core.version import Version
from tests.sim.history import Crashed, History
from tests.sim.loop import VirtualLoop

T = TypeVar("T")
What = tuple[str, str, Version | None]
"""A call for the history: verb, name, and the version that it carries."""

QUICK_S: Final = 0.001
"""The mean time of one way on a good day."""
AFTER_DEADLINE_S: Final = 20.0
"""A request that was thought lost arrives up to this long after its deadline."""


class Fault(enum.Enum):
    """What may happen to one call."""

    LOST = "request lost"
    REPLY_LOST = "reply lost"
    LATE = "arrives after its deadline"
    TWICE = "arrives twice"
    ERROR = "error, not applied"
    ERROR_APPLIED = "error, but applied"
    SLOW = "slow"


class Trouble(enum.Enum):
    """What may happen to a home, or to the way to it, for a while."""

    REFUSES = "refuses"
    HANGS = "hangs"
    ERRS = "answers errors"
    NO_REQUESTS = "no request arrives"
    NO_REPLIES = "no reply arrives"


class Loss(enum.Enum):
    """Why a call has no reply."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    ERROR = "error"


REASONS: Final = {
    Loss.TIMEOUT: Reason.TIMEOUT,
    Loss.REFUSED: Reason.UNREACHABLE,
    Loss.ERROR: Reason.ERROR,
}
_ANSWERED: Final = {Trouble.REFUSES: Loss.REFUSED, Trouble.ERRS: Loss.ERROR}


@dataclass(frozen=True, slots=True)
class Window:
    """A time of trouble, in seconds of the loop; for one machine's way to the home, or for all."""

    trouble: Trouble
    begins_s: float
    ends_s: float
    machine: str = ""


class Weather:
    """The faults on the ways to one home."""

    def __init__(self, rates: Sequence[tuple[Fault, float]], windows: Sequence[Window]) -> None:
        self._rates = rates
        self._windows = windows
        self.under_way = 0
        """How many requests have not arrived yet."""

    def fault(self, random: Random) -> Fault | None:
        """What happens to the next call."""
        if not self._rates:
            return None
        left = random.random()
        for fault, rate in self._rates:
            left -= rate
            if left < 0:
                return fault
        return None

    def trouble(self, now_s: float, machine: str) -> Trouble | None:
        """What reigns now on this machine's way."""
        for window in self._windows:
            if window.begins_s <= now_s < window.ends_s and window.machine in {"", machine}:
                return window.trouble
        return None

    def clear(self) -> None:
        """Fine from now on."""
        self._rates, self._windows = (), ()


class Link:
    """The way from one worker to one home."""

    def __init__(
        self,
        loop: VirtualLoop,
        name: str,
        machine: str,
        weather: Weather,
        random: Random,
        history: History,
    ) -> None:
        self._loop = loop
        self._name = name
        self._machine = machine
        self._weather = weather
        self._random = random
        self._history = history
        self.cut = False
        """The worker is dead: nothing is sent any more, and no reply finds anyone."""

    def carry(
        self,
        what: What,
        apply: Callable[[], T],
        lost: Callable[[Loss], T],
        deadline_s: float,
    ) -> "asyncio.Future[T]":
        """Has the home do `apply`, now or later, once, twice or never; the reply by `deadline_s`.

        `lost` makes the reply for a call that has none.
        """
        if self.cut:
            raise Crashed
        call = _Call(self, what, apply, lost, self._loop.time() + deadline_s)
        call.depart(self._weather.fault(self._random))
        return call.reply

    def pause_s(self) -> float:
        return self._random.expovariate(1 / QUICK_S)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def trouble(self) -> Trouble | None:
        return self._weather.trouble(self._loop.time(), self._machine)

    def call_at(self, when_s: float, callback: Callable[[], None]) -> None:
        self._loop.call_at(when_s, callback)

    def under_way(self, change: int) -> None:
        self._weather.under_way += change

    def now_s(self) -> float:
        return self._loop.time()

    def note(self, what: What, outcome: object) -> None:
        self._history.called(self._name, *what, outcome)


class _Call(Generic[T]):
    """One call under way."""

    __slots__ = ("_apply", "_down_s", "_fault", "_link", "_lost", "_until_s", "_what", "reply")

    def __init__(
        self,
        link: Link,
        what: What,
        apply: Callable[[], T],
        lost: Callable[[Loss], T],
        until_s: float,
    ) -> None:
        self._link = link
        self._what = what
        self._apply = apply
        self._lost = lost
        self._until_s = until_s
        self._fault: Fault | None = None
        self._down_s = 0.0
        self.reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def depart(self, fault: Fault | None) -> None:
        link = self._link
        self._fault = fault
        self._down_s = link.pause_s()
        up_s = link.pause_s()
        patience_s = self._until_s - link.now_s()
        trouble = link.trouble()
        if fault is Fault.SLOW:
            up_s += 10 ** link.uniform(-2.7, 0.8)
            self._down_s += 10 ** link.uniform(-2.7, 0.3)
        elif fault is Fault.LATE:
            up_s = patience_s + link.uniform(0.0, AFTER_DEADLINE_S)
        if fault is Fault.LOST or trouble is Trouble.NO_REQUESTS:
            self._give_up(Loss.TIMEOUT, self._until_s)
        else:
            if up_s > patience_s:
                self._give_up(Loss.TIMEOUT, self._until_s)
            link.under_way(1)
            link.call_at(link.now_s() + up_s, self._arrive)

    def _arrive(self) -> None:
        link = self._link
        link.under_way(-1)
        trouble = link.trouble()
        if trouble in _ANSWERED:
            self._give_up(_ANSWERED[trouble], link.now_s() + self._down_s)
        elif trouble is Trouble.HANGS:
            self._give_up(Loss.TIMEOUT, self._until_s)
        elif self._fault is Fault.ERROR:
            self._give_up(Loss.ERROR, link.now_s() + self._down_s)
        else:
            self._applied()

    def _applied(self) -> None:
        link = self._link
        outcome = self._apply()
        link.note(self._what, outcome)
        if self._fault is Fault.TWICE:
            link.under_way(1)
            link.call_at(link.now_s() + link.uniform(0.0, AFTER_DEADLINE_S), self._again)
        if self._fault is Fault.ERROR_APPLIED:
            self._give_up(Loss.ERROR, link.now_s() + self._down_s)
        elif self._fault is Fault.REPLY_LOST or link.now_s() + self._down_s >= self._until_s:
            self._give_up(Loss.TIMEOUT, self._until_s)
        else:
            link.call_at(link.now_s() + self._down_s, lambda: self._return(outcome))

    def _again(self) -> None:
        self._link.under_way(-1)
        verb, name, version = self._what
        self._link.note((f"{verb} again", name, version), self._apply())

    def _return(self, outcome: T) -> None:
        if self._link.trouble() is Trouble.NO_REPLIES:
            self._give_up(Loss.TIMEOUT, self._until_s)
        else:
            self._settle(outcome)

    def _give_up(self, loss: Loss, when_s: float) -> None:
        when_s = min(when_s, self._until_s)
        self._link.call_at(when_s, lambda: self._settle(self._lost(loss)))

    def _settle(self, outcome: T) -> None:
        if not self.reply.done() and not self._link.cut:
            self.reply.set_result(outcome)


class Site:
    """A home where it stands: its records, and which copies have gone bad."""

    def __init__(self, home: MemoryHome) -> None:
        self.home = home
        self._corrupt: dict[Key, bytes] = {}

    def corrupt(self, key: Key) -> None:
        """The stored bytes of `key` go bad."""
        reply = self.home.get(key, 1.0).result()
        if isinstance(reply, Found):
            self._corrupt[key] = reply.record.digest

    def is_corrupt(self, key: Key) -> bool:
        """Whether its bytes have gone bad."""
        return key in self._corrupt

    def held(self, key: Key) -> Record | None:
        """The record under `key`, read by nobody's leave."""
        reply = self.home.get(key, 1.0).result()
        return reply.record if isinstance(reply, Found) else None

    def get(self, key: Key) -> ReadReply:
        reply = self.home.get(key, 1.0).result()
        if isinstance(reply, Found) and self._corrupt.get(key) == reply.record.digest:
            return Failed(Reason.CORRUPT, "bytes do not match their digest", reply.home_time_us)
        return reply

    def put(self, key: Key, record: Record, heal: Heal | None) -> WriteReply:
        reply = self.home.put_if_newer(key, record, 1.0, heal).result()
        rewritten = heal is not None and heal.over_corrupt
        if isinstance(reply, Stored) and (rewritten or self._corrupt.get(key) != record.digest):
            self._corrupt.pop(key, None)
        return reply

    def scan(self, namespace: str, after: str, prefix: str, limit: int) -> ScanPage | Failed:
        step = self.home.scan(namespace, after=after, prefix=prefix, limit=limit, deadline_s=1.0)
        try:
            step.send(None)
        except StopIteration as end:
            page: ScanPage | Failed = end.value
            return page
        raise AssertionError("a home in memory does not wait")


class FaultyHome:
    """A home behind a link; see `tandem.backends.port.Backend`."""

    def __init__(self, site: Site, link: Link) -> None:
        self._site = site
        self._link = link

    @property
    def side(self) -> Side:
        return self._site.home.side

    @property
    def clock_skew_max_us(self) -> int:
        return self._site.home.clock_skew_max_us

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> "asyncio.Future[ReadReply]":
        return self._link.carry(
            ("get", _place(key), None), lambda: self._site.get(key), _lost, deadline_s
        )

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> "asyncio.Future[WriteReply]":
        return self._link.carry(
            ("heal" if heal else "put", _place(key), record.version),
            lambda: self._site.put(key, record, heal),
            _lost,
            deadline_s,
        )

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        one_by_one(self.put_if_newer, puts, deadline_s, replied)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        return await self._link.carry(
            ("scan", repr(after), None),
            lambda: self._site.scan(namespace, after, prefix, limit),
            _lost,
            deadline_s,
        )

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return await self._site.home.incarnation(deadline_s)

    async def aclose(self) -> None:
        self._link.cut = True


def _lost(loss: Loss) -> Failed:
    return Failed(REASONS[loss], loss.value)


def _place(key: Key) -> str:
    return f"{key.namespace[0]}/{key.name}"
