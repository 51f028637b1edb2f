"""What a client says in the end of an operation that was refused again and again."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest

from tandem.client.retries import Retries
from tandem.errors import Overloaded, TandemError, Unavailable
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
    with pytest.raises(Unavailable, match=r"^no answer from the gateway"):
        await Retries(Numbers()).call(
            _refused(Unavailable("late"), 20.0), None, "n", timeout_s=10.0, repeatable=True
        )
