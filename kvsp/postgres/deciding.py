"""What becomes of the puts of one transaction: pure, in the order in which they came."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kvsp.rules import STORED, Held, LargeRow, Write, deleted_namespace, refusal, row_of, verdict
from tandem.core.reply import Failed, Reason, Refused, WriteReply
from tandem.core.version import Version
from tandem.wire.storage_codec import LargePut, Put

_INTEGER_MAX: Final = (1 << 63) - 1
_COLLECTED: Final = Failed(Reason.ERROR, "the value was collected before its row was written")
_TOO_GREAT: Final = Failed(Reason.ERROR, "its time of expiry is beyond SQL's numbers")


@dataclass(slots=True)
class Standing:
    """What stands under one key, at first in the database and then in this transaction."""

    held: Held | None
    floor: Version
    deleted: bool
    """Whether its namespace was, before this transaction."""
    row: LargeRow | Put | None = None
    """What is to be written in its place."""


class Decided(NamedTuple):
    """What the transaction has to write, and what it answers."""

    outcomes: list[WriteReply]
    rows: list[tuple[bytes | str | int | None, ...]]
    """One for each key at most."""
    unused: list[str]
    """Blobs that came with their entries taken, and that no row will name."""
    deleted: list[str]


def decide(
    writes: Sequence[Put | LargeRow],
    standings: Mapping[tuple[str, bytes], Standing],
    taken: Collection[str],
    now_us: int,
) -> Decided:
    """Judges `writes` against `standings`, which it changes; `taken` are the blobs whose entries
    this transaction has consumed."""
    outcomes: list[WriteReply] = []
    deleted: dict[str, None] = {}
    for write in writes:
        put = write.put if isinstance(write, LargeRow) else write
        standing = standings[(put.key.namespace, put.raw_name)]
        if isinstance(write, LargeRow) and write.blob not in taken:
            outcomes.append(_COLLECTED)
            continue
        outcome = _outcome(put, standing, now_us)
        if isinstance(outcome, Write):
            standing.row = write
            standing.held = Held(put.record.version, put.record.digest)
            outcome = STORED
            if (namespace := deleted_namespace(put)) is not None:
                deleted[namespace] = None
        outcomes.append(outcome)
    rows = [standing.row for standing in standings.values() if standing.row is not None]
    named = {row.blob for row in rows if isinstance(row, LargeRow)}
    unused = sorted(set(taken) - named)
    return Decided(outcomes, [_values(row) for row in rows], unused, list(deleted))


def _outcome(put: Put | LargePut, standing: Standing, now_us: int) -> Write | WriteReply:
    why_never = refusal(put, now_us, deleted=standing.deleted)
    if why_never is not None:
        return Refused(why_never, 0)
    if put.record.expires_at_s > _INTEGER_MAX:
        return _TOO_GREAT
    return verdict(put, standing.held, standing.floor)


def _values(row: LargeRow | Put) -> tuple[bytes | str | int | None, ...]:
    return row_of(row.put, row.blob) if isinstance(row, LargeRow) else row_of(row, None)
