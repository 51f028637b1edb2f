"""Which operation answers which method and path.

Paths are matched raw: a key is everything behind `/values/`, slashes included, since some clients
do not encode them, and decoding comes after.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kvgateway.http.rest.call import Call
from tandem.runtime.httpd import Response

_PART: Final = re.compile(r"\{(\w+)\}")
_GREEDY: Final = "key_name"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation."""

    method: str
    template: str
    """Its path below the API's prefix, as the OpenAPI description writes it."""
    operation: str
    """How messages name it."""
    run: Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Place:
    """One path with the operations on it."""

    pattern: re.Pattern[bytes]
    routes: Mapping[bytes, Route]

    @property
    def allowed(self) -> bytes:
        """Its methods, for the header `Allow`. HEAD works as GET does."""
        return b", ".join(b"GET, HEAD" if method == b"GET" else method for method in self.routes)


class RouteTable:
    """All that there is."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        by_template: dict[str, dict[bytes, Route]] = {}
        for route in self.routes:
            by_template.setdefault(route.template, {})[route.method.encode()] = route
        self._places = [Place(_pattern(t), methods) for t, methods in by_template.items()]

    def find(self, path: bytes) -> tuple[Place, Mapping[str, bytes]] | None:
        """The place of a raw path, and its variable parts, still encoded."""
        for place in self._places:
            if found := place.pattern.fullmatch(path):
                return place, found.groupdict()
        return None


def _pattern(template: str) -> re.Pattern[bytes]:
    def group(part: re.Match[str]) -> str:
        return f"(?P<{part[1]}>{'.*' if part[1] == _GREEDY else '[^/]+'})"

    return re.compile(_PART.sub(group, template).encode(), re.DOTALL)
