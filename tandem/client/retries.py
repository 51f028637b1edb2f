"""When the client tries again, and how a call by itself (not in a lane) is made.

Only what is safe to repeat is repeated: reads, what the gateway refused before it began (for lack
of room; or over a quota, after the time that it asked for), and administrative calls that do the
same when done twice. All retries of a client share one budget, so a gateway in trouble sees at most
a tenth more load from them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

import grpc
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from tandem.core.backoff import RetryBudget, delay_s
from tandem.errors import (
    Overloaded,
    QuotaExceeded,
    TandemError,
    Unavailable,
    Unchanged,
    Unconfirmed,
)
from tandem.runtime.randomness import Entropy
from tandem.wire.status import error_of_call

RETRY_FIRST_S: Final = 0.02
RETRY_MOST_S: Final = 1.0
TOGETHER_S: Final = 0.02
"""What waits for a quota comes back once in such a time, and so in one message: single ones would
cost the gateway more than what they ask for. Each client has its own moment."""
ATTEMPT_S: Final = 0.05
"""With less time left nothing is tried again: the timeout would end it without an answer, and that
would be told in place of why the gateway refused."""
UNCHANGED_S: Final = 0.2
"""So soon after it was made is a change tried again that was refused since a home does not answer:
a home that is down is so for long, and who changes something is told at once."""
RETRY_TOKENS_MAX: Final = 2000.0
"""A stream in flight that breaks may be repeated whole, once."""
RETRY_TOKENS_PER_SUCCESS: Final = 0.1

_Reply = TypeVar("_Reply")


class Retries:
    """One client's retries: the shared budget and the pauses."""

    def __init__(self, entropy: Entropy) -> None:
        self.budget = RetryBudget(
            tokens_max=RETRY_TOKENS_MAX, earned_per_success=RETRY_TOKENS_PER_SUCCESS
        )
        self.closed = False
        """Set when the client is closed: nothing is begun or repeated any more."""
        self._entropy = entropy
        self._moment_s = entropy.uniform(0.0, TOGETHER_S)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Around a call that is made by itself: Unavailable when the client is closed before it or
        meanwhile, where gRPC would cancel the task that waits, which nobody had cancelled."""
        if self.closed:
            raise Unavailable("the client is closed")
        try:
            yield
        except asyncio.CancelledError:
            if not self._ended_by_closing():
                raise
            raise Unavailable("the client was closed; a write may have happened") from None

    def _ended_by_closing(self) -> bool:
        task = asyncio.current_task()
        return self.closed and task is not None and not task.cancelling()

    async def pause(self, attempt: int, error: Exception, repeatable: bool, left_s: float) -> bool:
        """Waits before retry `attempt` (1, 2, ...); False at once when there must be none."""
        if not self._may_repeat(error, repeatable):
            return False
        pause_s = self._pause_s(attempt, error)
        if not self._affords(pause_s, left_s):
            return False
        await asyncio.sleep(pause_s)
        return True

    def _may_repeat(self, error: BaseException, repeatable: bool) -> bool:
        return not self.closed and _is_safe(error, repeatable)

    def _pause_s(self, attempt: int, error: BaseException | None) -> float:
        pause_s = delay_s(
            attempt,
            first_s=RETRY_FIRST_S,
            most_s=RETRY_MOST_S,
            unit_random=self._entropy.uniform(0, 1),
        )
        if isinstance(error, QuotaExceeded):
            pause_s += error.retry_after_s
            due_s = asyncio.get_running_loop().time() + pause_s
            pause_s += (self._moment_s - due_s) % TOGETHER_S
        return pause_s

    def _affords(self, pause_s: float, left_s: float) -> bool:
        return pause_s + ATTEMPT_S < left_s and self.budget.spend()

    async def call(
        self,
        method: Callable[..., Awaitable[_Reply]],
        request: object,
        subject: str,
        *,
        timeout_s: float,
        repeatable: bool,
    ) -> _Reply:
        """Makes a call of a stub's method by itself; gRPC's errors become `tandem.errors`.

        `subject` is the namespace (id or title) that the call is about. Where the time is up under
        a repeated call, why it had to be repeated is told as well.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        deadline_s = began_s + timeout_s
        before: TandemError | None = None

        async def once() -> _Reply:
            nonlocal before
            try:
                with self.under_way():
                    reply = await method(request, timeout=max(deadline_s - loop.time(), 0.001))
            except grpc.aio.AioRpcError as failure:
                if before is not None and failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    told = f"no answer to the last try in time; before that: {before}"
                    raise Unavailable(told) from None
                before = _with_doubt(error_of_call(failure, subject), before)
                raise before from None
            self.budget.succeeded()
            return reply

        def left_s(error: BaseException | None) -> float:
            ends_s = began_s + UNCHANGED_S if isinstance(error, Unchanged) else deadline_s
            return min(ends_s, deadline_s) - loop.time()

        return await AsyncRetrying(
            retry=retry_if_exception(partial(self._may_repeat, repeatable=repeatable)),
            wait=lambda state: self._pause_s(state.attempt_number, _error_of(state)),
            stop=lambda state: not self._affords(state.upcoming_sleep, left_s(_error_of(state))),
            reraise=True,
        )(once)


class Asking:
    """Makes the calls of one service, each by itself, with its client's retries and timeout."""

    def __init__(self, retries: Retries, timeout_s: float) -> None:
        self._retries = retries
        self._timeout_s = timeout_s

    async def __call__(
        self,
        method: Callable[..., Awaitable[_Reply]],
        request: object,
        subject: str,
        *,
        repeatable: bool,
    ) -> _Reply:
        """See `Retries.call`."""
        return await self._retries.call(
            method, request, subject, timeout_s=self._timeout_s, repeatable=repeatable
        )


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _with_doubt(error: TandemError, before: TandemError | None) -> TandemError:
    """That nothing was changed can only be told of a try, not of the one before."""
    unknown = isinstance(before, Unavailable) and not isinstance(before, Unchanged)
    if unknown and isinstance(error, Unchanged):
        return Unchanged(f"{before}. Tried again: {error}")
    return error


def _is_safe(error: BaseException, repeatable: bool) -> bool:
    if isinstance(error, Overloaded | QuotaExceeded):
        return True
    if isinstance(error, Unconfirmed):
        return False
    return repeatable and isinstance(error, Unavailable)
