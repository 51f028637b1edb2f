"""The way to one of our own gRPC servers."""

import os
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final, Self, TypeAlias, cast

import grpc.aio

from tandem.errors import TandemError
from tandem.runtime.clock import Clock, SystemClock
from tandem.runtime.tls import TlsFiles, Watched
from tandem.runtime.tls.files import Contents

_DIRECT: Final = ("grpc.enable_http_proxy", 0)
"""gRPC would go through a proxy named in `http_proxy` or `https_proxy`, even to this machine; one
that is meant for web pages does not let it pass."""
_LOCAL: Final = ("grpc.ssl_target_name_override", "localhost")
_EVERYWHERE: Final = ("0.0.0.0:", "[::]:")
"""Who connects to what listens on every address reaches this machine, whose name is localhost."""
Options: TypeAlias = tuple[tuple[str, Any], ...]


def open_channel(
    address: str, *options: tuple[str, Any], tls: TlsFiles | None = None
) -> grpc.aio.Channel:
    """A channel to the server at `address`; it connects when it is first used.

    With `tls` the files are read here: ConfigurationError when they are no good. TandemError in a
    process that was forked from one with a channel: gRPC's threads are not in it, so nothing would
    ever be answered.
    """
    if os.getpid() != _process():
        raise TandemError(
            "gRPC was in use when this process was forked, and cannot work in it:"
            " fork before the first client is opened, or start processes by spawn"
        )
    if tls is None:
        return grpc.aio.insecure_channel(address, options=(*options, _DIRECT))
    named = (_LOCAL,) if address.startswith(_EVERYWHERE) else ()
    channel = TlsChannel(address, (*options, _DIRECT, *named), tls, SystemClock())
    return cast(grpc.aio.Channel, channel)  # all of it that stubs use


@cache
def _process() -> int:
    """The one that opened the first channel."""
    return os.getpid()


class TlsChannel:
    """A channel whose files may be replaced: calls that begin from then on use the new ones. What
    goes on longer, as a stream does, goes on until the files have been replaced once more."""

    def __init__(self, address: str, options: Options, files: TlsFiles, clock: Clock) -> None:
        self._address = address
        self._options = options
        self._credentials = Watched(files, _credentials, clock)
        self._used = self._credentials.current
        self._channels = deque([self._connected()], maxlen=2)  # a channel that is dropped closes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """See `grpc.aio.Channel`, as for the others."""
        for channel in self._channels:
            await channel.close(grace)

    def unary_unary(self, method: str, **form: object) -> Callable[..., Any]:
        return partial(self._call, "unary_unary", method, form)

    def unary_stream(self, method: str, **form: object) -> Callable[..., Any]:
        return partial(self._call, "unary_stream", method, form)

    def stream_unary(self, method: str, **form: object) -> Callable[..., Any]:
        return partial(self._call, "stream_unary", method, form)

    def stream_stream(self, method: str, **form: object) -> Callable[..., Any]:
        return partial(self._call, "stream_stream", method, form)

    def _call(
        self, shape: str, method: str, form: Mapping[str, object], *given: object, **named: object
    ) -> object:
        return getattr(self._latest(), shape)(method, **form)(*given, **named)

    def _latest(self) -> grpc.aio.Channel:
        self._credentials.look_when_due()
        if self._credentials.current is not self._used:
            self._used = self._credentials.current
            self._channels.append(self._connected())
        return self._channels[-1]

    def _connected(self) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(self._address, self._used, options=self._options)


def _credentials(contents: Contents) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        contents.ca, contents.key or None, contents.certificate or None
    )
