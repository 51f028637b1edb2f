"""What a client says in the end of an operation that was refused again and again."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest

from tandem.client.retries import Retries
from tandem.errors import Overloaded, TandemError, Unavailable, Unchanged
from tandem.wire.status import call_status
from tests.kvgateway.timed import in_virtual_time
from tests.kvgateway.two_homes import Numbers

Call = Callable[..., Awaitable[None]]


def _refused(answer: TandemError, answers_in_s: float) -> Call:
    """A gateway that refuses after a while, but not sooner than a timeout of its caller."""

    async def refused(_: object, *, timeout: float) -> None:
        if timeout < answers_in_s:
            await asyncio.sleep(timeout)
            late = grpc.StatusCode.DEADLINE_EXCEEDED
            raise grpc.aio.AioRpcError(late, grpc.aio.Metadata(), grpc.aio.Metadata(), "late")
        await asyncio.sleep(answers_in_s)
        code, text, metadata = call_status(answer)
        raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), text)

    return refused


@pytest.mark.parametrize("timeout_ms", range(100, 3000, 20))
@in_virtual_time
async def test_the_gateways_words_are_told_and_not_that_the_time_was_up(timeout_ms: int) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with pytest.raises(Overloaded, match="20000 writes wait"):
        await Retries(Numbers()).call(
            _refused(Overloaded("20000 writes wait"), 0.02), None, "n",
            timeout_s=timeout_ms / 1000, repeatable=False,
        )  # fmt: skip
    assert loop.time() - began_s <= timeout_ms / 1000


@in_virtual_time
async def test_why_a_call_was_repeated_is_told_when_the_time_is_up_under_it() -> None:
    refusal = Unavailable("nothing was changed: kvsp: timeout")
    told = r"^no answer to the last try in time; before that: nothing was changed: kvsp: timeout$"
    with pytest.raises(Unavailable, match=told):
        await Retries(Numbers()).call(
            _refused(refusal, 3.0), None, "n", timeout_s=10.0, repeatable=True
        )


@in_virtual_time
async def test_a_call_whose_time_is_up_at_the_first_try_says_so() -> None:
    with pytest.raises(Unavailable, match=r"^no answer came: "):
        await Retries(Numbers()).call(
            _refused(Unavailable("late"), 20.0), None, "n", timeout_s=10.0, repeatable=True
        )


class Answers:
    """A gateway that refuses each call in its own way, the last one's again and again."""

    def __init__(self, *answers: tuple[TandemError, float]) -> None:
        self._answers = list(answers)
        self.calls = 0

    async def __call__(self, request: object, *, timeout: float) -> None:
        answer, after_s = self._answers[min(self.calls, len(self._answers) - 1)]
        self.calls += 1
        await _refused(answer, after_s)(request, timeout=timeout)


UNCHANGED = Unchanged("nothing was changed: kvsp: timeout")


@pytest.mark.parametrize(
    ("answers_in_s", "calls", "told_in_s"), [(0.001, (2, 5), 0.2), (3.0, (1, 1), 3.0)]
)
@in_virtual_time
async def test_that_a_change_needs_a_home_that_is_down_is_told_soon(
    answers_in_s: float, calls: tuple[int, int], told_in_s: float
) -> None:
    """Where it was refused at once it is tried again for a moment, and else not."""
    loop = asyncio.get_running_loop()
    gateway, began_s = Answers((UNCHANGED, answers_in_s)), loop.time()
    with pytest.raises(Unchanged, match=r"^nothing was changed: kvsp: timeout$"):
        await Retries(Numbers()).call(gateway, None, "n", timeout_s=10.0, repeatable=True)
    assert loop.time() - began_s == pytest.approx(told_in_s, abs=0.15)
    assert calls[0] <= gateway.calls <= calls[1]


@in_virtual_time
async def test_that_nothing_was_changed_is_not_told_of_a_try_before() -> None:
    gateway = Answers((Unavailable("outcome unknown: no confirmation"), 3.0), (UNCHANGED, 3.0))
    told = r"^outcome unknown: no confirmation. Tried again: nothing was changed: kvsp: timeout$"
    with pytest.raises(Unchanged, match=told):
        await Retries(Numbers()).call(gateway, None, "n", timeout_s=10.0, repeatable=True)
    assert gateway.calls == 2


@in_virtual_time
async def test_a_client_that_was_closed_repeats_nothing() -> None:
    gateway, retries = Answers((Unavailable("both homes failed"), 0.002)), Retries(Numbers())
    asyncio.get_running_loop().call_later(0.001, setattr, retries, "closed", True)
    with pytest.raises(Unavailable, match="both homes failed"):
        await retries.call(gateway, None, "n", timeout_s=10.0, repeatable=True)
    assert gateway.calls == 1


@in_virtual_time
async def test_what_retries_have_spent_is_earned_again_by_answers() -> None:
    async def answers(_: object, *, timeout: float) -> None: ...

    retries = Retries(Numbers())
    while retries.budget.spend():
        pass
    refused = Answers((Overloaded("full"), 0.001))
    with pytest.raises(Overloaded):
        await retries.call(refused, None, "n", timeout_s=10.0, repeatable=True)
    assert refused.calls == 1, "there is nothing to spend"
    for _ in range(11):
        await retries.call(answers, None, "n", timeout_s=10.0, repeatable=True)
    with pytest.raises(Overloaded):
        await retries.call(refused, None, "n", timeout_s=10.0, repeatable=True)
    assert refused.calls == 3
