"""What every worker process of a gateway lets the others know of it: a small record in both homes.

It says until when the process may go by the modes that it has seen, which they are, and which homes
may lack writes that it knows of. A step from mode to mode rests on these records (`mode_step`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tandem.core.mode_step import WorkerView
from tandem.core.reply import Side

FORMAT: Final = 1
LEASE_US: Final = 30_000_000
"""So long after it has looked at the namespaces a process may go by what it saw."""
GONE_US: Final = LEASE_US + 15_000_000
"""So long after that look nothing is acknowledged any more that began before the lease ended: the
ack window (10 s), the longest read and the error of the clocks have passed too."""
FORGOTTEN_US: Final = 86_400_000_000
"""So long after that look its registration need not be kept either."""
MODES_MAX: Final = 1000
"""So many namespaces that were ever stepped are reported, those of the latest steps first."""
ALL: Final = "*"
"""Stands for every namespace, as in the marks of homes that are behind."""


@dataclass(frozen=True, slots=True)
class SeenMode:
    """How one process goes by the mode of one namespace."""

    epoch: int = 0
    since_us: int = 0
    """When all that it began by the mode before had ended; 0 while something has not."""
    compared: int = 0
    """Reads of the sample that both homes answered, in this mode."""
    different: int = 0
    """Those of them that saw two answers."""


_NEVER_STEPPED: Final = SeenMode(since_us=1)


@dataclass(frozen=True, slots=True)
class Registration:
    """One worker process, as of its last look at the namespaces. Times are the homes'."""

    id: str
    """The id of its gateway and the number of its slot."""
    looked_us: int
    ended: bool = False
    """Whether it has stopped serving."""
    behind: Mapping[Side, frozenset[str]] = field(default_factory=dict)
    """By home, the namespaces (or ALL) for which it may lack writes."""
    waiting: Mapping[Side, int] = field(default_factory=dict)
    """By home, how many repairs wait for it on this gateway."""
    modes: Mapping[str, SeenMode] = field(default_factory=dict)
    """By namespace; those that were never stepped are left out."""
    steps: Mapping[str, int] = field(default_factory=dict)
    """The namespaces of which it is taking a step, each with the time when it has ended at last."""

    def gone(self, now_us: int) -> bool:
        """Whether nothing can come of the process any more."""
        return self.ended or now_us > self.looked_us + GONE_US

    def forgotten(self, now_us: int) -> bool:
        """Whether its registration may go: one that comes back after all registers anew."""
        return now_us > self.looked_us + FORGOTTEN_US

    def steps_now(self, namespace: str, now_us: int) -> bool:
        """Whether it may be taking a step of this namespace."""
        return self.steps.get(namespace, 0) >= now_us

    def view(self, namespace: str) -> WorkerView:
        """What it says of one namespace."""
        seen = self.modes.get(namespace, _NEVER_STEPPED)
        return WorkerView(
            id=self.id,
            looked_us=self.looked_us,
            epoch=seen.epoch,
            since_us=seen.since_us,
            behind=tuple(s for s in Side if self.behind.get(s, frozenset()) & {namespace, ALL}),
            waiting=tuple(side for side in Side if self.waiting.get(side, 0)),
            compared=seen.compared,
            different=seen.different,
        )


class BadRegistration(ValueError):
    """Bytes that are no registration in a format that this program knows."""


def encode_registration(registration: Registration) -> bytes:
    """The value of its record."""
    document = {
        "format": FORMAT,
        "id": registration.id,
        "looked_us": registration.looked_us,
        "ended": registration.ended,
        "behind": {side.value: sorted(names) for side, names in registration.behind.items()},
        "waiting": {side.value: count for side, count in registration.waiting.items()},
        "modes": {
            namespace: [seen.epoch, seen.since_us, seen.compared, seen.different]
            for namespace, seen in registration.modes.items()
        },
        "steps": dict(registration.steps),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode_registration(raw: bytes) -> Registration:
    """The registration in a record's value; BadRegistration unless it is one."""
    try:
        document = json.loads(raw)
        if document["format"] != FORMAT:
            raise BadRegistration(f"format {document['format']!r} is not known here")
        return Registration(
            id=str(document["id"]),
            looked_us=int(document["looked_us"]),
            ended=bool(document["ended"]),
            behind={Side(s): frozenset(map(str, n)) for s, n in document["behind"].items()},
            waiting={Side(side): int(count) for side, count in document["waiting"].items()},
            modes={str(n): SeenMode(*map(int, seen)) for n, seen in document["modes"].items()},
            steps={str(n): int(until_us) for n, until_us in document["steps"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as bad:
        raise BadRegistration(f"not a registration: {bad!r}") from bad
