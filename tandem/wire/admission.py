"""How the gateway says that it has admitted a stream, before a client sends more on it.

Python's gRPC reports INTERNAL, for good, when a message is sent while the status of a refused
stream is on its way. So a client sends only what the gateway is waiting for. That initial metadata
came is not enough: those of a refused stream come too, and are empty.
"""

from collections.abc import Iterable
from typing import Any, Final

import grpc

_ADMITTED: Final = ("tandem-stream", "admitted")


async def admit(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """Tells the client of a stream to go on."""
    await context.send_initial_metadata((_ADMITTED,))


async def is_admitted(call: Any) -> bool:  # noqa: ANN401
    """Waits until a stream is admitted; False: it is not, and its status says why.

    Raises AioRpcError when the call fails before.
    """
    metadata: Iterable[Any] = await call.initial_metadata()
    return _ADMITTED in {tuple(item) for item in metadata}
