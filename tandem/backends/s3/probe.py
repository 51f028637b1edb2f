"""What a store really does, found out by trying: documents and version numbers do not tell.

Some stores ignore conditions without a word, some check and then write in two steps, some want
`If-Match` without quotes. All that is written here lies below one scratch name, which is removed.
"""

import asyncio
import hashlib
from typing import Final

from tandem.backends.s3.bucket import Answer, Bucket, Call
from tandem.backends.s3.exchange import Method, TransportError
from tandem.backends.s3.listing import list_objects
from tandem.backends.s3.replies import VERSION_HEADER, error_of, held_in, unquoted
from tandem.backends.s3.sigv4 import payload_hash
from tandem.backends.s3.verdict import Verdict
from tandem.core.reply import Failed
from tandem.core.version import Version
from tandem.errors import ConfigurationError, Unavailable
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_LOG = logs.get("s3")
_PROBE_S: Final = 30.0
_CLEAN_UP_S: Final = 10.0
"""On top: what took too long leaves no time for itself."""
_REMOVED: Final = frozenset({200, 204, 404})
_RACERS: Final = 16
_ROUNDS: Final = 3
_OLD_SIGNATURE_US: Final = 20 * 60 * 1_000_000
_IN_BYTE_ORDER: Final = ("0", "00", "0V", "9", "A", "A/0", "A0", "AV", "B", "V", "V0", "VV")
_REFUSED: Final = frozenset({404, 409, 412})
"""How a condition that does not hold is answered; Ceph RGW gives some losers of a race 500."""

_SAFE: Final = "Safe are AWS S3, Cloudflare R2, Ceph RGW, and MinIO since 2025-08"


class Unfit(Exception):
    """The store does not do what Tandem's promises need; says what, and who behaves so."""


async def probe(bucket: Bucket, prefix: str, entropy: Entropy) -> Verdict:
    """Tries the store below `prefix`.

    Raises ConfigurationError when the store must not be used, Unavailable when it does not answer.
    """
    trial = _Trial(bucket, f"{prefix}probe-{entropy.token(8).hex()}/")
    try:
        return await trial.verdict()
    except Unfit as unfit:
        raise ConfigurationError([f"s3: {bucket.address.url} cannot be used: {unfit}"]) from None
    except TransportError as error:
        raise Unavailable(f"s3: no answer while probing {bucket.address.url}: {error}") from error
    finally:
        await trial.clean_up()


