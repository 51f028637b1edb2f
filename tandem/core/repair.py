"""What to copy where: the plan of one heal, from what both homes and the machine hold.

The plan never deletes a value and never rests on absence in S3. What may be removed for good is
decided by the crawler's collector, which knows floors.
"""

from dataclasses import dataclass
from functools import reduce

from tandem.core.record import Kind, Record, merge
from tandem.core.reply import Failed, Found, Missing, ReadReply, Side, is_unknown


@dataclass(frozen=True, slots=True)
class InSync:
    """Nothing to do."""

    def __str__(self) -> str:
        return "nothing to do"


@dataclass(frozen=True, slots=True)
class Copy:
    """Write `record` to the homes that lack it."""

    record: Record
    to: tuple[Side, ...]

    def __str__(self) -> str:
        return f"copy {self.record.version} to {' and '.join(side.value for side in self.to)}"


@dataclass(frozen=True, slots=True)
class Zombie:
    """A value on S3 at or below the floor and absent in SQL: it was deleted for good."""

    record: Record

    def __str__(self) -> str:
        return f"leave {self.record.version} on s3 to the sweep: it was deleted for good"


@dataclass(frozen=True, slots=True)
class Blocked:
    """A home did not answer, so nothing can be decided."""

    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"nothing can be decided: {'; '.join(self.reasons)}"


RepairPlan = InSync | Copy | Zombie | Blocked


def repair_plan(kvsp: ReadReply, s3: ReadReply, recent: Record | None = None) -> RepairPlan:
    """What makes both homes equal, given their replies and the machine's own recent write.

    A corrupt copy counts as absent: it is replaced by the other one. A corrupt copy without any
    other source is blocked, not dropped. What lies at or below the floor of a key that SQL has
    dropped is copied nowhere: SQL would refuse it, so on S3 it would be a zombie.
    """
    replies = {Side.KVSP: kvsp, Side.S3: s3}
    down = tuple(f"{side.value}: {r}" for side, r in replies.items() if is_unknown(r))
    if down:
        return Blocked(down)
    held = [reply.record for reply in (kvsp, s3) if isinstance(reply, Found)]
    sources = held if recent is None else [*held, recent]
    if isinstance(kvsp, Missing):
        sources = [record for record in sources if record.version > kvsp.floor]
        if not sources and held and held[0].kind is Kind.VALUE:
            return Zombie(held[0])
    if not sources:
        corrupt = tuple(f"{s.value}: {r}" for s, r in replies.items() if isinstance(r, Failed))
        return Blocked(corrupt) if corrupt else InSync()
    newest = reduce(merge, sources)
    to = tuple(
        side
        for side, reply in replies.items()
        if not (isinstance(reply, Found) and reply.record.digest == newest.digest)
    )
    return Copy(newest, to) if to else InSync()
