"""The public face of the client library: a namespace as an async dictionary."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from tandem.client.arguments import account_name, check_address, check_kind, check_text, timeout
from tandem.client.calls import BatchResult, Calls, as_read
from tandem.client.channel import GatewayChannel, check_token
from tandem.client.large import LargeValues, Source, StreamedEntry
from tandem.client.listing import Listing
from tandem.client.namespaces import Namespaces
from tandem.client.ops import Ops
from tandem.client.retries import Retries
from tandem.client.session import Session
from tandem.client.tokens import Tokens
from tandem.client.values import Entry, Item, Seen, entry_of, seen_of
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.version import Version
from tandem.errors import InvalidArgument, TandemError
from tandem.runtime.randomness import Entropy, SystemEntropy
from tandem.runtime.tls import TlsFiles
from tandem.wire.codec import JsonText, JsonValue
from tandem.wire.v1 import kv_pb2_grpc

TIMEOUT_S: Final = 10.0
SESSION_KEYS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class _Services:
    namespaces: Namespaces
    tokens: Tokens
    ops: Ops


class Client:
    """A client of one namespace, and of the namespaces' administration.

    Safe to share by any number of tasks of one event loop; concurrent calls travel together::

        async with Client("127.0.0.1:8781", namespace="articles") as kv:
            await kv.put("greeting", "hello", metadata={"lang": "en"}, ttl=3600)
            assert await kv.get("greeting") == b"hello"
            async for key in kv.list(prefix="greet"):
                print(key.name, key.metadata)

    Reads see the client's own writes and never go back in time, through whichever gateway: the
    client remembers the newest version of up to `session_keys_max` keys.

    Every method may raise InvalidArgument, Unauthenticated, PermissionDenied, QuotaExceeded,
    Overloaded (in all of these, nothing was done), NamespaceNotFound and Unavailable. Reads are
    retried until the timeout, within a budget; except where it is the namespace that nobody who
    answers knows: that is Unconfirmed, at once. Changes of namespaces and tokens are retried too,
    but for Unchanged, which says that they need a home that does not answer. A write that ends with
    Unavailable may have happened, or may still happen, and is not retried: the repeat would be a
    *newer* write, which would put back a value that somebody else has replaced in between. Where
    that cannot be, call `put` again.
    """

    def __init__(
        self,
        address: str,
        namespace: str | None = None,
        *,
        token: str = "",
        tls: TlsFiles | None = None,
        account: str = "",
        timeout_s: float = TIMEOUT_S,
        session_keys_max: int = SESSION_KEYS_MAX,
        entropy: Entropy | None = None,
    ) -> None:
        """`namespace` is an id or a title; without one only `namespaces`, `tokens` and `ops` work.

        A gateway on this machine may let clients in without a `token`. With `tls` the connection
        is encrypted; opening the client raises ConfigurationError when its files are no good.
        `account` is whose titles are meant; when it is empty, the token's. InvalidArgument where
        `address` is no host:port, or the token or the account is none.
        """
        self._address = check_address(address)
        self._token = check_token(token)
        self._tls = tls
        check_kind(tls, TlsFiles, "tls")
        self._account = "" if account == "" else account_name(account)
        self._namespace = None if namespace is None else check_text(namespace, "namespace")
        self._timeout_s = timeout(timeout_s)
        self._entropy = entropy or SystemEntropy()
        self._retries = Retries(self._entropy)
        check_kind(session_keys_max, int, "session_keys_max")
        self._session = Session(session_keys_max)
        self._channel: GatewayChannel | None = None
        self._services: _Services | None = None
        self._open_calls: Calls | None = None

    async def __aenter__(self) -> Self:
        if self._channel is not None:
            raise TandemError("the client is open already: share it, or make another one")
        channel = self._channel = GatewayChannel(self._address, self._token, self._tls)
        self._retries.closed = False
        self._open_calls = None
        self._services = _Services(
            Namespaces(channel, self._retries, self._timeout_s, self._account),
            Tokens(channel, self._retries, self._timeout_s, self._account),
            Ops(channel, self._retries, self._timeout_s),
        )
        try:
            if self._namespace is not None:
                self._stub = kv_pb2_grpc.KVStub(channel)
                self._open_calls = Calls(
                    self._stub,
                    await self.namespaces.id_of(self._namespace),
                    self._session,
                    self._retries,
                    self._entropy,
                    self._timeout_s,
                )
                self._large = LargeValues(self._stub, self._open_calls, self._retries)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connection, if there is one; calls under way raise Unavailable."""
        self._retries.closed = True
        if self._open_calls is not None:
            await self._open_calls.aclose()
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    @property
    def namespaces(self) -> Namespaces:
        """Creates, finds and changes namespaces."""
        return self._opened.namespaces

    @property
    def tokens(self) -> Tokens:
        """Creates, lists and revokes tokens."""
        return self._opened.tokens

    @property
    def ops(self) -> Ops:
        """Status, inspection and switches of the gateway behind the address."""
        return self._opened.ops

    async def get(
        self,
        key: str,
        *,
        cache_ttl_s: int = 0,
        min_version: Version | None = None,
        timeout_s: float | None = None,
    ) -> bytes | None:
        """The value of a key; None when there is none.

        `cache_ttl_s` is how old a copy in the gateway's cache may be (at least 30; 0 for the
        gateway's default). `min_version` demands a version that another client got from `put`.
        """
        reply = await self._calls.read(key, cache_ttl_s, min_version, timeout_s)
        return reply.value if reply.found else None

    async def get_with_metadata(
        self,
        key: str,
        *,
        cache_ttl_s: int = 0,
        min_version: Version | None = None,
        timeout_s: float | None = None,
    ) -> Entry | None:
        """The value of a key with metadata, expiration and version; None when there is none."""
        return entry_of(await self._calls.read(key, cache_ttl_s, min_version, timeout_s))

    async def look(
        self,
        key: str,
        *,
        cache_ttl_s: int = 0,
        min_version: Version | None = None,
        timeout_s: float | None = None,
    ) -> Seen:
        """The same with the version of a miss too, which another client can demand to see."""
        return seen_of(await self._calls.read(key, cache_ttl_s, min_version, timeout_s))

    async def put(
        self,
        key: str,
        value: bytes | str,
        *,
        metadata: JsonValue | JsonText = None,
        expires_at: int | datetime | None = None,
        ttl: int | timedelta | None = None,
        above: Version | None = None,
        timeout_s: float | None = None,
    ) -> Version:
        """Stores a value and returns its version.

        `metadata` is whatever JSON can hold, or a JsonText, which is stored letter for letter.
        `expires_at` (seconds since the epoch, or a datetime) and `ttl` (seconds, or a timedelta)
        must lie at least 60 s ahead; `ttl` wins. `above` is a version that another client knows of:
        the write will be newer.
        """
        put = self._calls.put(key, value, metadata, expires_at, ttl, above, timeout_s)
        return await self._calls.written(put, key)

    async def delete(
        self, key: str, *, above: Version | None = None, timeout_s: float | None = None
    ) -> Version:
        """Deletes a key, whether it is there or not, and returns the deletion's version."""
        return await self._calls.written(self._calls.delete(key, above, timeout_s), key)

    async def get_many(
        self, keys: Iterable[str], *, cache_ttl_s: int = 0, timeout_s: float | None = None
    ) -> BatchResult[Entry | None]:
        """Reads many keys; each has its own entry, None or exception. A timeout is for 1,000."""
        return await self._calls.many(
            keys,
            lambda key: self._calls.get(key, cache_ttl_s, None, timeout_s),
            lambda reply: entry_of(as_read(reply)),
        )

    async def put_many(
        self, items: Mapping[str, bytes | str | Item], *, timeout_s: float | None = None
    ) -> BatchResult[Version]:
        """Stores many values; each has its own version or exception. A timeout is for 1,000."""
        return await self._calls.put_many(items, timeout_s)

    async def delete_many(
        self, keys: Iterable[str], *, timeout_s: float | None = None
    ) -> BatchResult[Version]:
        """Deletes many keys; each has its own version or exception. A timeout is for 1,000."""
        return await self._calls.many(
            keys,
            lambda key: self._calls.delete(key, None, timeout_s),
            lambda reply: Version(reply.version),
        )

    def list(
        self,
        prefix: str = "",
        *,
        after: str = "",
        limit: int | None = None,
        page_size: int = LIST_PAGE_MAX,
        timeout_s: float | None = None,
    ) -> Listing:
        """The names that begin with `prefix` and come after `after`, in byte order, at most
        `limit` (1 or more) of them: iterate it by `async for`.

        A listing may lag behind writes made through other gateways, and further where it says that
        it is `stale`. `timeout_s` is for one page.
        """
        namespace_id = self._calls.namespace_id
        page_s = self._timeout_s if timeout_s is None else timeout(timeout_s)
        return Listing(
            self._stub, self._retries, namespace_id, prefix, after, limit, page_size, page_s
        )

    async def put_stream(
        self,
        key: str,
        source: Source,
        *,
        metadata: JsonValue | JsonText = None,
        expires_at: int | datetime | None = None,
        ttl: int | timedelta | None = None,
        timeout_s: float | None = None,
    ) -> Version:
        """Stores a value that comes in pieces. Nothing is written when `source` raises."""
        put = self._calls.put(key, b"", metadata, expires_at, ttl, None, timeout_s)
        return await self._large.put(key, put, source)

    async def get_stream(
        self, key: str, *, cache_ttl_s: int = 0, timeout_s: float | None = None
    ) -> StreamedEntry | None:
        """The entry of a key with its value in pieces; None when there is none.

        The timeout covers the whole value. An outage after the first piece ends the iteration with
        Unavailable; ask again then.
        """
        get = self._calls.get(key, cache_ttl_s, None, timeout_s)
        return await self._large.get(key, get)

    @property
    def _opened(self) -> _Services:
        if self._services is None:
            raise TandemError("the client is not open: use it in `async with`")
        return self._services

    @property
    def _calls(self) -> Calls:
        if self._open_calls is None:
            raise InvalidArgument(
                "namespace", "the client is not open, or was made without a namespace"
            )
        return self._open_calls
