"""The REST API over a store in memory, on a real server; and how a client speaks to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kvgateway.access.body_room import BodyRoom
from kvgateway.http.rest import RestApp
from tandem.core.key import Key
from tandem.core.record import Kind, Record
from tandem.runtime.httpd import HttpLimits
from tests.kvgateway.open_entrance import OpenEntrance
from tests.kvgateway.rpc.memory_admin import MemoryOperations, MemoryRegistry
from tests.kvgateway.rpc.memory_store import NAMESPACE, MemoryStore
from tests.runtime.clocks import StillClock
from tests.runtime.wire import Answer, Served, serving

ROOT = "/client/v4"
KV = f"{ROOT}/accounts/default/storage/kv/namespaces"
ONE = f"{KV}/{NAMESPACE}"
NOW_S = 1_700_000_000
FORM = b"Content-Type: multipart/form-data; boundary=cut"


@dataclass
class Api:
    """What stands behind the API, and the way to it."""

    clock: StillClock
    store: MemoryStore
    registry: MemoryRegistry
    entrance: OpenEntrance
    app: RestApp
    served: Served = field(init=False)

    async def ask(
        self, method: str, target: str | bytes, body: bytes | str = b"", *headers: bytes
    ) -> Answer:
        """The answer to one request; every failure must be in its envelope."""
        wire = await self.served.connect()
        await wire.send(request(method, target, body, *headers))
        answer = await wire.answer(head_only=method == "HEAD")
        wire.close()
        if method != "HEAD" and answer.status >= 400:
            assert answer.headers[b"content-type"] == b"application/json"
            envelope = json.loads(answer.body)
            assert (envelope["success"], envelope["result"]) == (False, None)
            assert envelope["messages"] == []
        return answer

    async def done(
        self, method: str, target: str | bytes, body: bytes | str = b"", *headers: bytes
    ) -> Any:  # noqa: ANN401 - it is whatever JSON says
        """The envelope of an answer that must be a success."""
        answer = await self.ask(method, target, body, *headers)
        assert answer.status == 200, answer.body
        assert answer.headers[b"content-type"] == b"application/json"
        envelope = json.loads(answer.body)
        assert (envelope["success"], envelope["errors"], envelope["messages"]) == (True, [], [])
        return envelope

    async def refused(
        self, method: str, target: str | bytes, body: bytes | str = b"", *headers: bytes
    ) -> tuple[int, int, str]:
        """Status, code and message of an answer that must be a failure."""
        answer = await self.ask(method, target, body, *headers)
        return failure_in(answer)

    async def put(self, name: str, value: bytes | str = b"v", query: str = "") -> None:
        """Puts a name that needs no encoding."""
        await self.done("PUT", f"{ONE}/values/{name}{query}", value)

    def stored(self) -> dict[str, Record]:
        """The values that the namespace holds."""
        return {
            key.name: record
            for key, record in self.store.records.items()
            if key.namespace == NAMESPACE and record.kind is Kind.VALUE
        }

    def record(self, name: str) -> Record:
        return self.store.records[Key(NAMESPACE, name)]


def failure_in(answer: Answer) -> tuple[int, int, str]:
    """Status, code and message."""
    [error] = json.loads(answer.body)["errors"]
    return answer.status, error["code"], error["message"]


def request(method: str, target: str | bytes, body: bytes | str = b"", *headers: bytes) -> bytes:
    raw = target.encode() if isinstance(target, str) else target
    sent = body.encode() if isinstance(body, str) else body
    lines = [b"%b %b HTTP/1.1" % (method.encode(), raw), b"Host: h", *headers]
    if sent or method in ("PUT", "POST"):
        lines.append(b"Content-Length: %d" % len(sent))
    return b"\r\n".join([*lines, b"", sent])


def form(*parts: tuple[str, bytes], file: bool = False) -> bytes:
    """A form cut by `cut`."""
    name_of = '; filename="blob"\r\nContent-Type: application/octet-stream' if file else ""
    pieces = [
        b'--cut\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (name.encode(), name_of.encode(), content)
        for name, content in parts
    ]
    return b"".join([*pieces, b"--cut--\r\n"])


@asynccontextmanager
async def opened(
    *, limits: HttpLimits | None = None, room: BodyRoom | None = None
) -> AsyncIterator[Api]:
    clock = StillClock()
    store, registry = MemoryStore(clock), MemoryRegistry()
    entrance = OpenEntrance(store, registry, MemoryOperations())
    app = RestApp(entrance, clock, room or BodyRoom())
    api = Api(clock, store, registry, entrance, app)
    async with serving(app, limits) as served:
        api.served = served
        yield api
        assert not served.log.events, "a request met a bug"
