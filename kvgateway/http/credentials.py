"""The credential that comes with an HTTP request."""

from typing import Final

from tandem.errors import Unauthenticated
from tandem.runtime.httpd import Request

_BEARER: Final = b"bearer"


def credential_of(request: Request) -> str:
    """The token of `Authorization: Bearer`, or the key of Cloudflare's older `X-Auth-Key`; empty
    when there is neither.

    Raises Unauthenticated for any other kind of Authorization, and for a web page's request without
    a credential: on an open door, any page that is looked at on this machine would be an admin.
    """
    header = request.get(b"authorization")
    if header is None:
        credential = request.get(b"x-auth-key", b"").decode("latin-1")
    else:
        credential = _bearer(header)
    if not credential and _is_of_a_page(request):
        raise Unauthenticated("a request from a web page needs a token, also where others do not")
    return credential


def _is_of_a_page(request: Request) -> bool:
    """A page cannot leave these out of what it sends to another site, and other clients have no
    reason to send them."""
    return b"origin" in request.headers or b"sec-fetch-site" in request.headers


def _bearer(header: bytes) -> str:
    scheme, _, token = header.partition(b" ")
    if scheme.lower() != _BEARER:
        raise Unauthenticated("Authorization is not of the form: Bearer TOKEN")
    return token.decode("latin-1").lstrip()
