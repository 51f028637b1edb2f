"""Operations as a gateway would ask for them, and a clock that a test sets."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from kvsp.cluster import Cluster
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import WriteReply
from tandem.core.version import Version
from tandem.wire.storage_codec import Get, Put

NAMESPACE = "ab" * 16
START_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000


@dataclass(slots=True)
class SetClock:
    """Stands still unless moved."""

    time_us: int = START_US

    def now_us(self) -> int:
        return self.time_us

    def monotonic_us(self) -> int:
        return self.time_us


def value(text: bytes = b"value", at_us: int = START_US, expires_at_s: int = 0) -> Record:
    return seal(Version.at(at_us), text, expires_at_s=expires_at_s)


def tombstone(at_us: int = START_US) -> Record:
    return seal_tombstone(Version.at(at_us))


async def pieces_of(record: Record, size: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(record.envelope), size):
        yield record.envelope[start : start + size]


async def write_large(cluster: Cluster, wanted: Put) -> WriteReply:
    """Stores a put whose envelope comes in pieces."""
    return await cluster.large.write(wanted.without_envelope(), pieces_of(wanted.record))


def put(
    name: str,
    record: Record,
    *,
    namespace: str = NAMESPACE,
    read_at_us: int = 0,
    over_corrupt: bool = False,
) -> Put:
    key = Key(namespace, name)
    return Put(1, key, name.encode(), record, read_at_us, over_corrupt)


def get(name: str, namespace: str = NAMESPACE) -> Get:
    return Get(1, Key(namespace, name), name.encode())