class _Trial:
    """One probe. Every step raises Unfit, Unavailable or TransportError, or has passed."""

    def __init__(self, bucket: Bucket, scratch: str) -> None:
        self._bucket = bucket
        self._scratch = scratch
        self._until_s = asyncio.get_running_loop().time() + _PROBE_S
        self._version = Version.at(bucket.clock.now_us())
        self._written: dict[str, None] = {}
        self._etag_quotes = True

    async def verdict(self) -> Verdict:
        first = await self._create_only()
        await self._replace_only_what_matches(etag_of(first))
        await self._one_winner()
        await self._list_in_order()
        return Verdict(
            etag_quotes=self._etag_quotes,
            conditional_delete=await self._conditional_delete(),
            refuses_old_signatures=await self._refuses_old_signatures(),
            ahead_of_machine_us=self._bucket.clock.ahead_of_machine_us(),
            server=first.http.headers.get("server", ""),
            probed_at_us=self._bucket.clock.now_us(),
        )

    async def clean_up(self) -> None:
        """Removes what was written; what cannot be removed is named in the log."""
        self._until_s = asyncio.get_running_loop().time() + _CLEAN_UP_S
        whys = [why for why in await asyncio.gather(*map(self._remove, self._written)) if why]
        if whys:
            _LOG.warning(
                "s3_probe_left_objects", below=self._scratch, count=len(whys), error=whys[0]
            )

    async def _remove(self, name: str) -> str:
        """Why it could not be removed; empty when it was."""
        try:
            status = (await self._ask("DELETE", name)).http.status
        except (TransportError, Unavailable) as error:
            return str(error)
        return "" if status in _REMOVED else f"DELETE is answered {status}"

    async def _create_only(self) -> Answer:
        body = b"first"
        answer = await self._put("one", body, {"if-none-match": "*"})
        self._must_succeed(answer, "If-None-Match")
        if "date" not in answer.http.headers or not self._bucket.clock.known:
            raise Unfit("its replies have no Date header: a proxy in front of it may drop it")
        seen = await self._ask("HEAD", "one")
        held = held_in(seen.http.headers)
        if held is None or held.version != self._version:
            raise Unfit("it does not keep user metadata (x-amz-meta-...)")
        if held.digest != hashlib.md5(body, usedforsecurity=False).digest():
            raise Unfit(
                "the ETag of an object is not the MD5 of its bytes. Buckets encrypted with SSE-KMS"
                " or SSE-C and directory buckets behave so: use SSE-S3 or no encryption"
            )
        again = await self._put("one", b"second", {"if-none-match": "*"})
        if again.http.status == 200:
            raise Unfit(_ignored("a create (If-None-Match: *) replaced an object that was there"))
        return seen

    async def _replace_only_what_matches(self, first: str) -> None:
        quoted = await self._put("one", b"third", {"if-match": f'"{first}"'})
        if quoted.http.status in _REFUSED:
            bare = await self._put("one", b"third", {"if-match": first})
            self._etag_quotes = False
            if bare.http.status in _REFUSED:
                raise Unfit(f"If-Match with the right ETag is refused ({bare.http.status})")
            quoted = bare
        self._must_succeed(quoted, "If-Match")
        stale = await self._put("one", b"fourth", self._matching(first))
        if stale.http.status == 200:
            raise Unfit(_ignored("If-Match with the ETag of an older object replaced a newer one"))
        missing = await self._put("missing", b"made", self._matching(first))
        if missing.http.status == 200:
            raise Unfit(
                "If-Match made an object that was not there. MinIO before 2025-08 behaves so:"
                " upgrade it"
            )

    def _must_succeed(self, answer: Answer, header: str) -> None:
        """Without a competitor a conditional write has no reason to fail: 500 is a store in
        trouble, which says nothing of what it can do."""
        if answer.http.status in {429, 500}:
            raise Unavailable(f"s3: {answer.http.status} while probing")
        if answer.http.status != 200:
            raise Unfit(_no_conditions(header, answer))

    async def _one_winner(self) -> None:
        """Racers that create, then racers that replace what was created."""
        for number in range(_ROUNDS):
            name = f"race-{number}"
            created = await self._race(name, "creating", {"if-none-match": "*"})
            if created is not None:
                await self._race(name, "replacing", self._matching(created))

    async def _race(self, name: str, what: str, condition: dict[str, str]) -> str | None:
        """The ETag of the one that won; None when the store gave them all an error."""
        racers = (
            self._put(name, f"{what} {number}".encode(), condition) for number in range(_RACERS)
        )
        answers = await asyncio.gather(*racers)
        winners = [etag_of(answer) for answer in answers if answer.http.status == 200]
        seen = await self._ask("HEAD", name)
        if len(winners) > 1 or (winners and etag_of(seen) != winners[0]):
            raise Unfit(
                f"{len(winners)} of {_RACERS} writers won a race {what} one object: it checks and"
                f" writes in two steps, so an acknowledged write could be lost. {_SAFE}"
            )
        return winners[0] if winners else None

    async def _list_in_order(self) -> None:
        names = [f"order/{name}" for name in reversed(_IN_BYTE_ORDER)]
        await asyncio.gather(*(self._put(name, name.encode()) for name in names))
        found = await self._listed("", 1000)
        if sorted(found) != sorted(_IN_BYTE_ORDER):
            raise Unfit("a listing does not show what was just written")
        if found != _IN_BYTE_ORDER:
            raise Unfit("a listing is not in byte order: directory buckets (S3 Express) behave so")
        if await self._listed(_IN_BYTE_ORDER[4], 3) != _IN_BYTE_ORDER[5:8]:
            raise Unfit(
                "a listing does not begin behind a name, or not end where it should"
                " (start-after, max-keys)"
            )

    async def _listed(self, after: str, limit: int) -> tuple[str, ...]:
        below = f"{self._scratch}order/"
        start = after and below + after
        listed = await list_objects(self._bucket, below, start, limit, self._until_s)
        if isinstance(listed, Failed):
            raise Unavailable(f"s3: listing while probing: {listed}")
        return tuple(item.name.removeprefix(below) for item in listed[0].objects)

    async def _conditional_delete(self) -> bool:
        etag = etag_of(await self._put("delete", b"stays"))
        wrong = hashlib.md5(b"something else", usedforsecurity=False).hexdigest()
        refused = await self._ask("DELETE", "delete", self._matching(wrong))
        kept = await self._ask("HEAD", "delete")
        if refused.http.status not in _REFUSED or kept.http.status != 200:
            return False
        await self._ask("DELETE", "delete", self._matching(etag))
        return (await self._ask("HEAD", "delete")).http.status == 404

    async def _refuses_old_signatures(self) -> bool:
        signed_at_us = self._bucket.clock.now_us() - _OLD_SIGNATURE_US
        return (await self._put("old", b"late", signed_at_us=signed_at_us)).http.status == 403

    def _matching(self, etag: str) -> dict[str, str]:
        return {"if-match": f'"{etag}"' if self._etag_quotes else etag}

    async def _put(
        self,
        name: str,
        body: bytes,
        condition: dict[str, str] | None = None,
        signed_at_us: int | None = None,
    ) -> Answer:
        headers = {VERSION_HEADER: self._version.hex(), **(condition or {})}
        return await self._ask("PUT", name, headers, body, signed_at_us)

    async def _ask(
        self,
        method: Method,
        name: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        signed_at_us: int | None = None,
    ) -> Answer:
        if method == "PUT":
            self._written[name] = None
        sha256 = payload_hash(body, encrypted=self._bucket.address.encrypted)
        call = Call(method, self._scratch + name, headers or {}, body, sha256)
        at_us = self._bucket.clock.now_us() if signed_at_us is None else signed_at_us
        answer = await self._bucket.send(call, self._until_s, at_us)
        if answer.http.status in {502, 503, 504}:
            raise Unavailable(f"s3: {answer.http.status} while probing")
        return answer


def etag_of(answer: Answer) -> str:
    """The ETag that a reply shows, without quotes."""
    return unquoted(answer.http.headers.get("etag", ""))


def _ignored(what: str) -> str:
    return (
        f"{what}: it ignores conditions, so an acknowledged write could be lost without a trace."
        f" Garage and s3rver behave so. {_SAFE}"
    )


def _no_conditions(header: str, answer: Answer) -> str:
    error = error_of(answer.http)
    refusal = f"{answer.http.status} {error.code} {error.message}".strip()
    if answer.http.status == 403:
        return f"writing below the prefix is refused ({refusal}): allow it to this access key"
    return (
        f"it refuses a conditional write ({header}: {refusal}). Backblaze B2, Swift and the XML"
        f" API of Google Cloud Storage behave so. {_SAFE}"
    )
