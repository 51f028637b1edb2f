"""What a request of the binding asks for: method and raw target to an operation of the data path.

    GET, HEAD  /KEY?urlencoded=true[&cache_ttl=]                         Read
    GET, HEAD  /[?key_count_limit=][&prefix=][&cursor=]                  Listing
    POST       /bulk/get                                                 BULK_READ
    PUT        /KEY?urlencoded=true[&expiration=][&expiration_ttl=]      Put, or Upload
    DELETE     /KEY?urlencoded=true                                      Delete

The route goes by the raw path: a key named `bulk/get` arrives as `/bulk%2Fget`.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from kvgateway.http.binding.refusals import WrongMethod
from kvgateway.http.bodies import small_value_of
from kvgateway.http.session import min_version_of
from kvgateway.http.target import decoded, query_parameters, split_target, whole_number
from tandem.core.envelope import Value
from tandem.core.key import Key, check_name, check_name_length
from tandem.core.namespace import check_namespace_id
from tandem.core.request import (
    Delete,
    Listing,
    Put,
    Read,
    check_cache_ttl,
    check_expiration,
    check_metadata,
    check_page_limit,
)
from tandem.core.version import NO_VERSION, Version
from tandem.errors import InvalidArgument
from tandem.runtime.httpd import Request
from tandem.wire.cursor import decode_cursor

_METADATA: Final = b"cf-kv-metadata"
_BULK: Final = b"/bulk/get"
_ALWAYS_SENT: Final = b"urlencoded=true"
_NOTHING: Final[Mapping[str, str]] = {}

NowS: TypeAlias = Callable[[], int]
"""The homes' time in seconds, for the few requests that depend on it."""


class Upload(NamedTuple):
    """A put whose value is still to come, or large."""

    key: Key
    metadata: bytes
    expires_at_s: int | None
    ttl_s: int | None
    above: Version

    def put(self, value: Value, now_s: int) -> Put:
        """The put with its value, which came in whole at `now_s`: a ttl counts from then."""
        expires_at_s = check_expiration(self.expires_at_s, self.ttl_s, now_s)
        return Put(self.key, value, self.metadata, expires_at_s, self.above)


class Bulk(enum.Enum):
    """What is said by the body alone."""

    READ = enum.auto()


Operation = Read | Listing | Bulk | Put | Upload | Delete


class Asked(NamedTuple):
    """Who asks for what, as a head says it: noted on a request that may come again."""

    credential: str
    reads: tuple[Read]


def operation_of(request: Request, namespace: str, raw: bytes, now_s: NowS) -> Operation:
    """The operation that a request asks for in a namespace; `raw` is its target.

    Raises InvalidArgument, NamespaceNotFound or WrongMethod.
    """
    namespace = check_namespace_id(namespace)
    _, path, query = split_target(raw)
    match request.method:
        case b"GET" | b"HEAD":
            if path in (b"", b"/"):
                return _listing(namespace, query)
            return _read(request, namespace, path, query)
        case b"PUT":
            return _put(request, namespace, path, query, now_s)
        case b"DELETE":
            key = Key(namespace, _name(path, _parameters(query)))
            return Delete(key, min_version_of(request))
        case b"POST" if path == _BULK:
            if min_version_of(request) != NO_VERSION:
                raise InvalidArgument("Tandem-Min-Version", "speaks of one key: read it by itself")
            return Bulk.READ
        case _:
            raise WrongMethod(_methods(path))


def _methods(path: bytes) -> bytes:
    """Those that a path has."""
    if path in (b"", b"/"):
        return b"GET, HEAD"
    return b"GET, HEAD, PUT, DELETE, POST" if path == _BULK else b"GET, HEAD, PUT, DELETE"


def _read(request: Request, namespace: str, path: bytes, query: bytes) -> Read:
    parameters = _parameters(query)
    cache_ttl_s = None
    if parameters is not _NOTHING:
        cache_ttl_s = check_cache_ttl(_number(parameters, "cache_ttl", "cache_ttl_s"))
    return Read(Key(namespace, _name(path, parameters)), min_version_of(request), cache_ttl_s)


def _listing(namespace: str, query: bytes) -> Listing:
    parameters = query_parameters(query)
    limit = check_page_limit(_number(parameters, "key_count_limit", "limit"))
    prefix = parameters.get("prefix", "")
    check_name_length(prefix, "prefix")
    after = decode_cursor(namespace, prefix, parameters.get("cursor", ""))
    return Listing(namespace, prefix, after, limit)


def _put(request: Request, namespace: str, path: bytes, query: bytes, now_s: NowS) -> Put | Upload:
    parameters = _parameters(query)
    key = Key(namespace, _name(path, parameters))
    expires_at_s = ttl_s = None
    end_s = 0
    if parameters is not _NOTHING:
        ttl_s = _number(parameters, "expiration_ttl", "expiration_ttl_s")
        if ttl_s is None:
            expires_at_s = _number(parameters, "expiration", "expires_at_s")
        end_s = check_expiration(expires_at_s, ttl_s, now_s())
    metadata = request.get(_METADATA, b"")
    check_metadata(metadata)
    above, value = min_version_of(request), small_value_of(request)
    if value is None:
        return Upload(key, metadata, expires_at_s, ttl_s, above)
    return Put(key, value, metadata, end_s, above)


def _parameters(query: bytes) -> Mapping[str, str]:
    """None but `urlencoded=true` is what most requests have: `_NOTHING` stands for it."""
    return _NOTHING if query == _ALWAYS_SENT else query_parameters(query)


def _name(path: bytes, parameters: Mapping[str, str]) -> str:
    """The key's name: the path behind its slash, which is literal unless `urlencoded` is true."""
    if parameters is _NOTHING or parameters.get("urlencoded", "").lower() == "true":
        name = decoded(path[1:], "key")
    else:
        name = _literal(path[1:])
    check_name(name)
    return name


def _literal(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument("key", f"is not valid UTF-8 at byte {error.start}") from None


def _number(parameters: Mapping[str, str], name: str, field: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    return whole_number(text, field)
