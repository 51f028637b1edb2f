"""What a crawl counts: of one range, or of a namespace as the sum of its ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from tandem.core.drift import REAL, Drift, Sighting
from tandem.core.reply import Side

UNHEALED_MAX: Final = 20
"""So many names that could not be repaired are kept, with the reasons."""

_NO_DRIFT: Final = dict.fromkeys(Drift, 0)


@dataclass(slots=True)
class Tally:
    """Plain sums, so that ranges add up; times are the homes' own."""

    equal: int = 0
    """Names that both homes list alike."""
    tombstones: int = 0
    """Those of them that are tombstones."""
    oldest_tombstone_us: int = 0
    """The oldest one's version; 0 without any."""
    deep: int = 0
    """Keys whose bytes were read in both homes and checked."""
    keys: dict[Drift, int] = field(default_factory=_NO_DRIFT.copy)
    bytes: dict[Drift, int] = field(default_factory=_NO_DRIFT.copy)
    oldest_us: dict[Drift, int] = field(default_factory=_NO_DRIFT.copy)
    """The oldest difference of each class; 0 without any."""
    copied: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    """Records that were written to a home by repair."""
    repaired: int = 0
    repair_sum_us: int = 0
    """Over all repaired keys, how long ago their newest version was written."""
    repair_max_us: int = 0
    unhealed_keys: int = 0
    unhealed: list[str] = field(default_factory=list)
    """Some of them, with the reasons."""
    rows_removed: int = 0
    """Dead records that left SQL for good."""
    objects_removed: int = 0
    """Objects that left S3 for good, or that a tombstone has taken the place of."""
    kvsp_requests: int = 0
    s3_requests: int = 0
    bytes_read: int = 0

    @property
    def records(self) -> int:
        """How many keys some home holds."""
        others = (Drift.EXPIRED, Drift.FOREIGN)
        return self.equal + sum(n for drift, n in self.keys.items() if drift not in others)

    @property
    def dead(self) -> int:
        """How many keys both homes hold and nobody can read."""
        return self.tombstones + self.keys[Drift.EXPIRED]

    @property
    def drifted(self) -> int:
        """How many keys differed, in flight and retired ones left out."""
        return sum(self.keys[drift] for drift in REAL)

    @property
    def drift_ppm(self) -> float:
        """Of a million keys, how many differed."""
        return self.drifted * 1e6 / self.records if self.records else 0.0

    def saw(self, sighting: Sighting) -> None:
        """Counts one key that is not the same in both homes."""
        drift = sighting.drift
        self.keys[drift] += 1
        self.bytes[drift] += sighting.bytes
        self.oldest_us[drift] = _earlier(self.oldest_us[drift], sighting.since_us)

    def saw_tombstone(self, written_us: int) -> None:
        """Counts a tombstone that both homes hold."""
        self.tombstones += 1
        self.oldest_tombstone_us = _earlier(self.oldest_tombstone_us, written_us)

    def healed(self, copied: tuple[Side, ...], after_us: int) -> None:
        """Counts a repaired key, whose newest version was written so long ago."""
        for side in copied:
            self.copied[side] += 1
        self.repaired += 1
        self.repair_sum_us += max(after_us, 0)
        self.repair_max_us = max(self.repair_max_us, after_us)

    def not_healed(self, text: str) -> None:
        """Counts a key that stays unequal."""
        self.unhealed_keys += 1
        if len(self.unhealed) < UNHEALED_MAX:
            self.unhealed.append(text)

    def add(self, other: Self) -> None:
        """Takes another one's counts into this."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.oldest_tombstone_us = _earlier(self.oldest_tombstone_us, other.oldest_tombstone_us)
        self.repair_max_us = max(self.repair_max_us, other.repair_max_us)
        for drift in Drift:
            self.keys[drift] += other.keys[drift]
            self.bytes[drift] += other.bytes[drift]
            self.oldest_us[drift] = _earlier(self.oldest_us[drift], other.oldest_us[drift])
        for side in Side:
            self.copied[side] += other.copied[side]
        self.unhealed = [*self.unhealed, *other.unhealed][:UNHEALED_MAX]

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            **{name: getattr(self, name) for name in (*_SUMS, *_MARKS)},
            "unhealed": self.unhealed,
            "copied": {side.value: count for side, count in self.copied.items()},
            "drift": {
                drift.name.lower(): [keys, self.bytes[drift], self.oldest_us[drift]]
                for drift, keys in self.keys.items()
                if keys
            },
        }

    @classmethod
    def of(cls, document: object) -> Self:
        """What `document` made; ValueError, KeyError or TypeError for anything else. What an
        earlier release did not count yet is 0."""
        fields = _object(document)
        tally = cls()
        for name in (*_SUMS, *_MARKS):
            setattr(tally, name, _number(fields.get(name, 0)))
        tally.unhealed = [str(text) for text in _list(fields["unhealed"])]
        for side, count in _object(fields["copied"]).items():
            tally.copied[Side(side)] = _number(count)
        for name, counts in _object(fields["drift"]).items():
            drift = Drift[name.upper()]
            keys, size, oldest_us = _list(counts)
            tally.keys[drift], tally.bytes[drift] = _number(keys), _number(size)
            tally.oldest_us[drift] = _number(oldest_us)
        return tally


_SUMS: Final = (
    "equal", "tombstones", "deep", "repaired", "repair_sum_us", "unhealed_keys", "rows_removed",
    "objects_removed", "kvsp_requests",
    "s3_requests", "bytes_read",
)  # fmt: skip
_MARKS: Final = ("oldest_tombstone_us", "repair_max_us")


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a number")
    return value


def _earlier(one_us: int, other_us: int) -> int:
    return min(one_us, other_us) if one_us and other_us else one_us or other_us
