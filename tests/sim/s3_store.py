"""An S3 store in memory under the real client of ours: its conditions, its rounds, its ETag hints.

Only signing, HTTP and sockets are left out; each request and each reply has its own weather.
"""

from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
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
from tandem.core.reply import Side
from tandem.core.version import Version
from tandem.runtime.clock import Clock
from tests.sim.faults import Link, Loss, What
from tests.sim.ledger import Ledger

PREFIX: Final = "tandem/"
_KEY: Final = Credentials("simulated", "simulated")
_ADDRESS: Final = Address("bucket", "s3", 80, False, "s3", "/bucket/", "us-east-1", None)
_LOSSES: Final = {Loss.TIMEOUT: FailureKind.TIMEOUT, Loss.REFUSED: FailureKind.REFUSED}


@dataclass(frozen=True, slots=True)
class Profile:
    """What kind of store it is."""

    etag_quotes: bool = True
    conditional_delete: bool = False
    signature_age_s: float = 15 * 60.0
    """Older signatures are refused; infinite for a store that takes any."""
    list_lag_s: float = 0.0
    """A listing shows an object as it was up to so long ago."""

    @property
    def verdict(self) -> Verdict:
        """What the probe would have found."""
        refuses = self.signature_age_s < float("inf")
        return Verdict(self.etag_quotes, self.conditional_delete, refuses, 0, "simulated", 0)


_Object = tuple[bytes, str, str]
"""Body, ETag and version header."""


class ObjectStore:
    """The objects of one bucket, and what its front end says to a request."""

    def __init__(self, clock: Clock, profile: Profile, ledger: Ledger) -> None:
        self._clock = clock
        self.profile = profile
        self._ledger = ledger
        self._objects: dict[str, _Object] = {}
        self._listed: dict[str, tuple[int, _Object | None]] = {}
        """What a listing still shows under a name, and until when."""
        self._corrupt: dict[str, str] = {}
        """ETags of bodies that have gone bad, by name."""
        self._dated_by_s = 0.0

    def answer(self, call: Call, signed_at_us: int) -> HttpReply:
        """Does what is asked, or says why not."""
        if abs(self._clock.now_us() - signed_at_us) > self.profile.signature_age_s * 1e6:
            return self._reply(403, _error("RequestTimeTooSkewed"))
        if not call.name:
            return self._list(dict(call.parameters))
        if call.method == "PUT":
            return self._put(call)
        if call.method == "DELETE":
            return self._delete(call)
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
            case str(etag) if held is not None and etag != self._quoted(held[1]):
                return self._reply(412, _error("PreconditionFailed"))
        record = open_envelope(call.body)
        etag = record.digest.hex()
        self._change(call.name, (call.body, etag, call.headers[VERSION_HEADER]))
        self._ledger.stored(Side.S3, key_of(call.name), record.version)
        return self._reply(200, b"", {"etag": f'"{etag}"'})

    def _delete(self, call: Call) -> HttpReply:
        held = self._objects.get(call.name)
        if held is None:
            return self._reply(404, _error("NoSuchKey"))
        if call.headers["if-match"] != self._quoted(held[1]):
            return self._reply(412, _error("PreconditionFailed"))
        self._change(call.name, None)
        version = Version(bytes.fromhex(held[2]))
        self._ledger.removed(Side.S3, key_of(call.name), version)
        return self._reply(204, b"")

    def _quoted(self, etag: str) -> str:
        return f'"{etag}"' if self.profile.etag_quotes else etag

    def _change(self, name: str, new: _Object | None) -> None:
        now_us = self._clock.now_us()
        if self.profile.list_lag_s and self._listed.get(name, (0, None))[0] <= now_us:
            until_us = now_us + int(self.profile.list_lag_s * 1e6)
            self._listed[name] = (until_us, self._objects.get(name))
        if new is None:
            del self._objects[name]
        else:
            self._objects[name] = new
        self._corrupt.pop(name, None)

    def _list(self, parameters: dict[str, str]) -> HttpReply:
        after, prefix = parameters.get("start-after", ""), parameters["prefix"]
        shown = self._shown()
        names = sorted(n for n in shown if n > after and n.startswith(prefix))
        limit = int(parameters["max-keys"])
        items = "".join(
            f'<Contents><Key>{escape(name)}</Key><ETag>"{shown[name][1]}"</ETag>'
            f"<Size>{len(shown[name][0])}</Size></Contents>"
            for name in names[:limit]
        )
        cut = str(len(names) > limit).lower()
        text = f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{items}</ListBucketResult>"
        return self._reply(200, text.encode())

    def _shown(self) -> dict[str, _Object]:
        """The objects as a listing has them."""
        now_us = self._clock.now_us()
        self._listed = {n: one for n, one in self._listed.items() if one[0] > now_us}
        if not self._listed:
            return self._objects
        late = {name: old for name, (_, old) in self._listed.items()}
        shown = {**self._objects, **late}
        return {name: one for name, one in shown.items() if one is not None}

    def date_by(self, seconds: float) -> None:
        """Replies have a `Date` that is wrong by so much from now on."""
        self._dated_by_s = seconds

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> HttpReply:
        now_s = self._clock.now_us() // 1_000_000 + int(self._dated_by_s)
        return HttpReply(status, {"date": _date(now_s), **(headers or {})}, body)

    def place(self, key: Key, record: Record) -> None:
        """Puts a record there by nobody's leave."""
        held = (record.envelope, record.digest.hex(), record.version.hex())
        self._objects[object_name(PREFIX, key)] = held

    def drop(self, key: Key) -> None:
        """Takes a record away by nobody's leave."""
        del self._objects[object_name(PREFIX, key)]

    def wipe(self) -> None:
        """It loses all that it holds."""
        self._objects, self._listed, self._corrupt = {}, {}, {}

    @property
    def removes(self) -> bool:
        """Whether objects can be removed for good."""
        verdict = self.profile.verdict
        return verdict.conditional_delete and verdict.refuses_old_signatures

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
    return S3Home(_Bucket(store, link, clock), PREFIX, store.profile.verdict)


def key_of(name: str) -> Key:
    """The key whose object has this name."""
    namespace, _, encoded = name.removeprefix(PREFIX).partition("/")
    decoded = decode_object_name(encoded)
    assert decoded is not None
    return Key(namespace, decoded)


def _described(call: Call) -> What:
    namespace, _, encoded = call.name.removeprefix(PREFIX).partition("/")
    name = f"{namespace[:1]}/{decode_object_name(encoded) or ''}"
    version = call.headers.get(VERSION_HEADER)
    condition = call.headers.get("if-match", call.headers.get("if-none-match", ""))[:6]
    stamp = None if version is None else Version(bytes.fromhex(version))
    return f"{call.method} {condition}", name, stamp


@lru_cache(16)
def _date(time_s: int) -> str:
    return formatdate(time_s, usegmt=True)


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()
