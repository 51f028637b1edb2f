"""What both homes say of one key: which record is newer, who lacks it, how often they differ."""

from dataclasses import dataclass

from kvgateway.data_path.inbox import SETTLE_US
from kvgateway.homes.home_time import HomeTime
from tandem.core.read_race import ReadRace
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Glimpsed, Missing, Side
from tandem.core.version import NO_VERSION, Version


@dataclass(slots=True)
class Tally:
    """Reads that both homes have answered."""

    compared: int = 0
    different: int = 0


class Comparisons:
    """Counts, by namespace, what a home that does not answer alone would have said."""

    def __init__(self, time: HomeTime) -> None:
        self._time = time
        self._tallies: dict[str, Tally] = {}
        self.total = Tally()

    def tally_of(self, namespace: str) -> Tally:
        """What was seen since the mode of the namespace began."""
        return self._tallies.get(namespace) or Tally()

    def begin(self, namespace: str) -> None:
        """Another mode begins."""
        self._tallies.pop(namespace, None)

    def note(self, namespace: str, wanted: Version, race: ReadRace) -> None:
        """Takes a read that has ended; a write that is just on its way is no difference."""
        replies = [race.reply_of(side) for side in Side]
        if any(reply is None or isinstance(reply, Failed) for reply in replies):
            return
        newest, _ = difference(wanted, race)
        version = newest.version if isinstance(newest, Record) else newest
        settled = self._time.reckoned_us() - version.time_us > SETTLE_US
        for tally in (self._tallies.setdefault(namespace, Tally()), self.total):
            tally.compared += 1
            tally.different += settled and race.needs_repair()


def difference(wanted: Version, race: ReadRace) -> tuple[Record | Version, tuple[Side, ...]]:
    """The newest record (or its version alone) that the replies show, and who lacks it."""
    newest: Record | Version = wanted
    version = wanted
    held: dict[Side, Version] = {}
    for side in Side:
        match race.reply_of(side):
            case Found(record):
                held[side] = record.version
                if record.version >= version:
                    newest, version = record, record.version
            case Glimpsed(seen):
                held[side] = seen
                if seen > version:
                    newest, version = seen, seen
            case Missing() | Failed() | None:
                pass
    behind = tuple(side for side in Side if held.get(side, NO_VERSION) < version)
    return newest, behind or tuple(Side)
