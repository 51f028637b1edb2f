"""What gateways and crawls say of a home that is to be filled: may it be, and what does it lack."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvctl.endings import Ended, Ending
from kvctl.output import printable
from tandem.core.counted import counted
from tandem.core.crawl_status import Crawled, Run
from tandem.core.drift import LACKED
from tandem.core.namespace import Namespace
from tandem.core.operations import HomeStatus, Status
from tandem.core.reply import Side
from tandem.core.tally import Tally

_CLOSED: Final = "closed"
_UNCHANGED: Final = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class Lacks:
    """Records that a home has not, or in an older version, and their bytes."""

    keys: int = 0
    size: int = 0


def lacks(crawls: Sequence[Crawled], side: Side) -> Lacks:
    """What `side` lacks, as these crawls have seen it."""
    tallies = [crawled.tally for crawled in crawls]
    return Lacks(
        sum(tally.keys[drift] for tally in tallies for drift in LACKED[side]),
        sum(tally.bytes[drift] for tally in tallies for drift in LACKED[side]),
    )


def drifted(crawls: Sequence[Crawled]) -> int:
    """How many keys these crawls leave different, or do not know."""
    return sum(max(one.tally.drifted, one.tally.unhealed_keys) for one in crawls)


def check_homes(status: Status, side: Side, gateway: str, *, force: bool) -> None:
    """Raises Ended unless this gateway uses both homes and the other one is fit to copy from."""
    homes = {home.side: home for home in status.homes}
    home, other = homes[side], homes[side.other]
    for one in (home, other):
        name = one.side.value
        if not (one.reads_enabled and one.writes_enabled):
            raise Ended(
                Ending.NEGATIVE,
                f"{gateway}: {name} is switched off, and so nothing is copied. {_UNCHANGED}\n"
                f"Bring it back with `kvctl backend enable {name}`; while it is behind, it gives no"
                " first answers.",
            )
        if one.breaker != _CLOSED:
            raise Ended(
                Ending.UNAVAILABLE,
                f"{gateway}: {name} does not answer: {one.last_failure}. {_UNCHANGED}",
            )
    if other.behind and not force:
        raise _behind_too(other, gateway)


def _behind_too(other: HomeStatus, gateway: str) -> Ended:
    name, fresh = other.side.value, other.side.other.value
    count = len(other.behind)
    whose = "all namespaces" if "*" in other.behind else counted(count, "namespace")
    return Ended(
        Ending.NEGATIVE,
        f"{gateway}: {name} may itself lack writes of {whose}. {_UNCHANGED}\n"
        f"If it is {name} that was emptied: `kvctl backend rebuild {name}`. Else what {name} lacks"
        f" and {fresh} has lost is in neither: wait until the queue of `kvctl status` is empty, or"
        " go on with --force.",
    )


def check_seen(run: Run, side: Side) -> None:
    """Raises Ended unless all namespaces were seen to their end and no breaker opened."""
    failure = run.failure or next((one.failure for one in run.crawls if one.failure), "")
    if failure:
        raise Ended(
            Ending.UNAVAILABLE,
            f"not everything was compared: {failure}\nThe same command goes on from there.",
        )
    stopped = next((one for one in run.crawls if one.stopped), None)
    if stopped is not None:
        raise Ended(
            Ending.BREAKER,
            f"a breaker is open: {stopped.namespace}: {stopped.stopped}\n"
            f"Copies to {side.value} pass it, so these changes are others: look at them with"
            " `kvctl drift scan --dry-run` before you accept them.",
        )


def check_which(crawls: Sequence[Crawled], side: Side) -> None:
    """Raises Ended when it is the other home that has lost its records."""
    mine, others = lacks(crawls, side).keys, lacks(crawls, side.other).keys
    if others <= mine:
        return
    other = side.other.value
    raise Ended(
        Ending.NEGATIVE,
        f"it is {other} that lacks {counted(others, 'record')}; {side.value} lacks {mine}."
        f" {_UNCHANGED}\nFill that one with `kvctl backend rebuild {other}`.",
    )


def lost_for_good(namespaces: Sequence[Namespace], side: Side) -> Sequence[str]:
    """What no crawl brings back: namespaces that were kept in `side` alone."""
    return [
        f"{printable(one.title)} is kept in {side.value} alone: nothing brings back what was lost."
        for one in namespaces
        if one.settings.mode.legs == (side,)
    ]


def seen(crawls: Sequence[Crawled]) -> Tally:
    """The sum of these crawls."""
    total = Tally()
    for crawled in crawls:
        total.add(crawled.tally)
    return total


def is_behind(statuses: Sequence[Status], side: Side) -> bool:
    """Whether some gateway does not trust the home yet."""
    return any(home.behind for one in statuses for home in one.homes if home.side is side)


def is_marked(status: Status, side: Side) -> bool:
    """Whether this gateway holds the home to lack writes of all namespaces."""
    return any("*" in home.behind for home in status.homes if home.side is side)
