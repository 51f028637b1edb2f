"""The credential that comes with an HTTP request."""

from tandem.errors import Unauthenticated
from tandem.runtime.httpd import Request

_BEARER = b"bearer "


def credential_of(request: Request) -> str:
    """The token of `Authorization: Bearer`, or the key of Cloudflare's older `X-Auth-Key`; empty
    when there is neither.

    Raises Unauthenticated for any other kind of Authorization.
    """
    header = request.get(b"authorization")
    if header is None:
        return (request.get(b"x-auth-key") or b"").decode("latin-1").strip()
    if header[: len(_BEARER)].lower() != _BEARER:
        raise Unauthenticated("Authorization is not of the form: Bearer TOKEN")
    return header[len(_BEARER) :].decode("latin-1").strip()
