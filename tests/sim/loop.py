"""Virtual time: an event loop that never waits, the clocks that machines read on it, and chance.

Time advances only when nothing is ready, straight to the next timer. One seed gives one history:
callbacks run in the order in which they were scheduled, and nothing else has a say.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from tests.sim.standstill import NOBODY, Standstill

T = TypeVar("T")
_Arguments = TypeVarTuple("_Arguments")

EPOCH_US: Final = 1_700_000_000_000_000
"""True time when a universe begins."""


TURNS_MAX: Final = 1_000_000
"""A universe that takes more goes in circles."""


class Endless(RuntimeError):
    """Work that never comes to an end."""


class Deadlock(RuntimeError):
    """Nothing is scheduled any more, and the main task still waits."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that advances its time instead of waiting.

    It carries no sockets, signals or threads: what needs those does not belong into a simulation.
    Timers of one moment fire in the order in which they were set. What it overrides of its base
    without need does the same in less time: universes spend theirs between two callbacks.
    """

    _ready: deque["_Callback"]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._timers: list[tuple[float, int, _Callback]] = []
        self._timers_set = 0
        self._interruptions: list[tuple[int, Callable[[], None]]] = []
        self.turns = 0
        self.errors: list[BaseException] = []
        """What callbacks raised and nobody caught."""
        self._fatal: BaseException | None = None
        self.standstill = Standstill()
        self.set_exception_handler(_note_error)

    def time(self) -> float:
        return self.now_s

    def true_us(self) -> int:
        """True time in microseconds since the epoch; no machine of the universe knows it."""
        return EPOCH_US + round(self.now_s * 1e6)

    def must_not_fail(self, task: "asyncio.Task[None]") -> None:
        """For a task of the simulation itself: its error ends the universe."""
        if not task.cancelled():
            self._fatal = task.exception()

    def end_with(self, error: BaseException) -> None:
        """Ends the universe, at its next turn."""
        self._fatal = error

    def hold(self, process: str, for_s: float) -> None:
        """A process stands still from this turn on; see `standstill`."""
        if process not in self.standstill:
            self.standstill.begin(process)
            self.call_at(self.now_s + for_s, self.go_on, process, context=NOBODY)

    def go_on(self, process: str) -> None:
        """It runs again, if it stands still, or its tasks come to their end."""
        self._ready.extend(self.standstill.end(process))

    def after_turns(self, turns: int, callback: Callable[[], None]) -> None:
        """Calls back between two turns of the loop: at an await, where a process may die."""
        self._interruptions.append((self.turns + turns, callback))

    def call_soon(
        self,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = _Callback(self.now_s, callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = _Callback(when, callback, args, self, context)
        self._timers_set += 1
        heappush(self._timers, (when, self._timers_set, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is dropped when its time has come."""

    def _run_once(self) -> None:
        """As many turns as there are until the loop is stopped."""
        ready = self._ready
        waiting, holds = self.standstill.waiting, self.standstill.holds
        while True:
            self.turns += 1
            if self._fatal is not None:
                raise self._fatal
            if self.turns > TURNS_MAX:
                raise Endless(f"after {self.now_s} s and {TURNS_MAX} turns there is still no end")
            if self._interruptions:
                self._interrupt()
            if not ready and not self._stopping:
                self._advance()
            for _ in range(len(ready)):
                handle = ready.popleft()
                if handle._cancelled or (waiting and holds(handle)):
                    continue
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.errors.append(error)
            if self._stopping:
                return

    def _advance(self) -> None:
        timers, ready = self._timers, self._ready
        while timers and not ready:
            self.now_s = now_s = max(self.now_s, timers[0][0])
            while timers and timers[0][0] <= now_s:
                timer = heappop(timers)[2]
                if not timer._cancelled:
                    ready.append(timer)
        if not ready:
            raise Deadlock(f"nothing is scheduled after {self.now_s} s")

    def _interrupt(self) -> None:
        due = [callback for turn, callback in self._interruptions if turn <= self.turns]
        self._interruptions = [one for one in self._interruptions if one[0] > self.turns]
        for callback in due:
            callback()

    def _write_to_self(self) -> None:
        """No thread to wake."""


class _Callback(asyncio.TimerHandle):
    """Due now or later. It is made without asking whether the loop is in debug mode, which is what
    takes the most time elsewhere."""

    __slots__ = ()
    _context: Context
    _callback: Callable[..., object]
    _args: tuple[Any, ...]

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...],
        loop: VirtualLoop, context: Context | None,
    ) -> None:  # fmt: skip
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = False


def _note_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, VirtualLoop)
    error = context.get("exception")
    if error is not None:  # otherwise a task of a dead process was collected
        loop.errors.append(error)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def current() -> VirtualLoop:
    """The loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


class VirtualClock:
    """One machine's clocks: the wall may be wrong and jump, the monotonic one drifts.

    `monotonic_us` begins anywhere, as after a boot.
    """

    def __init__(
        self, loop: VirtualLoop, *, offset_us: int = 0, drift_ppm: int = 0, booted_us: int = 0
    ) -> None:
        self._loop = loop
        self._offset_us = offset_us
        self._rate = 1.0 + drift_ppm / 1e6
        self._booted_us = booted_us

    def now_us(self) -> int:
        return EPOCH_US + self._offset_us + self._elapsed_us()

    def monotonic_us(self) -> int:
        return self._booted_us + self._elapsed_us()

    def step(self, by_us: int) -> None:
        """The wall clock jumps."""
        self._offset_us += by_us

    def _elapsed_us(self) -> int:
        return round(self._loop.now_s * 1e6 * self._rate)


class SeededEntropy:
    """See `tandem.runtime.randomness.Entropy`; the same seed gives the same bytes."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
