"""What several crawlers share: the plan of a namespace's crawl, and who is at which range.

Plans and leases are records of the identity namespace, in KVSP alone: it has one clock for all, a
write is one atomic statement, and without KVSP there is nothing to compare anyway. (On S3 each
would cost money.) A lease saves work and nothing hangs on it: two crawlers that believe to hold one
do everything twice, and all that they do is conditional. So it needs no compare-and-swap: who finds
a lease free writes its own name, reads it back, and gives way when another name is there. For the
same reason a plan or a lease that cannot be read counts as none: it is told and counted, and the
next one is written over it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from crawler.plan import Lease, Plan, plan_of, report_document, report_of
from crawler.report import CrawlReport
from tandem.backends.port import Backend
from tandem.core.crawl_status import RunRequest
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Reason, Side, Stored, Superseded
from tandem.core.version import Version
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_LOG = logs.get("crawler")
_T = TypeVar("_T")
_UNREADABLE: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,  # too deep for JSON
)
LEASE_US: Final = 60_000_000
_NONCE_BYTES: Final = 8
_ID_BYTES: Final = 8


class NoPlan(Exception):
    """KVSP did not answer; the text says what it said."""


@dataclass(frozen=True, slots=True)
class _Read:
    content: Mapping[str, object] = field(default_factory=dict)
    time_us: int = 0
    version: Version | None = None
    rotten: bool = False
    """Whether KVSP has found the record's bytes damaged."""


class Plans:
    """One crawler's view of what is shared. Every method may raise NoPlan."""

    def __init__(
        self,
        kvsp: Backend,
        me: str,
        entropy: Entropy,
        unreadable: Callable[[], None] = lambda: None,
        deadline_s: float = 10.0,
    ) -> None:
        """`unreadable` hears of each look at a record that could not be read."""
        self._kvsp = kvsp
        self._me = me
        self._entropy = entropy
        self._unreadable = unreadable
        self._deadline_s = deadline_s

    async def current(self, namespace: str) -> Plan | None:
        """The plan that was made last."""
        key = _plan_key(namespace)
        content = (await self._read(key)).content
        return self._parsed(key, lambda: plan_of(namespace, content)) if content else None

    async def begin(
        self, namespace: str, number: int, splits: Sequence[str], asked: RunRequest,
        alone: Side | None = None, mode_epoch: int = 0,
    ) -> Plan:  # fmt: skip
        """Makes a new plan; the one that is returned may be another crawler's."""
        mine = Plan(
            self._entropy.token(_ID_BYTES).hex(), namespace, number, tuple(splits),
            asked.deep_parts, asked.rebuild, asked.requests_per_s, alone, mode_epoch,
        )  # fmt: skip
        key = _plan_key(namespace)
        await self._write(key, mine.document(), await self._read(key))
        return await self.current(namespace) or mine

    async def forget(self, namespace: str) -> None:
        """Leaves no plan; the next crawl is the first again."""
        read = await self._read(_plan_key(namespace))
        if read.content:
            await self._write(_plan_key(namespace), {}, read)

    async def lease(self, plan: Plan, number: int) -> Lease | None:
        """Who is at a range; None when nobody is."""
        key = _lease_key(plan, number)
        return self._lease_in(key, await self._read(key), plan)

    async def take(self, plan: Plan, number: int) -> Lease:
        """Takes or renews the lease of a range unless another crawler holds it or it is done; who
        holds it now."""
        key = _lease_key(plan, number)
        read = await self._read(key)
        held = self._lease_in(key, read, plan)
        if held is not None and (held.report is not None or not self.is_mine(held)):
            return held
        until_us = read.time_us + LEASE_US
        await self._write(key, {"plan": plan.id, "holder": self._me, "until_us": until_us}, read)
        now = await self._read(key)
        if now.rotten:
            raise NoPlan(f"kvsp: what was just written to {key.name} is damaged")
        return self._lease_in(key, now, plan) or Lease("", 0)

    def is_mine(self, lease: Lease) -> bool:
        """Whether this crawler holds it."""
        return lease.holder == self._me

    async def finish(self, plan: Plan, number: int, report: CrawlReport) -> None:
        """Enters what was found of a range: at once and as a whole."""
        key = _lease_key(plan, number)
        done = report_document(report)
        content = {"plan": plan.id, "holder": self._me, "until_us": 0, "report": done}
        await self._write(key, content, await self._read(key))

    async def release(self, plan: Plan, number: int) -> None:
        """Lets others have a range that this crawler could not finish."""
        key = _lease_key(plan, number)
        read = await self._read(key)
        held = self._lease_in(key, read, plan)
        if held is not None and held.report is None and self.is_mine(held):
            await self._write(key, {}, read)

    async def _read(self, key: Key) -> _Read:
        match await self._kvsp.get(key, self._deadline_s):
            case Found(record, home_time_us):
                content = self._parsed(key, lambda: _content_of(record.value))
                return _Read(content or {}, home_time_us, record.version)
            case Failed(Reason.CORRUPT, detail, home_time_us):
                self._note(key, detail)
                return _Read(time_us=home_time_us, rotten=True)
            case Failed() as failed:
                raise NoPlan(f"kvsp: {failed}")
            case missing:
                return _Read(time_us=missing.home_time_us)

    def _lease_in(self, key: Key, read: _Read, plan: Plan) -> Lease | None:
        return self._parsed(key, lambda: _lease_in(read, plan))

    def _parsed(self, key: Key, parse: Callable[[], _T]) -> _T | None:
        """What a record says; None for one that nobody could have written so."""
        try:
            return parse()
        except _UNREADABLE as error:
            self._note(key, repr(error))
            return None

    def _note(self, key: Key, why: str) -> None:
        self._unreadable()
        _LOG.error("crawl_record_unreadable", name=key.name, why=why, effect="it counts as none")

    async def _write(self, key: Key, content: Mapping[str, object], over: _Read) -> None:
        value = json.dumps(content, separators=(",", ":")).encode()
        reply = await self._kvsp.put_if_newer(key, self._sealed(value, over), self._deadline_s)
        if not isinstance(reply, Stored | Superseded):
            raise NoPlan(f"kvsp: {reply}")

    def _sealed(self, value: bytes, over: _Read) -> Record:
        """Stamped by KVSP's clock, above what was read."""
        time_us = over.time_us
        if over.version is not None:
            time_us = max(time_us, over.version.time_us + 1)
        return seal(Version.at(time_us, self._entropy.token(_NONCE_BYTES)), value)


def _plan_key(namespace: str) -> Key:
    return Key(IDENTITY_NAMESPACE, f"crawl/{namespace}")


def _lease_key(plan: Plan, number: int) -> Key:
    return Key(IDENTITY_NAMESPACE, f"crawl/{plan.namespace}/{number}")


def _content_of(value: bytes) -> Mapping[str, object]:
    content = json.loads(value)
    if not isinstance(content, dict):
        raise TypeError(f"{type(content).__name__} instead of an object")
    return content


def _lease_in(read: _Read, plan: Plan) -> Lease | None:
    """The lease, unless it belongs to an earlier plan or has run out by KVSP's clock."""
    content = read.content
    if content.get("plan") != plan.id:
        return None
    report = content.get("report")
    if isinstance(report, dict):
        return Lease(str(content["holder"]), 0, report_of(plan.namespace, report))
    until_us = int(str(content["until_us"]))
    return Lease(str(content["holder"]), until_us) if until_us > read.time_us else None
