"""A small HTTP/1.1 server that gives the application the wire as it was.

Why our own: the protocol of workerd's KV binding carries its error messages in the *reason phrase*
of the status line and needs the undecoded path and raw header bytes. ASGI has no field for a reason
phrase (uvicorn sends the standard one, hypercorn none, granian speaks the same interfaces); aiohttp
can send it but refuses a DEL byte in a header value, as does uvicorn with httptools, and real
metadata holds such bytes. All that was measured; and each of them closes or drops an unread request
body, on which workerd hangs or reports a lost connection.

An application is a callable that takes a `Request` and returns a `Response`, an awaitable of one,
or a `Later`. A `Response` costs no task (the path of a cache hit), nor does a `Later` (a small
write).
"""

from tandem.runtime.httpd.head import encode_headers
from tandem.runtime.httpd.limits import HttpLimits
from tandem.runtime.httpd.message import (
    Answer,
    App,
    Body,
    BodyMalformed,
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    HttpError,
    Later,
    Request,
    Response,
)
from tandem.runtime.httpd.server import Server
from tandem.runtime.httpd.site import HttpStats

__all__ = [
    "Answer",
    "App",
    "Body",
    "BodyMalformed",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientGone",
    "HttpError",
    "HttpLimits",
    "HttpStats",
    "Later",
    "Request",
    "Response",
    "Server",
    "encode_headers",
]
