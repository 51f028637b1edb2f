"""The mirror of a cluster: what the object home knows of it, kept by whoever collects.

**First the floor, then the mirror, then anything is removed.** A crash in between is then harmless
wherever it comes:

- after the floor, before the mirror: the floor has refused late inserts, which nobody needs, and
  nothing was removed. If the cluster is restored from before, its lower floor is true: every
  tombstone up to it is still there.
- after the mirror: a cluster restored from before has a lower floor than its mirror, and is found
  behind, before what was removed on the strength of that floor could come back.

The other way round, any crash between the two would show a sound cluster to be behind, and cost it
its floors and its trust. A mirror is written by compare-and-swap: two collectors lose nothing.
"""

from dataclasses import dataclass
from typing import Final

from tandem.backends.port import CollectableObjects
from tandem.core.cluster_life import BadMirror, ClusterLife, decode_mirror, encode_mirror
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.record import Record, Stamp
from tandem.core.removal import Removal
from tandem.core.reply import Failed, Found, Glimpsed, Missing, Reason
from tandem.core.version import Version
from tandem.runtime.randomness import Entropy

_NONCE_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Mirror:
    """What was found of one cluster's mirror."""

    life: ClusterLife | None
    """None where there is none: nothing was ever collected, or the object home was emptied."""
    record: Record | None
    read_at_us: int
    """The object home's time."""


def mirror_key(cluster: str) -> Key:
    """Where the mirror of a cluster is: beside the store id, never healed nor crawled."""
    return Key(IDENTITY_NAMESPACE, f"cluster/{cluster}")


async def read_mirror(
    objects: CollectableObjects, cluster: str, deadline_s: float
) -> Mirror | Failed:
    """The mirror of one cluster."""
    reply = await objects.get(mirror_key(cluster), deadline_s)
    match reply:
        case Found(record, home_time_us):
            try:
                return Mirror(decode_mirror(record.value), record, home_time_us)
            except BadMirror as error:
                return Failed(Reason.CORRUPT, f"mirror of {cluster}: {error}", home_time_us)
        case Missing(home_time_us):
            return Mirror(None, None, home_time_us)
        case Glimpsed():
            return Failed(Reason.ERROR, "the mirror was not read to its end")
        case Failed():
            return reply


async def write_mirror(
    objects: CollectableObjects, found: Mirror, life: ClusterLife, entropy: Entropy,
    deadline_s: float,
) -> Removal | Failed:  # fmt: skip
    """Puts `life` in the place of what was found, if that is still there."""
    value = encode_mirror(life)
    if len(value) > VALUE_BYTES_MAX:
        return Failed(Reason.ERROR, f"the mirror of {life.name} would have {len(value)} bytes")
    record = seal(Version.at(found.read_at_us, entropy.token(_NONCE_BYTES)), value)
    seen = None if found.record is None else Stamp(found.record.version, found.record.digest)
    key = mirror_key(life.name)
    return await objects.replace(key, seen, record, found.read_at_us, deadline_s)
