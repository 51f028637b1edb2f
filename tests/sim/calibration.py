"""How often each broken rule is seen, measured; and how many universes follow from it.

A canary is calibrated on universes from seed 0 on, and tested on others, which nobody has looked at
before: as many as it takes to miss it by chance once in a thousand times, at the measured rate.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.sim import swarm
from tests.sim.canaries import CANARIES, Canary
from tests.sim.plan import Sort
from tests.sim.shrink import manner
from tests.sim.universe import plan_of

HELD_OUT_FROM: Final = 1_000_000
"""The first seed of those that canaries are tested on, the same for all."""
SEEN_ENOUGH: Final = 10
SEEN_AT_LEAST: Final = 5
"""Enough for a break that is seen seldom: ten times would take too long."""
UNIVERSES_FEW: Final = 20
"""So many are run for ten sightings; then five are enough."""
UNIVERSES_MAX: Final = 100
_MISSED: Final = 1 / 1000
_Z: Final = 1.645  # one time in twenty
RATES: Final = Path(__file__).with_name("canary_rates.json")
PROOF: Final = Path(__file__).resolve().parents[2] / "docs" / "proof.md"
_TABLE: Final = re.compile(r"(?<=<!-- canaries -->\n).*?(?=<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rate:
    """What came of calibrating one canary."""

    seen: int
    universes: int
    """So many were run."""
    manner: str
    """How it showed first."""
    shown: int | None = None
    """The first universe of those it is tested on that showed it, when it was looked for last."""

    @property
    def share(self) -> float:
        """Of all universes of its sort, how many show it."""
        return self.seen / self.universes

    @property
    def share_at_least(self) -> float:
        """The lower end of Wilson's interval for it: a few sightings may have been luck, and one
        time in twenty the true share is even lower."""
        n, z = self.universes, _Z
        middle = self.share + z * z / (2 * n)
        spread = z * math.sqrt(self.share * (1.0 - self.share) / n + z * z / (4 * n * n))
        return (middle - spread) / (1.0 + z * z / n)

    @property
    def needed(self) -> int:
        """So many universes all miss it once in a thousand times."""
        if not self.seen:
            return UNIVERSES_MAX
        return math.ceil(math.log(_MISSED) / math.log(1.0 - self.share_at_least))

    @property
    def held_out(self) -> range:
        """The universes that it is tested on."""
        return range(HELD_OUT_FROM, HELD_OUT_FROM + self.needed)

    @property
    def tried(self) -> Iterator[int]:
        """The same, beginning with the one that showed it: any of them will do."""
        if self.shown is not None:
            yield self.shown
        yield from self.held_out


def calibrated(name: str) -> tuple[str, Rate]:
    """Runs universes until a canary was seen often enough, or its universes are used up."""
    canary, shown = _canary(name), list[str]()
    universes = 0
    while not _is_enough(len(shown), universes):
        violation = first_violation(canary, universes)
        universes += 1
        if violation is not None:
            shown.append(manner(violation))
    rate = Rate(len(shown), universes, shown[0] if shown else "")
    return name, replace(rate, shown=_sighting(canary, rate.held_out))


def sighted(measured: Mapping[str, Rate], name: str) -> tuple[str, Rate]:
    """Its rate as it was measured, with a universe that shows the canary today."""
    rate = measured[name]
    return name, replace(rate, shown=_sighting(_canary(name), rate.tried))


def _canary(name: str) -> Canary:
    return next(one for one in CANARIES if one.name == name)


def _sighting(canary: Canary, seeds: Iterable[int]) -> int | None:
    return next((seed for seed in seeds if first_violation(canary, seed)), None)


def _is_enough(seen: int, universes: int) -> bool:
    enough = SEEN_ENOUGH if universes < UNIVERSES_FEW else SEEN_AT_LEAST
    return seen >= enough or universes == UNIVERSES_MAX


def first_violation(canary: Canary, seed: int) -> str | None:
    """What shows in a universe that a rule is broken; None when nothing does. What the unbroken
    product shows there too is not its doing."""
    with canary.broken():
        violation = swarm.first_violation(seed, plan_of(seed, canary.sort))
    return None if violation and _unbroken(seed, canary.sort) else violation


@cache
def _unbroken(seed: int, sort: Sort) -> str | None:
    return swarm.first_violation(seed, plan_of(seed, sort))


def on_all(
    measure: Callable[[str], tuple[str, Rate]], names: Sequence[str], processes: int
) -> Iterator[tuple[str, Rate]]:
    """Measures these canaries on so many processes; each comes when it is done."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(measure, name) for name in names]):
            yield done.result()


def rates() -> dict[str, Rate]:
    """What was measured last, by the canary's name."""
    return {name: Rate(**one) for name, one in json.loads(RATES.read_text()).items()}


def keep(measured: Mapping[str, Rate]) -> None:
    """Keeps rates, in the order of the canaries, and enters them in docs/proof.md."""
    names = [one.name for one in CANARIES if one.name in measured]
    RATES.write_text(json.dumps({n: asdict(measured[n]) for n in names}, indent=1) + "\n")
    PROOF.write_text(with_table(PROOF.read_text(), measured))


def with_table(text: str, measured: Mapping[str, Rate]) -> str:
    """`text` with a fresh table between the marks."""
    rows = [_row(one, measured[one.name]) for one in CANARIES if one.name in measured]
    head = (
        "| Broken rule | Universes of | Seen in | First as | Tested on |\n|---|---|---|---|---|\n"
    )
    return _TABLE.sub(lambda _: head + "".join(rows), text)


def _row(canary: Canary, rate: Rate) -> str:
    return (
        f"| {canary.name} | {canary.sort.value} | {rate.seen} of {rate.universes} |"
        f" {rate.manner.replace('#', '…').strip()} | {rate.needed} |\n"
    )
