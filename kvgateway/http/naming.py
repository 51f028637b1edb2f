"""Which namespace a request names, if it names one: workerd's requests do not say it themselves.

    header        CF-KV-Namespace-ID: ID, injected by the configuration of workerd
    host          ID.SUFFIX, where a suffix is configured
    path          /namespaces/ID/..., for adapter Workers and for people with curl

The first of them that applies counts.
"""

from typing import Final, TypeAlias

from kvgateway.http.target import Target, split_target
from tandem.runtime.httpd import Request

_HEADER: Final = b"cf-kv-namespace-id"
_PREFIX: Final = b"/namespaces/"

Named: TypeAlias = tuple[str, bytes]
"""A namespace as it was named, unchecked, and the raw target within it."""


def named_namespace(request: Request, suffix: bytes) -> Named | None:
    """The namespace that the request names; None when it names none.

    `suffix` begins with a dot and is in lower case; an empty one stands for none.
    """
    header = request.get(_HEADER)
    if header is not None:
        return header.decode("latin-1"), request.target
    target = split_target(request.target)
    if suffix:
        label = _label(target.authority or request.get(b"host") or b"", suffix)
        if label is not None:
            return label, request.target
    if target.path.startswith(_PREFIX):
        return _in_path(target)
    return None


def _in_path(target: Target) -> Named:
    name, _, rest = target.path[len(_PREFIX) :].partition(b"/")
    return name.decode("latin-1"), b"/%b?%b" % (rest, target.query)


def _label(host: bytes, suffix: bytes) -> str | None:
    name, _, _ = host.lower().partition(b":")
    if not name.endswith(suffix):
        return None
    return name[: -len(suffix)].decode("latin-1")
