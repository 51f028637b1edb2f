"""What the contract suite needs to know of a home, and records and keys to put into it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.backends.port import Backend, CollectableObjects, CollectableRows, Heal
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.removal import NamespacePurge
from tandem.core.reply import Found, Missing, Stored
from tandem.core.version import Version

NAMESPACE: Final = "ab" * 16
KEY: Final = Key(NAMESPACE, "key")
DEADLINE_S: Final = 20.0
NAMES: Final = [f"{letter}{number}" for letter in "amz" for number in range(8)]
"""So many that every cluster has some."""
OTHER: Final = "cd" * 16


@dataclass(slots=True)
class HomeUnderTest:
    """A fresh, empty home and what may be asked of it."""

    home: Backend
    now_us: Callable[[], int]
    """The home's own time, as well as the test can know it."""
    reopen: Callable[[], Awaitable[Backend]] | None = None
    """Closes the home and opens it again over the same data; None when it does not persist."""
    corrupt: Callable[[Key], Awaitable[None]] | None = None
    """Damages the stored bytes of a key behind the home's back; None when the test cannot."""
    lists_versions: bool = True
    """Whether a scan knows versions and kinds; an S3 listing shows names, ETags and sizes alone."""
    settles_races: bool = True
    """Whether no racer on one key ever fails; over S3 a loser gives up after a few rounds."""

    def version(self, ms: float = 0) -> Version:
        """A version minted `ms` after five seconds ago, so that none is late or early."""
        return Version.at(self.now_us() - 5_000_000 + int(ms * 1000))

    def versions(self, count: int) -> list[Version]:
        """Distinct versions, oldest first, with one reading of the clock."""
        first_us = self.now_us() - 5_000_000
        return [Version.at(first_us + n) for n in range(count)]

    def value(self, text: bytes = b"value", ms: float = 0) -> Record:
        return seal(self.version(ms), text)

    def tombstone(self, ms: float = 0) -> Record:
        return seal_tombstone(self.version(ms))


def names_of_every_kind() -> Sequence[str]:
    """Names that some storage or transport gets wrong."""
    controls = [chr(code) for code in [*range(0x20), 0x7F, 0x80, 0x9F]]
    slashes = ["/", "//", "///", "a/", "/a", "a//b", "a/./b", "a/../b", "..a", ".a", "...", "a."]
    reserved = [" ", "  ", " a", "a ", "a b", "+", "%", "%2F", "%00", "&", "?", "#", "\\", '"', "'"]
    planes = ["é", "e\u0301", "ß", "\u07ff", "\u0800", "日本", "\ue000", "\ufffd", "\uffff",
              "\U00010000", "😀", "\U0010ffff"]  # fmt: skip
    prefixes = ["a", "aa", "aaa", "a\0", "a\0\0", "a!", "a0", "A", "Aa", "aA", "b", "0", "00"]
    longest = ["x" * 512, "x" * 511, "x" * 510 + "é", "é" * 256, "日" * 170 + "ab", "😀" * 128]
    return sorted({*controls, *slashes, *reserved, *planes, *prefixes, *longest})


async def put(under: HomeUnderTest, name: str, record: Record, namespace: str = NAMESPACE) -> None:
    """Writes as a heal, which may be of any age; it must be stored."""
    key = Key(namespace, name)
    reply = await under.home.put_if_newer(key, record, DEADLINE_S, Heal(under.now_us()))
    assert isinstance(reply, Stored), reply


async def held(
    under: HomeUnderTest, name: str = KEY.name, namespace: str = NAMESPACE
) -> Record | None:
    """The record that the home holds; the home must answer."""
    reply = await under.home.get(Key(namespace, name), DEADLINE_S)
    assert isinstance(reply, Found | Missing), reply
    return reply.record if isinstance(reply, Found) else None


async def purged_in_steps(
    home: CollectableObjects | CollectableRows, names_a_step: int
) -> Sequence[int]:
    """How many records of the namespace each step removed, until nothing was left of it."""
    removed: list[int] = []
    more = True
    while more:
        step = await home.purge_namespace(NAMESPACE, names_a_step, DEADLINE_S)
        assert isinstance(step, NamespacePurge)
        removed.append(step.removed)
        more = step.more
    return removed
