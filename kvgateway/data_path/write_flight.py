"""One write on its way to both homes, and the terms that it goes by."""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from kvgateway.state.ports import Intent
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.mode import Mode
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.request import Put, Write, Written
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy, WriteRace

_INTENT: Final = 1


class Terms(NamedTuple):
    """How the writes of one namespace go, as of the moment when they begin."""

    legs: tuple[Side, ...]
    policy: AckPolicy
    skews_us: Mapping[Side, int]
    partial: Mode | None
    """The mode, unless either home will do for every key."""

    def alone(self, key: Key) -> Side | None:
        """The only home that may confirm a write of this key as the first, where there is one."""
        mode = self.partial
        return None if mode is None or len(mode.answers(key)) > 1 else mode.home


class WriteFlight:
    """One write on its way, until its legs and its intent have answered."""

    __slots__ = (
        "acked",
        "answer",
        "began_s",
        "intent",
        "pending",
        "put",
        "race",
        "record",
        "sides",
    )

    def __init__(
        self,
        terms: Terms,
        write: Write,
        version: Version,
        answer: "asyncio.Future[Written]",
        began_s: float,
    ) -> None:
        self.intent = Intent(write.key, version)
        self.record = _sealed(write, version)
        self.put = write.key, self.record
        """What each leg is to store."""
        self.race = WriteRace(version, terms.policy, terms.skews_us, terms.alone(write.key))
        self.answer = answer
        self.acked = False
        self.sides = terms.legs
        self.began_s = began_s
        """In the loop's time."""
        self.pending = len(self.sides) + _INTENT
        """How many have not answered."""


def _sealed(write: Write, version: Version) -> Record:
    if isinstance(write, Put):
        return seal(version, write.value, metadata=write.metadata, expires_at_s=write.expires_at_s)
    return seal_tombstone(version)
