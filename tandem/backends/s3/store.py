"""The S3 home: records as objects of one bucket, each named after its key and holding its envelope.

The version stands in the user metadata too, so headers suffice to compare; the ETag is the MD5 of
the envelope, so a listing does.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from tandem.backends.port import Heal, ScanPage
from tandem.backends.s3.bucket import Answer, Bucket, Call
from tandem.backends.s3.conditional_put import ConditionalPut
from tandem.backends.s3.exact_change import ExactChange, Replacement
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.listing import Listing
from tandem.backends.s3.looking import KnownObjects
from tandem.backends.s3.purge import purge
from tandem.backends.s3.replies import Held, error_of, failed, foreign, held_in, no_reply
from tandem.backends.s3.sigv4 import payload_hash
from tandem.backends.s3.turns import Turns
from tandem.backends.s3.verdict import Verdict
from tandem.core.envelope import BadEnvelope, digest_of, open_envelope
from tandem.core.key import Key, object_name
from tandem.core.limits import KIB, WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.record import Record, Stamp
from tandem.core.removal import NamespacePurge, Removal
from tandem.core.reply import (
    Failed,
    Found,
    Glimpsed,
    Missing,
    ReadReply,
    Reason,
    Side,
    WriteReply,
)
from tandem.runtime.latest import Latest

T = TypeVar("T")

KNOWN_OBJECTS_MAX: Final = 100_000
_HASHED_IN_LOOP_BYTES_MAX: Final = 256 * KIB
"""Larger bodies are hashed on a thread: the loop would stand still meanwhile."""


class S3Home:
    """Made by `opening.open_s3_home`, which knows that the store does what is asked of it here."""

    def __init__(self, bucket: Bucket, prefix: str, verdict: Verdict) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._known: KnownObjects = Latest(KNOWN_OBJECTS_MAX)
        self._turns = Turns()
        self.verdict = verdict

    @property
    def side(self) -> Side:
        return Side.S3

    @property
    def clock_skew_max_us(self) -> int:
        return WHOLE_SECOND_CLOCK_SKEW_MAX_US

    @property
    def ahead_of_machine_us(self) -> int:
        """How far the store's clock is ahead of the machine's."""
        return self._bucket.clock.ahead_of_machine_us()

    @property
    def location(self) -> str:
        """Where the objects are."""
        return f"{self._bucket.address.url}{self._prefix}"

    def describe(self) -> str:
        """One line for logs and status: with whose key, and what the store can do."""
        region, credentials = self._bucket.address.region, self._bucket.credentials
        return f"{region}, {credentials.describe()}; {self.verdict.describe()}"

    async def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> ReadReply:
        until_s = self._loop.time() + deadline_s
        name = object_name(self._prefix, key)
        try:
            answer = await self._bucket.ask(Call("GET", name, needed=needed), until_s)
        except TransportError as error:
            return no_reply(error)
        match answer.http.status:
            case 200:
                return await self._read(name, answer, until_s)
            case 404 if error_of(answer.http).code == "NoSuchKey":
                self._known.forget(name)
                return Missing(answer.time_us)
            case _:
                return failed(answer.http, answer.time_us)

    async def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> WriteReply:
        until_s = self._loop.time() + deadline_s
        payload_sha256 = await self._payload_hash(record, until_s)
        if isinstance(payload_sha256, Failed):
            return payload_sha256
        name = object_name(self._prefix, key)
        put = ConditionalPut(
            self._bucket,
            self._known,
            name,
            record,
            heal,
            etag_quotes=self.verdict.etag_quotes,
            payload_sha256=payload_sha256,
            until_s=until_s,
        )
        if heal is not None:
            return await put.run()  # it is judged by its own read, and may replace its equal
        return await self._turns.take(name, record, until_s, put.run)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        listing = Listing(self._bucket, f"{self._prefix}{namespace}/", prefix)
        return await listing.page(after, limit, deadline_s)

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return ""

    @property
    def removes(self) -> bool:
        return self.verdict.conditional_delete and self.verdict.refuses_old_signatures

    async def remove(self, key: Key, seen: Stamp, deadline_s: float) -> Removal | Failed:
        if not self.removes:
            return Failed(Reason.ERROR, f"objects must stay: {self.verdict.describe()}")
        return await self._change(key, seen, None, self._loop.time() + deadline_s)

    async def replace(
        self, key: Key, seen: Stamp | None, record: Record, read_at_us: int, deadline_s: float
    ) -> Removal | Failed:
        until_s = self._loop.time() + deadline_s
        sha256 = await self._payload_hash(record, until_s)
        if isinstance(sha256, Failed):
            return sha256
        return await self._change(key, seen, Replacement(record, sha256, read_at_us), until_s)

    async def _change(
        self, key: Key, seen: Stamp | None, new: Replacement | None, until_s: float
    ) -> Removal | Failed:
        change = ExactChange(
            self._bucket,
            self._known,
            object_name(self._prefix, key),
            None if seen is None else Held.of(seen),
            new,
            etag_quotes=self.verdict.etag_quotes,
            until_s=until_s,
        )
        return await change.run()

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        directory = f"{self._prefix}{namespace}/"
        return await purge(self._bucket, directory, limit, self._loop.time() + deadline_s)

    async def aclose(self) -> None:
        await self._bucket.aclose()

    async def _read(self, name: str, answer: Answer, until_s: float) -> ReadReply:
        held = held_in(answer.http.headers)
        if held is None:
            return foreign(name, answer.time_us)
        if answer.http.cut:
            return Glimpsed(held.version, held.digest, answer.time_us)
        try:
            digest = await self._hashed(digest_of, answer.http.body, until_s)
        except TimeoutError:
            return Failed(Reason.TIMEOUT, "no time was left to check the body")
        return self._opened(name, held, digest, answer)

    def _opened(self, name: str, held: Held, digest: bytes, answer: Answer) -> ReadReply:
        try:
            record = _checked(held, digest, answer.http.body)
        except BadEnvelope as error:
            self._known.forget(name)
            return Failed(Reason.CORRUPT, str(error), answer.time_us)
        self._known.keep(name, held)
        return Found(record, answer.time_us)

    async def _payload_hash(self, record: Record, until_s: float) -> str | Failed:
        encrypted = self._bucket.address.encrypted
        try:
            return await self._hashed(
                lambda body: payload_hash(body, encrypted=encrypted), record.envelope, until_s
            )
        except TimeoutError:
            return Failed(Reason.TIMEOUT, "no time was left to sign the body")

    async def _hashed(self, digest: Callable[[bytes], T], body: bytes, until_s: float) -> T:
        if len(body) <= _HASHED_IN_LOOP_BYTES_MAX:
            return digest(body)
        async with asyncio.timeout_at(until_s):
            return await asyncio.to_thread(digest, body)


def _checked(held: Held, digest: bytes, body: bytes) -> Record:
    """The record in `body`, whose MD5 is `digest`; BadEnvelope unless the headers agree with it."""
    if digest != held.digest:
        raise BadEnvelope("the body does not match its ETag")
    record = open_envelope(body, digest)
    if record.version != held.version:
        raise BadEnvelope("body and metadata differ in version")
    return record
