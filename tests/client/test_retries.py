"""What a client says in the end of an operation that was refused again and again."""

import asyncio

import grpc
import pytest

from tandem.client.retries import Retries
from tandem.errors import Overloaded
from tandem.wire.status import call_status
from tests.kvgateway.timed import in_virtual_time
from tests.kvgateway.two_homes import Numbers

ANSWERS_IN_S = 0.02


async def _refused(_: object, *, timeout: float) -> None:
    """A gateway without room: it answers soon, but not sooner than a timeout of its caller."""
    if timeout < ANSWERS_IN_S:
        await asyncio.sleep(timeout)
        late = grpc.StatusCode.DEADLINE_EXCEEDED
        raise grpc.aio.AioRpcError(late, grpc.aio.Metadata(), grpc.aio.Metadata(), "late")
    await asyncio.sleep(ANSWERS_IN_S)
    code, text, metadata = call_status(Overloaded("20000 writes wait"))
    raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), text)


@pytest.mark.parametrize("timeout_ms", range(100, 3000, 20))
@in_virtual_time
async def test_the_gateways_words_are_told_and_not_that_the_time_was_up(timeout_ms: int) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with pytest.raises(Overloaded, match="20000 writes wait"):
        await Retries(Numbers()).call(
            _refused, None, "n", timeout_s=timeout_ms / 1000, repeatable=False
        )
    assert loop.time() - began_s <= timeout_ms / 1000
