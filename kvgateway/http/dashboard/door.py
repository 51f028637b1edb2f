"""Answers `/dashboard` with its files, and `/status` with the gateway's status as JSON.

The files tell nothing of this gateway, so everybody may have them. The status is for whom the Ops
service tells it; a browser sends no token by itself, so the page asks for one and shows it.
"""

import json
from pathlib import Path
from typing import Final

from kvgateway.http.binding.refusals import refusal
from kvgateway.http.credentials import credential_of
from kvgateway.http.pages import only_get
from kvgateway.service import Entrance
from tandem.core.status_document import status_document
from tandem.errors import TandemError
from tandem.runtime.httpd import Answer, Request, Response
from tandem.runtime.httpd.message import Headers

STATUS: Final = b"/status"
_FILES: Final = {
    b"/dashboard": ("page.html", b"text/html; charset=utf-8"),
    b"/dashboard/page.css": ("page.css", b"text/css; charset=utf-8"),
    b"/dashboard/page.js": ("page.js", b"text/javascript; charset=utf-8"),
    b"/dashboard/figures.js": ("figures.js", b"text/javascript; charset=utf-8"),
}
PATHS: Final = frozenset((STATUS, *_FILES))
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    b" img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILE_HEADERS: Final = (
    (b"Cache-Control", b"no-cache"),
    (b"Content-Security-Policy", _POLICY),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Content-Type-Options", b"nosniff"),
)
_STATUS_HEADERS: Final = (
    (b"Content-Type", b"application/json"),
    (b"Cache-Control", b"no-store"),
)


class Dashboard:
    """Serves every path in PATHS."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._files = {path: _read(name, kind) for path, (name, kind) in _FILES.items()}

    def answer(self, request: Request, path: bytes) -> Answer:
        """Answers one request."""
        if request.method not in (b"GET", b"HEAD"):
            return only_get()
        if path == STATUS:
            return self._status(request)
        content, headers = self._files[path]
        return Response(200, content, headers)

    async def _status(self, request: Request) -> Response:
        try:
            credential = credential_of(request)
            caller = self._entrance.known(credential) or await self._entrance.find(credential)
            status = await caller.operations.status()
        except TandemError as error:
            return refusal(error)
        return Response(200, json.dumps(status_document(status)).encode(), _STATUS_HEADERS)


def _read(name: str, kind: bytes) -> tuple[bytes, Headers]:
    headers = ((b"Content-Type", kind), *_FILE_HEADERS)
    return Path(__file__).with_name(name).read_bytes(), headers
