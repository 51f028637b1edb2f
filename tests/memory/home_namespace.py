"""What the home in memory holds of one namespace, and the conditions under which it changes."""

from bisect import bisect_left, bisect_right, insort

from tandem.backends.port import Heal
from tandem.core.floors import RangeFloors
from tandem.core.record import Record, Stamp
from tandem.core.removal import PurgeRow, Removal
from tandem.core.reply import Refusal, Refused, Stored, Superseded
from tandem.core.version import Version


class MemoryNamespace:
    """Records in the order of their names, and the floors of its ranges."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._names: list[str] = []
        self.floors = RangeFloors()

    def put_if_newer(
        self, name: str, record: Record, heal: Heal | None, now_us: int
    ) -> Stored | Superseded | Refused:
        """Stores the record unless a newer one is there, or the floor refuses an insert."""
        holds = self.records.get(name)
        if holds is None and record.version <= self.floor_of(name):
            return Refused(Refusal.FLOOR, now_us)
        if holds is not None and not _replaces(record, holds, heal):
            return Superseded(holds.version, now_us)
        self.store(name, record)
        return Stored(now_us)

    def change(self, name: str, seen: Stamp | None, record: Record | None) -> Removal:
        """Puts `record` (None: nothing) in the place of exactly the one `seen`."""
        holds = self.records.get(name)
        if holds is None and seen is not None:
            return Removal.ABSENT
        if holds is not None and Stamp(holds.version, holds.digest) != seen:
            return Removal.DIFFERENT
        if record is not None:
            self.store(name, record)
        elif holds is not None:
            self.remove(name)
        return Removal.DONE

    def purge(self, row: PurgeRow, now_us: int) -> Removal:
        """Removes the row if it is dead, at or below its floor and exactly the one named."""
        name = row.raw_name.decode()
        record = self.records.get(name)
        if record is None:
            return Removal.ABSENT
        if (record.version, record.digest) != (row.version, row.digest):
            return Removal.DIFFERENT
        if record.live_at(now_us / 1_000_000):
            return Removal.LIVE
        if record.version > self.floor_of(name):
            return Removal.ABOVE_FLOOR
        self.remove(name)
        return Removal.DONE

    def store(self, name: str, record: Record) -> None:
        """Puts a record there by nobody's leave."""
        if name not in self.records:
            insort(self._names, name)
        self.records[name] = record

    def remove(self, name: str) -> None:
        """Takes a record away by nobody's leave."""
        del self.records[name]
        del self._names[bisect_left(self._names, name)]

    def names_after(self, after: str, prefix: str, limit: int) -> list[str]:
        """At most `limit` names; those with one prefix stand side by side."""
        start = max(bisect_right(self._names, after), bisect_left(self._names, prefix))
        found = self._names[start : start + limit]
        return [name for name in found if name.startswith(prefix)]

    def floor_of(self, name: str) -> Version:
        """At or below which version nothing is inserted under `name`."""
        return self.floors.of(name.encode())

    def remove_below(self, floors: RangeFloors) -> int:
        """Removes what is at or below these floors; how many that were."""
        below = [n for n, r in self.records.items() if r.version <= floors.of(n.encode())]
        for name in below:
            self.remove(name)
        return len(below)


def _replaces(record: Record, holds: Record, heal: Heal | None) -> bool:
    """Whether `record` may take the place of `holds`; the same record may."""
    if heal is not None and heal.over_corrupt and record.version == holds.version:
        return True
    return (record.version, record.digest) >= (holds.version, holds.digest)
