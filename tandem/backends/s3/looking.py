"""What stands under a name now, and how a request says that just that must stand there."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tandem.backends.s3.bucket import Bucket, Call
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.replies import VERSION_HEADER, Held, failed, foreign, held_in, no_reply
from tandem.core.record import Record
from tandem.core.reply import Failed
from tandem.runtime.latest import Latest

KnownObjects: TypeAlias = Latest[str, Held]
"""What this process saw last under each name: hints that save a request, never a ground to answer.
One that is out of date only chooses a condition, and the store checks that."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is under the name: an object of ours, or nothing that is known."""

    held: Held | None
    time_us: int | None = None
    """The store's time in the reply that showed it; None for a mere hint."""


async def look(bucket: Bucket, known: KnownObjects, name: str, until_s: float) -> Seen | Failed:
    """Asks for the object's headers; `until_s` is a time of the loop."""
    try:
        answer = await bucket.ask(Call("HEAD", name), until_s)
    except TransportError as error:
        return no_reply(error)
    match answer.http.status:
        case 200:
            held = held_in(answer.http.headers)
            if held is None:
                return foreign(name, answer.time_us)
            known.keep(name, held)
            return Seen(held, answer.time_us)
        case 404:
            known.forget(name)
            return Seen(None, answer.time_us)
        case _:
            return failed(answer.http, answer.time_us)


def headers_of(record: Record) -> Mapping[str, str]:
    """What a PUT of the record says of it."""
    return {
        "content-md5": b64encode(record.digest).decode(),
        "content-type": "application/octet-stream",
        VERSION_HEADER: record.version.hex(),
    }


def condition(held: Held | None, *, etag_quotes: bool) -> Mapping[str, str]:
    """The condition that `held`, or nothing, is under the name."""
    if held is None:
        return {"if-none-match": "*"}
    return {"if-match": f'"{held.etag}"' if etag_quotes else held.etag}
