"""Storms drawn from a seed: what befalls the requests that pass a proxy while it lasts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from enum import Enum
from random import Random
from typing import assert_never

from tests.servers.fault_proxy import NEVER_ARRIVES, NO_ANSWER, PASS, Fault, Request, status

_LATE_MOST_S = 0.4
_WRONG_BY = (timedelta(hours=-1), timedelta(seconds=-3), timedelta(seconds=3), timedelta(hours=1))


class Trouble(Enum):
    """What may befall one request to an S3 store."""

    SLOW = "its answer is late"
    LOST = "the connection is reset before it arrives"
    UNANSWERED = "it is done, and the connection is reset"
    CUT = "its answer ends in the middle"
    DONE_BUT_500 = "it is done, and answered with 500"
    REFUSED = "it is answered with 503, and not done"
    WRONG_DATE = "its answer has a wrong Date"
    HANGING = "nothing is ever answered"


QUICK = tuple(trouble for trouble in Trouble if trouble is not Trouble.HANGING)
"""Those that end by themselves; what hangs is waited for until a write's deadline."""


@dataclass(frozen=True, slots=True)
class Storm:
    """Which share of all requests meets which troubles."""

    seed: int
    troubles: tuple[Trouble, ...] = tuple(Trouble)
    share: float = 0.3

    def plan(self) -> Callable[[Request], Fault]:
        """For `FaultProxy.plan`: the same faults in the same order for the same seed."""
        random = Random(self.seed)

        def draw(_: Request) -> Fault:
            if random.random() >= self.share:
                return PASS
            return fault_of(random.choice(self.troubles), random)

        return draw


def fault_of(trouble: Trouble, random: Random) -> Fault:
    """One such fault, its extent drawn from `random`."""
    match trouble:
        case Trouble.SLOW:
            return Fault(answered_after_s=random.uniform(0.0, _LATE_MOST_S))
        case Trouble.LOST:
            return NEVER_ARRIVES
        case Trouble.UNANSWERED:
            return NO_ANSWER
        case Trouble.CUT:
            return Fault(cut_to=random.randrange(600))
        case Trouble.DONE_BUT_500:
            return Fault(answer=status(500, "InternalError"))
        case Trouble.REFUSED:
            return Fault(forward=False, answer=status(503, "SlowDown"))
        case Trouble.WRONG_DATE:
            wrong_by = random.choice(_WRONG_BY)
            return Fault(mangle=lambda answer: dated_wrong(answer, wrong_by))
        case Trouble.HANGING:
            return Fault(silent=True)
        case _:
            assert_never(trouble)


def dated_wrong(answer: bytes, by: timedelta) -> bytes:
    """An answer with its `Date` moved; one without gets the present time, moved."""
    head, end, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    dates = [line for line in lines if line.lower().startswith(b"date:")]
    now = parsedate_to_datetime(dates[0][5:].decode()) if dates else datetime.now(UTC)
    moved = f"Date: {format_datetime((now + by).astimezone(UTC), usegmt=True)}".encode()
    kept = [line for line in lines if line not in dates]
    return b"\r\n".join((first, moved, *kept)) + end + body
