"""An S3 store in memory under the real client of ours: its conditions, its rounds, its ETag hints.

Only signing, HTTP and sockets are left out; each request and each reply has its own weather.
"""

from email.utils import formatdate
from typing import Any, Final, cast
from xml.sax.saxutils import escape

from tandem.backends.s3.address import Address
from tandem.backends.s3.bucket import Answer, Bucket, Call
from tandem.backends.s3.exchange import FailureKind, HttpReply, TransportError
from tandem.backends.s3.replies import VERSION_HEADER
from tandem.backends.s3.sigv4 import Credentials
from tandem.backends.s3.store import S3Home
from tandem.backends.s3.store_clock import StoreClock
from tandem.backends.s3.verdict import Verdict
from tandem.core.envelope import open_envelope
from tandem.core.key import Key, decode_object_name, object_name
from tandem.core.record import Record
from tandem.core.version import Version
from tandem.runtime.clock import Clock
from tests.sim.faults import Link, Loss, What

SIGNATURE_AGE_MAX_US: Final = 15 * 60 * 1_000_000
PREFIX: Final = "tandem/"
_KEY: Final = Credentials("simulated", "simulated")
_ADDRESS: Final = Address("bucket", "s3", 80, False, "s3", "/bucket/", "us-east-1", None)
_VERDICT: Final = Verdict(True, False, True, 0, "simulated", 0)
_LOSSES: Final = {Loss.TIMEOUT: FailureKind.TIMEOUT, Loss.REFUSED: FailureKind.REFUSED}


class ObjectStore:
    """The objects of one bucket, and what its front end says to a request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[bytes, str, str]] = {}
        """Body, ETag and version header by name."""
        self._corrupt: dict[str, str] = {}
        """ETags of bodies that have gone bad, by name."""

    def answer(self, call: Call, signed_at_us: int) -> HttpReply:
        """Does what is asked, or says why not."""
        if abs(self._clock.now_us() - signed_at_us) > SIGNATURE_AGE_MAX_US:
            return self._reply(403, _error("RequestTimeTooSkewed"))
        if not call.name:
            return self._list(dict(call.parameters))
        if call.method == "PUT":
            return self._put(call)
        held = self._objects.get(call.name)
        if held is None:
            return self._reply(404, b"" if call.method == "HEAD" else _error("NoSuchKey"))
        body, etag, version = held
        if call.method == "HEAD":
            body = b""
        elif self._corrupt.get(call.name) == etag:
            body = body[:-1] + bytes([body[-1] ^ 1])
        return self._reply(200, body, {"etag": f'"{etag}"', VERSION_HEADER: version})

    def _put(self, call: Call) -> HttpReply:
        held = self._objects.get(call.name)
        match call.headers.get("if-match"):
            case None if "if-none-match" in call.headers and held is not None:
                return self._reply(412, _error("PreconditionFailed"))
            case str(etag) if held is None:
                return self._reply(404, _error("NoSuchKey"))
            case str(etag) if held is not None and held[1] != etag.strip('"'):
                return self._reply(412, _error("PreconditionFailed"))
        record = open_envelope(call.body)
        etag = record.digest.hex()
        self._objects[call.name] = (call.body, etag, call.headers[VERSION_HEADER])
        self._corrupt.pop(call.name, None)
        return self._reply(200, b"", {"etag": f'"{etag}"'})

    def _list(self, parameters: dict[str, str]) -> HttpReply:
        after, prefix = parameters.get("start-after", ""), parameters["prefix"]
        names = sorted(n for n in self._objects if n > after and n.startswith(prefix))
        limit = int(parameters["max-keys"])
        items = "".join(
            f'<Contents><Key>{escape(name)}</Key><ETag>"{self._objects[name][1]}"</ETag>'
            f"<Size>{len(self._objects[name][0])}</Size></Contents>"
            for name in names[:limit]
        )
        cut = str(len(names) > limit).lower()
        text = f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{items}</ListBucketResult>"
        return self._reply(200, text.encode())

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> HttpReply:
        return HttpReply(
            status,
            {"date": formatdate(self._clock.now_us() // 1_000_000, usegmt=True), **(headers or {})},
            body,
        )

    def place(self, key: Key, record: Record) -> None:
        """Puts a record there by nobody's leave."""
        held = (record.envelope, record.digest.hex(), record.version.hex())
        self._objects[object_name(PREFIX, key)] = held

    def corrupt(self, key: Key) -> None:
        """The stored bytes of `key` go bad."""
        name = object_name(PREFIX, key)
        if name in self._objects:
            self._corrupt[name] = self._objects[name][1]

    def is_corrupt(self, key: Key) -> bool:
        """Whether its bytes have gone bad."""
        return object_name(PREFIX, key) in self._corrupt

    def held(self, key: Key) -> Record | None:
        """The record under `key`, read by nobody's leave."""
        held = self._objects.get(object_name(PREFIX, key))
        return None if held is None else open_envelope(held[0])


class _Bucket(Bucket):
    """The real bucket but for the sending: requests go unsigned over a link."""

    def __init__(self, store: ObjectStore, link: Link, clock: Clock) -> None:
        nothing = cast(Any, None)
        super().__init__(_ADDRESS, nothing, nothing, StoreClock(clock))
        self._store = store
        self._link = link

    async def send(self, call: Call, until_s: float, signed_at_us: int) -> Answer:
        reply = await self._link.carry(
            _described(call),
            lambda: self._store.answer(call, signed_at_us),
            _lost,
            max(0.0, until_s - self._link.now_s()),
        )
        if isinstance(reply, TransportError):
            raise reply
        return Answer(reply, self.clock.heard(reply.headers.get("date")), signed_at_us, _KEY)

    async def aclose(self) -> None:
        self._link.cut = True


def _lost(loss: Loss) -> HttpReply | TransportError:
    if loss is Loss.ERROR:
        return HttpReply(500, {}, _error("InternalError"))
    return TransportError(_LOSSES[loss], loss.value, sent=loss is Loss.TIMEOUT)


def s3_home(store: ObjectStore, link: Link, clock: Clock) -> S3Home:
    """The real S3 home of one worker."""
    return S3Home(_Bucket(store, link, clock), PREFIX, _VERDICT)


def _described(call: Call) -> What:
    namespace, _, encoded = call.name.removeprefix(PREFIX).partition("/")
    name = f"{namespace[:1]}/{decode_object_name(encoded) or ''}"
    version = call.headers.get(VERSION_HEADER)
    condition = call.headers.get("if-match", call.headers.get("if-none-match", ""))[:6]
    stamp = None if version is None else Version(bytes.fromhex(version))
    return f"{call.method} {condition}", name, stamp


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()
