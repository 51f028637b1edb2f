"""The credential that comes with an HTTP request."""

from typing import Final

from tandem.errors import Unauthenticated
from tandem.runtime.httpd import Request

_BEARER: Final = b"bearer "


def credential_of(request: Request) -> str:
    """The token of `Authorization: Bearer`, or the key of Cloudflare's older `X-Auth-Key`; empty
    when there is neither.

    Raises Unauthenticated for any other kind of Authorization, and for a web page's request without
    a credential: on an open door, any page that is looked at on this machine would be an admin.
    """
    header = request.get(b"authorization")
    credential = _older_key(request) if header is None else _bearer(header)
    if not credential and _is_of_a_page(request):
        raise Unauthenticated("a request from a web page needs a token, also where others do not")
    return credential


def _is_of_a_page(request: Request) -> bool:
    """A page cannot leave these out of what it sends to another site, and other clients have no
    reason to send them."""
    return request.get(b"origin") is not None or request.get(b"sec-fetch-site") is not None


def _older_key(request: Request) -> str:
    key = request.get(b"x-auth-key")
    return "" if key is None else key.decode("latin-1").strip()


def _bearer(header: bytes) -> str:
    if header[: len(_BEARER)].lower() != _BEARER:
        raise Unauthenticated("Authorization is not of the form: Bearer TOKEN")
    return header[len(_BEARER) :].decode("latin-1").strip()
