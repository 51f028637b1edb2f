"""What stands in the way of a step from mode to mode, by what the gateways say of themselves.

    the step asks for              or else
    one epoch everywhere           a gateway two modes behind writes where nobody reads
    a crawl, where a home begins   a home answers that lacks what was written before it came
    to answer
    a crawl, where one is left     what a gateway that died had not repaired yet is left with it
    no write of the mode before    the crawl passes by what lands behind it
    under way when it began

(`tests/core/test_mode_model.py` leaves each of them out.) Where a home will answer alone, no repair
may wait for it either, and no gateway may know it to be behind: else its readers would miss writes
for a while, and lose them if a dead home is left by force, with no crawl.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.mode import Mode, Stage, step
from tandem.core.namespace import Namespace
from tandem.core.reply import Side


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What one worker process of a gateway says of one namespace. Times are the homes'."""

    id: str
    looked_us: int
    """When it looked at the namespaces last."""
    epoch: int
    """Of the mode that it goes by."""
    since_us: int
    """When all that it began by the mode before had ended; 0 while something has not."""
    behind: tuple[Side, ...] = ()
    waiting: tuple[Side, ...] = ()
    """The homes for which repairs wait, of whatever namespace."""
    compared: int = 0
    different: int = 0


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a step is not taken now."""

    text: str
    passes: bool
    """Whether it goes away by itself within seconds, if all is well."""
    lasting: bool = False
    """Whether not even force sets it aside: a home that no crawl has seen must not answer."""


@dataclass(frozen=True, slots=True)
class ModeReport:
    """Where a namespace is between one home and both, and what a step would need and do."""

    namespace: Namespace
    next: tuple[Mode, ...] = ()
    """Where one step leads; of shares of keys, one percent and all."""
    workers: tuple[WorkerView, ...] = ()
    """Every process that may still serve."""
    crawled_us: int = 0
    """When the last crawl began that found the namespace equal in both homes; 0 for never."""
    effects: tuple[str, ...] = ()
    """What the step that was asked about changes."""
    objections: tuple[Objection, ...] = ()
    stepped: bool = False


_CLOCKS_US: Final = 2 * WHOLE_SECOND_CLOCK_SKEW_MAX_US


def objections(
    now: Mode, epoch: int, wanted: Mode, views: Sequence[WorkerView], crawled_us: int
) -> Sequence[Objection]:
    """Why the step from `now` to its neighbour `wanted` is not to be taken; nothing if it is.

    `views` are of all processes that may still serve, `crawled_us` is when the last crawl began
    that found the namespace equal in both homes, or 0.
    """
    found = step(now, wanted)
    assert found is not None, f"no step leads from {now} to {wanted}"
    waits = list(_unready(epoch, views, settled=bool(found.crawled or found.whole)))
    lacks = [one for side in found.whole for one in _lacking(side, views)]
    lacks += [one for side in found.crawled for one in _lacking(side, views)]
    if (found.crawled or found.voided) and not _crawled(views, crawled_us):
        text = f"no crawl has found both homes equal since all gateways go by {now}"
        lacks.append(Objection(text, passes=False, lasting=bool(found.crawled)))
    return [*waits, *lacks]


def _unready(epoch: int, views: Sequence[WorkerView], *, settled: bool) -> Iterator[Objection]:
    for view in views:
        if view.epoch != epoch:
            text = f"gateway {view.id} goes by epoch {view.epoch} of the mode, not by {epoch}"
            yield Objection(text, passes=True)
        elif settled and not view.since_us:
            text = f"gateway {view.id} has writes under way that began in the mode before"
            yield Objection(text, passes=True)


def _lacking(side: Side, views: Sequence[WorkerView]) -> Iterator[Objection]:
    for view in views:
        if side in view.behind:
            text = f"{side.value} may lack writes, says gateway {view.id}: a crawl finds out"
            yield Objection(text, passes=False)
        elif side in view.waiting:
            text = f"repairs wait for {side.value} at gateway {view.id}"
            yield Objection(text, passes=True)


def _crawled(views: Sequence[WorkerView], crawled_us: int) -> bool:
    """Whether the crawl began when no write of the mode before was under way any more."""
    return crawled_us > max((view.since_us for view in views), default=0) + _CLOCKS_US


def effects(now: Mode, wanted: Mode) -> Sequence[str]:
    """What a step changes, for people."""
    found = step(now, wanted)
    assert found is not None, f"no step leads from {now} to {wanted}"
    return [*_writes(now, wanted), *_reads(now, wanted), *_left(found.voided)]


def _writes(now: Mode, wanted: Mode) -> Iterator[str]:
    both, home = "both homes", wanted.home.value
    legs = both if wanted.two else f"{home} alone"
    if wanted.legs != now.legs:
        yield f"Writes go to {legs}."
    if wanted.stage is Stage.SHADOW:
        yield f"A write is acknowledged once {home} has it; {wanted.home.other.value} follows."
    elif wanted.whole:
        yield "A write is acknowledged once either home has it, as the ack policy says."
    elif wanted.stage is Stage.ACTIVE:
        yield f"Of {wanted.percent} % of the keys either home acknowledges writes, else {home}."


def _reads(now: Mode, wanted: Mode) -> Iterator[str]:
    home = wanted.home.value
    if wanted.whole:
        yield "Reads are answered by either home, lists by the better one."
    elif wanted.stage is Stage.ACTIVE:
        yield f"Reads of {wanted.percent} % of the keys are answered by either home, else {home}."
    elif wanted.stage is Stage.SHADOW:
        yield f"Reads are answered by {home}; a sample of them is compared with the other home."
    elif now.two:
        yield f"Reads are answered by {home} alone: while it is down, the namespace is down."


def _left(voided: Sequence[Side]) -> Iterator[str]:
    for side in voided:
        yield (
            f"What {side.value} holds stays there, grows old, and is read by nobody;"
            " a crawl must pass before it answers again."
        )
