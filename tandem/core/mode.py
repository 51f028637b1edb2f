"""The modes of a namespace: how a home is brought in or taken out while the namespace is served.

    mode            a write is sent to      one of these must       a read is answered by
                                            confirm it
    single(A)       A                       A                       A
    shadow(A)       both                    A                       A
    active(A, p)    both                    either; for the other   either; for the other
                                            keys A                  keys A

In `active(A, p)` a stable hash of the name draws p percent of the keys; a key that is drawn at p is
drawn at every higher share. `active(A, 100)` is the same as `active(B, 100)`.

Steps lead only from a mode to its neighbour, both ways:

    single(A) - shadow(A) - active(A, p) - active(100) - active(B, q) - shadow(B) - single(B)

A step is taken when every gateway has seen the mode before it, so that at any moment all gateways
are in one mode or in two neighbours. That is what makes it safe: of two neighbours, each sends its
writes to every home that may answer in the other. (Two that are further apart do not: what a
gateway in `single(A)` writes is never sent to B, which may answer in `active`.) Beyond that a step
asks two things (`tandem.core.mode_step`), and does a third:

    crawled   these homes may answer from now on and did not before: a crawl that began after every
              gateway had seen the present mode has found them equal to the others
    whole     these homes answer alone from now on for what others have confirmed, so they must
              lack nothing: they are behind on no gateway, and none has a repair queued for them
    voided    these homes are left, after one more crawl: what they hold grows old from now on,
              nothing is copied from them, and no step makes them answer again before a crawl

A gateway that cannot say which mode is in force sends its writes to both homes, needs both, and
waits for both when it reads, which is right in every mode.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2s
from typing import Final

from tandem.core.key import Key
from tandem.core.reply import BOTH_SIDES, Side
from tandem.errors import InvalidArgument

WHOLE_SHARE: Final = 100


class Stage(enum.Enum):
    """How far the second home is in."""

    SINGLE = "single"
    SHADOW = "shadow"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Mode:
    """The mode of a namespace."""

    stage: Stage = Stage.ACTIVE
    home: Side = Side.KVSP
    """The one that confirms and answers alone, where one does."""
    percent: int = WHOLE_SHARE
    """The share of keys for which either home will do; 100 unless the stage is ACTIVE."""

    def __post_init__(self) -> None:
        if not 1 <= self.percent <= WHOLE_SHARE:
            raise ValueError(f"{self.percent} percent of the keys")
        if self.stage is not Stage.ACTIVE and self.percent != WHOLE_SHARE:
            raise ValueError(f"{self.stage.value} has no share of keys")

    def __str__(self) -> str:
        if self.stage is not Stage.ACTIVE:
            return f"{self.stage.value}({self.home.value})"
        if self.percent == WHOLE_SHARE:
            return str(self.stage.value)
        return f"{self.stage.value}({self.home.value}, {self.percent} %)"

    @property
    def legs(self) -> tuple[Side, ...]:
        """The homes that a write is sent to."""
        return BOTH_SIDES if self.two else (self.home,)

    @property
    def two(self) -> bool:
        """Whether there is a second home at all."""
        return self.stage is not Stage.SINGLE

    @property
    def whole(self) -> bool:
        """Whether either home will do for every key."""
        return self.stage is Stage.ACTIVE and self.percent == WHOLE_SHARE

    @property
    def listed(self) -> tuple[Side, ...]:
        """The homes that may list the names."""
        return BOTH_SIDES if self.whole else (self.home,)

    @property
    def may_answer(self) -> tuple[Side, ...]:
        """The homes that answer for at least some keys."""
        return BOTH_SIDES if self.stage is Stage.ACTIVE else (self.home,)

    @property
    def filled(self) -> Side | None:
        """The home that is brought in and that nobody reads yet: what it lacks is copied to it,
        however much it is."""
        return self.home.other if self.stage is Stage.SHADOW else None

    def answers(self, key: Key) -> tuple[Side, ...]:
        """The homes that may answer a read of this key, and of which one must confirm a write."""
        if self.whole or (self.stage is Stage.ACTIVE and lot_of(key) < self.percent):
            return BOTH_SIDES
        return (self.home,)


ACTIVE: Final = Mode()


def lot_of(key: Key) -> int:
    """The lot of a key, 0 to 99: the same on every gateway, for ever."""
    text = f"{key.namespace}/{key.name}".encode()
    return int.from_bytes(blake2s(text, digest_size=4).digest()) * 100 >> 32


@dataclass(frozen=True, slots=True)
class Step:
    """A step to a neighbour, and what must hold before it is taken."""

    crawled: tuple[Side, ...] = ()
    whole: tuple[Side, ...] = ()
    voided: tuple[Side, ...] = ()


def step(now: Mode, wanted: Mode) -> Step | None:
    """The step from one mode to another; None where there is none."""
    if not _neighbours(now, wanted):
        return None
    fewer = len(wanted.legs) < len(now.legs) or len(wanted.may_answer) < len(now.may_answer)
    return Step(
        crawled=_without(wanted.may_answer, now.may_answer),
        whole=wanted.may_answer if fewer else (),
        voided=_without(now.legs, wanted.legs),
    )


def steps_from(now: Mode) -> Iterator[Mode]:
    """The stages that one step leads to; of shares of keys, all and one percent."""
    for stage in Stage:
        for home in Side:
            for percent in (1, WHOLE_SHARE) if stage is Stage.ACTIVE else (WHOLE_SHARE,):
                mode = Mode(stage, home, percent)
                if step(now, mode) is not None and (home is now.home or not mode.whole):
                    yield mode


def check_step(now: Mode, wanted: Mode) -> None:
    """Raises InvalidArgument when no step leads from one mode to the other."""
    if step(now, wanted) is None:
        ways = ", ".join(str(mode) for mode in steps_from(now))
        raise InvalidArgument("mode", f"no step leads from {now} to {wanted}, only to: {ways}")


def _neighbours(one: Mode, other: Mode) -> bool:
    if one == other or (one.whole and other.whole):
        return False
    if one.home is not other.home and not (one.whole or other.whole):
        return False
    return abs(_place(one) - _place(other)) <= 1


def _place(mode: Mode) -> int:
    return list(Stage).index(mode.stage)


def _without(some: tuple[Side, ...], others: tuple[Side, ...]) -> tuple[Side, ...]:
    return tuple(side for side in some if side not in others)
