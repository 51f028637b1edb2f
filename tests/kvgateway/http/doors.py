"""The HTTP site of a gateway in memory, on a real server; and how workerd would speak to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kvgateway.access.body_room import BodyRoom
from kvgateway.http.binding.door import BindingDoor
from kvgateway.http.dashboard.door import Dashboard
from kvgateway.http.pages import Pages
from kvgateway.http.patience import Patience
from kvgateway.http.site import Site
from tandem.core.key import Key
from tandem.core.record import Kind, Record
from tandem.runtime.httpd import App, HttpLimits
from tests.kvgateway.open_entrance import OpenEntrance
from tests.kvgateway.rpc.memory_admin import MemoryOperations, MemoryRegistry
from tests.kvgateway.rpc.memory_store import NAMESPACE, MemoryStore
from tests.runtime.clocks import StillClock
from tests.runtime.wire import Answer, Served, serving

NOW_S = 1_700_000_000
HEADER = b"CF-KV-Namespace-ID: " + NAMESPACE.encode()


@dataclass
class Door:
    """What stands behind a site, and the way to it."""

    clock: StillClock
    store: MemoryStore
    entrance: OpenEntrance
    site: Site
    unready: list[str] = field(default_factory=lambda: [""])
    served: Served = field(init=False)

    async def ask(
        self, method: str, target: str | bytes, *headers: bytes, body: bytes = b""
    ) -> Answer:
        """One request for the namespace, as workerd's injected header names it."""
        return await self.raw(request(method, target, HEADER, *headers, body=body))

    async def raw(self, sent: bytes) -> Answer:
        """The answer to these bytes."""
        wire = await self.served.connect()
        await wire.send(sent)
        answer = await wire.answer(head_only=sent.startswith(b"HEAD"))
        wire.close()
        return answer

    async def put(self, name: str, value: bytes = b"v", *headers: bytes) -> Answer:
        """Puts an ASCII name, which must succeed."""
        answer = await self.ask("PUT", f"/{name}?urlencoded=true", *headers, body=value)
        assert answer.status == 200
        return answer

    async def get(self, name: str, *headers: bytes) -> Answer:
        return await self.ask("GET", f"/{name}?urlencoded=true", *headers)

    def stored(self) -> dict[str, Record]:
        """What the namespace holds."""
        return {
            key.name: record
            for key, record in self.store.records.items()
            if key.namespace == NAMESPACE and record.kind is Kind.VALUE
        }

    def record(self, name: str) -> Record:
        return self.store.records[Key(NAMESPACE, name)]


def request(method: str, target: str | bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """A request as workerd writes it: the length first, then the host, then what is injected."""
    raw = target.encode() if isinstance(target, str) else target
    lines = [b"%b %b HTTP/1.1" % (method.encode(), raw)]
    if body or method in ("PUT", "DELETE", "POST"):
        lines.append(b"Content-Length: %d" % len(body))
    if not any(header.lower().startswith(b"host:") for header in headers):
        lines.append(b"Host: fake-host")
    return b"\r\n".join([*lines, *headers, b"", body])


@asynccontextmanager
async def opened(
    directory: Path,
    *,
    suffix: str = "",
    rest: App | None = None,
    limits: HttpLimits | None = None,
    room: BodyRoom | None = None,
) -> AsyncIterator[Door]:
    clock = StillClock()
    store = MemoryStore(clock)
    entrance = OpenEntrance(store, MemoryRegistry(), MemoryOperations())
    unready = [""]
    site = Site(
        Pages(lambda: unready[0], directory, clock),
        Dashboard(entrance),
        BindingDoor(entrance, clock, room or BodyRoom(), Patience()),
        suffix,
        rest,
    )
    door = Door(clock, store, entrance, site, unready)
    async with serving(site, limits) as served:
        door.served = served
        yield door
        assert not served.log.events, "a request met a bug"
