"""What goes wrong between a process and a home.

Each universe draws its own weather (which faults there are, and how often), so that rare ones are
not drowned by common ones. Whatever is lost, a call resolves by its deadline, as the port promises.
"""

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, TypeVar

from tandem.core.reply import Reason
from tandem.core.version import Version
from tests.sim.history import NOTHING, Crashed, History
from tests.sim.loop import VirtualLoop
from tests.sim.standstill import NOBODY

T = TypeVar("T")
What = tuple[str, str, Version | None]
"""A call for the history: verb, name, and the version that it carries."""

QUICK_S: Final = 0.001
"""The mean time of one way on a good day."""
_QUICKLY: Final = 1 / QUICK_S
AFTER_DEADLINE_S: Final = 20.0
"""A request that was thought lost arrives up to this long after its deadline, as a rule."""
TARDY_S: Final = 12.0
"""A little more than the ack window."""


class Fault(enum.Enum):
    """What may happen to one call."""

    LOST = "request lost"
    REPLY_LOST = "reply lost"
    LATE = "arrives after its deadline"
    TWICE = "arrives twice"
    ERROR = "error, not applied"
    ERROR_APPLIED = "error, but applied"
    SLOW = "slow"
    TARDY = "seconds on its way"


Rates = tuple[tuple[Fault, float], ...]
"""How often each fault happens."""
_NO_VERBS: Final[Mapping[str, Rates]] = {}


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

    def __init__(
        self, rates: Sequence[tuple[Fault, float]], windows: Sequence[Window],
        late_s: float = AFTER_DEADLINE_S, verbs: Mapping[str, Rates] = _NO_VERBS,
    ) -> None:  # fmt: skip
        """`verbs` have rates of their own."""
        self._rates = rates
        self._verbs = verbs
        self._windows = windows
        self.late_s = late_s
        self.fates: dict[tuple[str, str], Fault | float] = {}
        """What happens to calls of this verb for this name, whatever the rates say; or how many
        seconds they are on their way."""
        self.under_way = 0
        """How many requests have not arrived yet."""

    def fault(self, random: Random, verb: str, name: str) -> Fault | float | None:
        """What happens to the next call."""
        if self.fates and (verb, name) in self.fates:
            return self.fates[verb, name]
        rates = self._verbs.get(verb, self._rates)
        if not rates:
            return None
        left = random.random()
        for fault, rate in rates:
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
        self._rates, self._windows, self._verbs = (), (), _NO_VERBS
        self.fates.clear()


class Link:
    """The way from one process to one home."""

    def __init__(
        self,
        loop: VirtualLoop,
        name: str,
        machine: str,
        weather: Weather,
        random: Random,
        history: History,
    ) -> None:
        self.loop = loop
        self.weather = weather
        self.random = random
        self._name = name
        self._machine = machine
        self._history = history
        self.cut = False
        """The process is dead: nothing is sent any more, and no reply finds anyone."""

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
        call = _Call(self, what, apply, lost, self.loop.now_s + deadline_s)
        call.depart(self.weather.fault(self.random, what[0], what[1]))
        return call.reply

    def late_s(self) -> float:
        return self.uniform(0.0, self.weather.late_s)

    def uniform(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def trouble(self) -> Trouble | None:
        return self.weather.trouble(self.loop.now_s, self._machine)

    def call_at(self, when_s: float, callback: Callable[..., None], *arguments: object) -> None:
        self.loop.call_at(when_s, callback, *arguments, context=NOBODY)

    def now_s(self) -> float:
        return self.loop.now_s

    def apply(self, sent_s: float, what: Callable[[], T]) -> T:
        """Has the home do what was sent then."""
        self._history.applying = (self._name, sent_s)
        try:
            return what()
        finally:
            self._history.applying = NOTHING

    def note(self, what: What, outcome: object) -> None:
        if self._history.tracing:
            self._history.called(self._name, *what, outcome)


class _Call(Generic[T]):
    """One call under way."""

    __slots__ = (
        "_apply",
        "_down_s",
        "_fault",
        "_link",
        "_lost",
        "_sent_s",
        "_until_s",
        "_what",
        "reply",
    )

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
        self._sent_s = link.loop.now_s
        self._until_s = until_s
        self._fault: Fault | float | None = None
        self._down_s = 0.0
        self.reply: asyncio.Future[T] = link.loop.create_future()

    def depart(self, fault: Fault | float | None) -> None:
        link = self._link
        random, now_s = link.random, link.loop.now_s
        self._fault = fault
        self._down_s = random.expovariate(_QUICKLY)
        up_s = random.expovariate(_QUICKLY)
        patience_s = self._until_s - now_s
        trouble = link.trouble()
        if isinstance(fault, float):
            up_s += fault
        elif fault is Fault.SLOW:
            up_s += 10 ** link.uniform(-2.7, 0.8)
            self._down_s += 10 ** link.uniform(-2.7, 0.3)
        elif fault is Fault.TARDY:
            up_s += link.uniform(0.0, TARDY_S)
        elif fault is Fault.LATE:
            up_s = patience_s + link.late_s()
        if fault is Fault.LOST or trouble is Trouble.NO_REQUESTS:
            self._give_up(Loss.TIMEOUT, self._until_s)
        else:
            if up_s > patience_s:
                self._give_up(Loss.TIMEOUT, self._until_s)
            link.weather.under_way += 1
            link.call_at(now_s + up_s, self._arrive)

    def _arrive(self) -> None:
        link = self._link
        link.weather.under_way -= 1
        trouble = link.trouble()
        if trouble in _ANSWERED:
            self._give_up(_ANSWERED[trouble], link.loop.now_s + self._down_s)
        elif trouble is Trouble.HANGS:
            self._give_up(Loss.TIMEOUT, self._until_s)
        elif self._fault is Fault.ERROR:
            self._give_up(Loss.ERROR, link.loop.now_s + self._down_s)
        else:
            self._applied()

    def _applied(self) -> None:
        link, fault = self._link, self._fault
        now_s = link.loop.now_s
        outcome = link.apply(self._sent_s, self._apply)
        link.note(self._what, outcome)
        if fault is Fault.TWICE:
            link.weather.under_way += 1
            link.call_at(now_s + link.late_s(), self._again)
        if fault is Fault.ERROR_APPLIED:
            self._give_up(Loss.ERROR, now_s + self._down_s)
        elif fault is Fault.REPLY_LOST or now_s + self._down_s >= self._until_s:
            self._give_up(Loss.TIMEOUT, self._until_s)
        else:
            link.call_at(now_s + self._down_s, self._return, outcome)

    def _again(self) -> None:
        self._link.weather.under_way -= 1
        verb, name, version = self._what
        outcome = self._link.apply(self._sent_s, self._apply)
        self._link.note((f"{verb} again", name, version), outcome)

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
