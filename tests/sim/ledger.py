"""What each home took and let go, key by key: versions never go back, and what was deleted for good
is never accepted again; and no home lets an acknowledged value go that nothing has overwritten.

The second is the oracle of the collector. It does not ask whether an older request is under way
when a tombstone goes: whatever comes later and is accepted shows that it should not have gone.
"""

from collections.abc import Callable, Iterable

from tandem.core.key import RESERVED_NAMESPACES, Key
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version


class Ledger:
    """Watches both homes of one universe."""

    def __init__(
        self, fail: Callable[[str], None], written: Callable[[Key, Version], bool],
        owed: Callable[[Version], bool], alive: Callable[[Version], bool],
    ) -> None:  # fmt: skip
        """`written` tells whether a version is a client's write of a key, `alive` whether that one
        is a value that has not expired, `owed` whether it was acknowledged too."""
        self._fail = fail
        self._written = written
        self._owed = owed
        self._alive = alive
        self._newest: dict[Key, Version] = {}
        """Of a key, in whatever home, by whichever client."""
        self._held: dict[tuple[Side, Key], Version] = {}
        self._graves: dict[tuple[Side, Key], Version] = {}
        self.collected: dict[Key, Version] = {}
        """Up to which version a key was deleted for good, in whatever home."""
        self.on_change: Callable[[Side, Key], None] = lambda *_: None

    def stored(self, side: Side, key: Key, version: Version) -> None:
        """A home has taken a record."""
        if key.namespace in RESERVED_NAMESPACES:
            return
        self.on_change(side, key)
        at = (side, key)
        if version < self._held.get(at, NO_VERSION):
            self._fail(f"{side.value}: {key.name} goes back in version")
        if self._is_back(side, version, self._graves.get(at, NO_VERSION)):
            self._fail(f"{side.value} takes what {key.name} was before it was deleted for good")
        if self._written(key, version):
            self._newest[key] = max(version, self._newest.get(key, NO_VERSION))
        else:  # the collector's, in the place of what was there
            self._gone_for_good(side, key, self._held.get(at, NO_VERSION))
        self._held[at] = version

    def _is_back(self, side: Side, version: Version, grave: Version) -> bool:
        """A repair that read one home before and the other one after a dead record left them may
        give S3 just that record back: no reader sees it, and the sweep takes it."""
        again = side is Side.S3 and version == grave and not self._alive(version)
        return version <= grave and not again

    def purged(self, key: Key, version: Version, floor: Version) -> None:
        """KVSP has let this record go, where the key has this floor."""
        if version > floor:
            self._fail(f"kvsp: {key.name} goes above its floor")
        self.removed(Side.KVSP, key, version)

    def removed(self, side: Side, key: Key, version: Version) -> None:
        """A home has let this record go."""
        if key.namespace in RESERVED_NAMESPACES:
            return
        self.on_change(side, key)
        self._gone_for_good(side, key, version)
        at = (side, key)
        self._graves[at] = max(version, self._graves.get(at, NO_VERSION))

    def replaced(self, key: Key, seen: Version, version: Version) -> None:
        """S3 has another record in the place of one that it had, older or not."""
        if key.namespace not in RESERVED_NAMESPACES:
            self.on_change(Side.S3, key)
            self._gone_for_good(Side.S3, key, seen)
        self._held[Side.S3, key] = version

    def _gone_for_good(self, side: Side, key: Key, version: Version) -> None:
        if self.owes(key, version):
            self._fail(f"{side.value} lets {key.name} go, which was acknowledged and is alive")
        self.collected[key] = max(version, self.collected.get(key, NO_VERSION))

    def forgot(self, side: Side, keys: Iterable[Key]) -> None:
        """A home was wiped, or restored from an old copy, where these keys are."""
        for key in keys:
            self.on_change(side, key)
            self._held.pop((side, key), None)
            self._graves.pop((side, key), None)

    def owes(self, key: Key, version: Version) -> bool:
        """Whether this version must not be gone: it was acknowledged, is alive, and no home has
        ever had a newer one."""
        return version >= self._newest.get(key, NO_VERSION) and self._owed(version)

    def gone(self, key: Key, version: Version) -> bool:
        """Whether this version of the key was deleted for good, or an older one than that."""
        return version <= self.collected.get(key, NO_VERSION)


def version_of(held: Record | None) -> Version:
    """Of what a home holds; NO_VERSION for nothing."""
    return NO_VERSION if held is None else held.version
