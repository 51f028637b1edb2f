"""What both homes say of one key: which version is newer, who lacks it, how often they differ."""

from dataclasses import dataclass

from kvgateway.data_path.inbox import SETTLE_US
from kvgateway.homes.home_time import HomeTime
from tandem.core.read_race import ReadRace
from tandem.core.reply import Failed, Found, Glimpsed, Missing, ReadReply, Side
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
        settled = self._time.reckoned_us() - newest.time_us > SETTLE_US
        for tally in (self._tallies.setdefault(namespace, Tally()), self.total):
            tally.compared += 1
            tally.different += settled and race.needs_repair()


def difference(wanted: Version, race: ReadRace) -> tuple[Version, tuple[Side, ...]]:
    """The newest version that is wanted or that the replies show, and who lacks it."""
    held = {side: _held(race.reply_of(side)) for side in Side}
    newest = max(wanted, *held.values())
    behind = tuple(side for side in Side if held[side] < newest)
    return newest, behind or tuple(Side)


def _held(reply: ReadReply | None) -> Version:
    match reply:
        case Found(record):
            return record.version
        case Glimpsed(version):
            return version
        case Missing() | Failed() | None:
            return NO_VERSION
