"""The race of a write as an accumulator: fed with replies, it says when to acknowledge.

A leg confirms when the home stored the record or holds a newer one, and, by that home's
clock, the version was neither too old nor too far ahead (`ACK_WINDOW_US`, the home's skew).

    policy            acknowledged when
    first             one leg has confirmed
    first+intent      one leg has confirmed and the intent is durable, or all legs have confirmed
    both              all legs have confirmed

An intent that cannot be made durable turns `first+intent` into `both`. Where one home answers alone
(`tandem.core.mode`), its leg is the one, and `both` is as `first+intent`.
"""

import enum
from collections.abc import Mapping
from typing import NamedTuple

from tandem.core.limits import ACK_WINDOW_US
from tandem.core.reply import Failed, GiveUp, Refused, Side, Stored, Superseded, WriteReply
from tandem.core.version import Version

_HOLDS = (Stored, Superseded)
"""Replies of a home that now holds the version or a newer one."""


class AckPolicy(enum.Enum):
    """What must have happened before a write is acknowledged."""

    FIRST = "first"
    """One home has confirmed."""
    FIRST_INTENT = "first+intent"
    """One home has confirmed and the gateway's intent is durable."""
    BOTH = "both"
    """Both homes have confirmed."""


# To take a member from its class is a call in Python 3.11, at each reply to a write.
_FIRST, _FIRST_INTENT = AckPolicy.FIRST, AckPolicy.FIRST_INTENT


class Ack(NamedTuple):
    """The write is acknowledged; `newest` is the version that overwrote it, if one did."""

    first: Side
    newest: Version | None = None


class WriteRace:
    """One write over the homes in `skew_max_us`, which says how far ahead of each home's clock
    a version may be for its confirmation to count. Where there is a home `alone`, nothing but its
    confirmation counts as the first; the other's leg goes in the background."""

    __slots__ = ("_alone", "_confirmed", "_first", "_holding", "_intent", "_newest", "_policy",
                 "_replies", "_skew_max_us", "_time_us", "answered")  # fmt: skip

    def __init__(self, version: Version, policy: AckPolicy, skew_max_us: Mapping[Side, int],
                 alone: Side | None = None) -> None:  # fmt: skip
        self._time_us = version.time_us
        self._alone = alone
        self._policy = _FIRST_INTENT if alone and policy is AckPolicy.BOTH else policy
        self._skew_max_us = skew_max_us
        self._replies: dict[Side, WriteReply] = {}
        self._intent: bool | None = None
        self._first: Side | None = None
        self._confirmed = 0
        self._holding = 0
        self._newest: Version | None = None
        self.answered = False

    def on_leg(self, side: Side, reply: WriteReply) -> Ack | GiveUp | None:
        """Takes one home's reply; returns what to tell the client, once, or None to wait on."""
        assert side not in self._replies
        self._replies[side] = reply
        if isinstance(reply, _HOLDS):
            self._holding += 1
            if self._in_time(side, reply):
                self._confirmed += 1
                if self._first is None and self._alone in (None, side):
                    self._first = side
            if isinstance(reply, Superseded):
                self._newest = max(reply.newest, self._newest or reply.newest)
        return None if self.answered else self._decide()

    def on_intent(self, durable: bool) -> Ack | GiveUp | None:
        """Takes the journal's answer: whether the intent is on stable storage."""
        assert self._intent is None
        self._intent = durable
        return None if self.answered else self._decide()

    def complete(self) -> bool:
        """Whether every leg has replied."""
        return len(self._replies) == len(self._skew_max_us)

    def unconfirmed(self) -> tuple[Side, ...]:
        """The homes that are not known to hold this version or a newer one."""
        if self._holding == len(self._skew_max_us):
            return ()
        return tuple(
            side for side in self._skew_max_us if not isinstance(self._replies.get(side), _HOLDS)
        )

    def _decide(self) -> Ack | GiveUp | None:
        if self._first is not None and self._suffices():
            self.answered = True
            return Ack(self._first, self._newest)
        if not self.complete() and (self._first or self._alone not in self._replies):
            return None
        reasons = self._reasons()
        if self._first is not None and self._policy is _FIRST_INTENT:
            if self._intent is None:
                return None
            reasons = (*reasons, "journal: the intent is not durable")
        self.answered = True
        return GiveUp(reasons)

    def _suffices(self) -> bool:
        """Whether the policy asks for no more than what has been confirmed."""
        if self._policy is _FIRST or self._confirmed == len(self._skew_max_us):
            return True
        return self._policy is _FIRST_INTENT and self._intent is True

    def _reasons(self) -> tuple[str, ...]:
        return tuple(
            f"{side.value}: {self._why(side, reply)}" for side, reply in self._replies.items()
        )

    def _why(self, side: Side, reply: WriteReply) -> str:
        match reply:
            case Failed() | Refused():
                return str(reply)
            case Stored() | Superseded():
                return "confirmed" if self._in_time(side, reply) else "confirmed out of time"

    def _in_time(self, side: Side, reply: Stored | Superseded) -> bool:
        age_us = reply.home_time_us - self._time_us
        return -self._skew_max_us[side] <= age_us <= ACK_WINDOW_US
