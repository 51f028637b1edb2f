"""What each home took and let go, key by key: versions never go back, and what was deleted for good
is never accepted again.

The second is the oracle of the collector. It does not ask whether an older request is under way
when a tombstone goes: whatever comes later and is accepted shows that it should not have gone.
"""

from collections.abc import Callable, Iterable

from tandem.core.key import RESERVED_NAMESPACES, Key
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version


class Ledger:
    """Watches both homes of one universe."""

    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self._held: dict[tuple[Side, Key], Version] = {}
        self._graves: dict[tuple[Side, Key], Version] = {}
        self.collected: dict[Key, Version] = {}
        """Up to which version a key was deleted for good, in whatever home."""

    def stored(self, side: Side, key: Key, version: Version) -> None:
        """A home has taken a record."""
        if key.namespace in RESERVED_NAMESPACES:
            return
        at = (side, key)
        if version < self._held.get(at, NO_VERSION):
            self._fail(f"{side.value}: {key.name} goes back in version")
        if version <= self._graves.get(at, NO_VERSION):
            self._fail(f"{side.value} takes what {key.name} was before it was deleted for good")
        self._held[at] = version

    def purged(self, key: Key, version: Version, floor: Version) -> None:
        """KVSP has let exactly this record go, where the key has this floor."""
        if version > floor:
            self._fail(f"kvsp: {key.name} goes above its floor")
        self.removed(Side.KVSP, key, version)

    def removed(self, side: Side, key: Key, version: Version) -> None:
        """A home has let exactly this record go."""
        if key.namespace in RESERVED_NAMESPACES:
            return
        at = (side, key)
        self._graves[at] = max(version, self._graves.get(at, NO_VERSION))
        self.collected[key] = max(version, self.collected.get(key, NO_VERSION))

    def replaced(self, key: Key, version: Version) -> None:
        """S3 has another record in the place of exactly one that it had, older or not."""
        self._held[Side.S3, key] = version

    def forgot(self, side: Side, keys: Iterable[Key]) -> None:
        """A home was wiped, or restored from an old copy, where these keys are."""
        for key in keys:
            self._held.pop((side, key), None)
            self._graves.pop((side, key), None)

    def gone(self, key: Key, version: Version) -> bool:
        """Whether this version of the key was deleted for good, or an older one than that."""
        return version <= self.collected.get(key, NO_VERSION)
