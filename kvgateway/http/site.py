"""Who answers a request on the HTTP port: the binding's door, the REST door, or a page.

A request that names a namespace is the binding's, whatever its path: a key may be called
`healthz`. `/client/v4/...` is the REST door's; the rest are pages, for people or for probes.
"""

from functools import partial

from kvgateway.http.binding.door import BindingDoor
from kvgateway.http.binding.operations import Asked
from kvgateway.http.dashboard.door import PATHS, Dashboard
from kvgateway.http.naming import named_namespace
from kvgateway.http.pages import Pages
from kvgateway.http.rest import PREFIX
from kvgateway.http.target import split_target
from tandem.runtime.httpd import Answer, App, Request

_BELOW_REST = PREFIX + b"/"


class Site:
    """The HTTP application of one worker process.

    Args:
        host_suffix: requests for `ID.SUFFIX` are the binding's; empty for none.
    """

    def __init__(
        self,
        pages: Pages,
        dashboard: Dashboard,
        binding: BindingDoor,
        host_suffix: str = "",
        rest: App | None = None,
    ) -> None:
        self._pages = pages
        self._dashboard = dashboard
        self._binding = binding
        self._rest = rest
        self._suffix = f".{host_suffix.lower().strip('.')}".encode() if host_suffix else b""

    def __call__(self, request: Request) -> Answer:
        """Answers one request."""
        if isinstance(request.note, Asked):
            return self._binding.again(request.note)
        named = named_namespace(request, self._suffix)
        if named is not None:
            return self._binding.answer(request, *named)
        path = split_target(request.target).path
        if self._rest is not None and path.startswith(_BELOW_REST):
            return self._rest(request)
        if path in PATHS:
            return self._dashboard.answer(request, path)
        return self._pages.answer(request, path)

    def of(self, namespace: str) -> App:
        """The application of a socket that serves one namespace and nothing else."""
        return partial(self._within, namespace)

    def _within(self, namespace: str, request: Request) -> Answer:
        if isinstance(request.note, Asked):
            return self._binding.again(request.note)
        return self._binding.answer(request, namespace, request.target)
