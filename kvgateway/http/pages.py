"""The pages for probes and collectors: `/healthz`, `/readyz`, `/metrics`."""

from collections.abc import Callable
from pathlib import Path

from tandem.runtime.clock import Clock
from tandem.runtime.httpd import Request, Response
from tandem.runtime.snapshots import render

TEXT = ((b"Content-Type", b"text/plain; charset=utf-8"),)
_NO_SUCH_PAGE = b"no such page; /dashboard shows this gateway, docs/workers.md the way to KV\n"
_PROMETHEUS = ((b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8"),)


class Pages:
    """What one worker shows of its machine.

    Args:
        unready: why the worker cannot serve now; empty when it can.
        snapshots: where all workers of the machine leave their metrics.
    """

    def __init__(self, unready: Callable[[], str], snapshots: Path, clock: Clock) -> None:
        self._unready = unready
        self._snapshots = snapshots
        self._clock = clock

    def answer(self, request: Request, path: bytes) -> Response:
        """The page under a path."""
        match path:
            case b"/healthz":
                page = Response(200, b"alive\n", TEXT)
            case b"/readyz":
                why = self._unready()
                page = Response(503 if why else 200, f"{why or 'ready'}\n".encode(), TEXT)
            case b"/metrics":
                page = Response(200, render(self._snapshots, self._clock.now_us()), _PROMETHEUS)
            case _:
                return Response(404, _NO_SUCH_PAGE, TEXT)
        if request.method not in (b"GET", b"HEAD"):
            return only_get()
        return page


def only_get() -> Response:
    """The answer to any other method."""
    return Response(405, b"only GET is known here\n", (*TEXT, (b"Allow", b"GET, HEAD")))
