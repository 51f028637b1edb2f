"""What is served under which path: `/healthz`, `/readyz`, `/metrics`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tandem.runtime.clock import Clock
from tandem.runtime.httpd import Request, Response
from tandem.runtime.snapshots import render

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
_PROMETHEUS = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)


class Site:
    """The HTTP application of one worker process.

    Args:
        unready: why the worker cannot serve now; empty when it can.
        snapshots: where all workers of the machine leave their metrics.
    """

    def __init__(self, unready: Callable[[], str], snapshots: Path, clock: Clock) -> None:
        self._unready = unready
        self._snapshots = snapshots
        self._clock = clock

    def __call__(self, request: Request) -> Response:
        """Answers one request."""
        if request.method not in (b"GET", b"HEAD"):
            return Response(405, b"only GET is known here\n", (*_TEXT, (b"allow", b"GET, HEAD")))
        match request.target.partition(b"?")[0]:
            case b"/healthz":
                return Response(200, b"alive\n", _TEXT)
            case b"/readyz":
                why = self._unready()
                return Response(503, f"{why}\n".encode(), _TEXT) if why else _ready()
            case b"/metrics":
                return Response(200, render(self._snapshots, self._clock.now_us()), _PROMETHEUS)
            case _:
                return Response(404, b"no such page\n", _TEXT)


_ready = partial(Response, 200, b"ready\n", _TEXT)
