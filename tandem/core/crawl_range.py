"""How the names of a namespace are divided into ranges, and which keys a deep crawl reads.

A range is an interval of names (after, through]. Its ends are names that a listing's page ended
with, so a range that has not changed since needs no page more than its names do. Ranges are split
as they grow and never joined.
"""

import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tandem.core.limits import KEY_NAME_BYTES_MAX

RANGES_MAX: Final = 4096
"""Of one namespace; above, ranges grow instead."""


class Range(NamedTuple):
    """The names above `after`, up to and including `through`."""

    number: int
    after: str = ""
    through: str = ""
    """"" for all to the end."""

    def holds(self, name: str) -> bool:
        """Whether the name belongs to the range."""
        return self.after < name and (not self.through or name <= self.through)


WHOLE: Final = Range(0)


def ranges(splits: Sequence[str]) -> tuple[Range, ...]:
    """The ranges between these names, which are in order."""
    ends = ["", *splits, ""]
    return tuple(Range(at, after, through) for at, (after, through) in enumerate(pairwise(ends)))


def next_splits(splits: Sequence[str], found: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The splits of the next crawl: the old ones, and those `found` inside each range while there
    is room for all of them."""
    grown = sorted({*splits, *(name for names in found for name in names)})
    return tuple(grown) if len(grown) < RANGES_MAX else tuple(splits)


def may_end(name: str) -> bool:
    """Whether a range may end with this name: nothing is collected of one behind whose end no other
    name can stand."""
    return len(name.encode()) < KEY_NAME_BYTES_MAX


def is_sampled(name: str, parts: int, crawl: int) -> bool:
    """Whether crawl number `crawl` reads this key's bytes, when each reads one part of `parts`; so
    many crawls in a row read every key once."""
    return parts > 0 and zlib.crc32(name.encode()) % parts == crawl % parts
