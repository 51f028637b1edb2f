"""The connection to a gateway, and the token that every call over it carries."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tandem.client.arguments import check_text
from tandem.core.limits import BATCH_BYTES_MAX, MIB
from tandem.errors import InvalidArgument
from tandem.runtime.rpc_channel import open_channel
from tandem.runtime.tls import TlsFiles

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", BATCH_BYTES_MAX + 1 * MIB),
    ("grpc.max_send_message_length", BATCH_BYTES_MAX + 1 * MIB),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A connection of its own for each client: the kernel spreads connections over the gateway's
    # worker processes.
    ("grpc.use_local_subchannel_pool", 1),
)


class GatewayChannel:
    """What the stubs are made with. gRPC has credentials for calls over TLS alone, and its
    interceptors cost every message of a stream; so the calls are made with the metadata bound."""

    def __init__(self, address: str, token: str, tls: TlsFiles | None) -> None:
        self._channel: Any = open_channel(address, *_OPTIONS, tls=tls)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def close(self) -> None:
        """Closes the connection; calls under way end."""
        await self._channel.close()

    def unary_unary(self, method: str, **form: object) -> Callable[..., Any]:
        """See `grpc.aio.Channel`."""
        return partial(self._channel.unary_unary(method, **form), metadata=self._metadata)

    def unary_stream(self, method: str, **form: object) -> Callable[..., Any]:
        """See `grpc.aio.Channel`."""
        return partial(self._channel.unary_stream(method, **form), metadata=self._metadata)

    def stream_unary(self, method: str, **form: object) -> Callable[..., Any]:
        """See `grpc.aio.Channel`."""
        return partial(self._channel.stream_unary(method, **form), metadata=self._metadata)

    def stream_stream(self, method: str, **form: object) -> Callable[..., Any]:
        """See `grpc.aio.Channel`."""
        return partial(self._channel.stream_stream(method, **form), metadata=self._metadata)


def check_token(text: str) -> str:
    """`text`; InvalidArgument unless it can travel in a call's metadata."""
    check_text(text, "token")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise InvalidArgument("token", "must consist of printable ASCII without spaces")
    return text
