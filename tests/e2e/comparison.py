"""Both homes read whole, past every program, and compared byte by byte."""

import asyncio
from collections.abc import Mapping

from crawler.crawl import Crawl
from crawler.report import CrawlRule
from tandem.backends.port import Backend, ScanPage
from tandem.core.key import Key
from tandem.core.record import Kind, Record
from tandem.core.reply import Found, Side
from tests.e2e.deployment import Deployment
from tests.e2e.history import Held, History, Outcome, digest_of, losses, violations

_DEADLINE_S = 20.0
_READS_AT_ONCE = 200


async def records(home: Backend, namespace: str) -> dict[str, Record]:
    """Everything that a home holds of a namespace, tombstones included."""
    names = await _names(home, namespace)
    found: dict[str, Record] = {}
    for start in range(0, len(names), _READS_AT_ONCE):
        group = names[start : start + _READS_AT_ONCE]
        replies = await asyncio.gather(
            *(home.get(Key(namespace, name), _DEADLINE_S) for name in group)
        )
        for name, reply in zip(group, replies, strict=True):
            assert isinstance(reply, Found), f"{home.side.value}: {name}: {reply}"
            found[name] = reply.record
    return found


async def _names(home: Backend, namespace: str) -> list[str]:
    names: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await home.scan(
            namespace, after=after, prefix="", limit=1000, deadline_s=_DEADLINE_S
        )
        assert isinstance(page, ScanPage), f"{home.side.value}: {page}"
        assert page.complete
        names += [entry.name for entry in page.entries]
        after = page.next_after
    assert names == sorted(set(names), key=str.encode)
    return names


async def both(deployment: Deployment, namespace: str) -> dict[Side, Mapping[str, Record]]:
    """What each home holds."""
    async with deployment.homes() as homes:
        return {side: await records(home, namespace) for side, home in homes.backends.items()}


async def equal_records(deployment: Deployment, namespace: str) -> Mapping[str, Record]:
    """What both homes hold; AssertionError when it is not the same, byte for byte."""
    held = await both(deployment, namespace)
    kvsp, s3 = held[Side.KVSP], held[Side.S3]
    different = sorted(name for name in kvsp.keys() | s3.keys() if kvsp.get(name) != s3.get(name))
    shown = [f"{n}: kvsp {_said(kvsp.get(n))}, s3 {_said(s3.get(n))}" for n in different[:5]]
    assert not different, f"{len(different)} records differ: {'; '.join(shown)}"
    return kvsp


async def check(deployment: Deployment, namespace: str, history: History) -> None:
    """The whole verdict on a history, once nothing is left to repair.

    Each home by itself holds every acknowledged write then. Of a write that was not acknowledged
    nobody may know, when the process that made it was killed: a crawl makes the homes equal.
    """
    await deployment.settled()
    async with deployment.client() as client:
        namespace_id = await client.namespaces.id_of(namespace)
    wrong = violations(history)
    for side, held in (await both(deployment, namespace_id)).items():
        wrong += [f"{side.value}: {loss}" for loss in losses(history, _held(held))]
    assert not wrong, f"{len(wrong)} of {len(history.events)} events: {wrong[:5]}"
    if any(event.outcome is Outcome.AMBIGUOUS for event in history.events):
        async with deployment.homes() as homes:
            report = await Crawl(homes.backends, namespace_id, CrawlRule(settle_s=0.1)).run()
        assert report.equal, report
    wrong = losses(history, _held(await equal_records(deployment, namespace_id)))
    assert not wrong, wrong[:5]


def _held(records: Mapping[str, Record]) -> dict[str, Held]:
    return {name: Held(record.version, _digest(record)) for name, record in records.items()}


def _digest(record: Record) -> bytes:
    return b"" if record.kind is Kind.TOMBSTONE else digest_of(record.value)


def _said(record: Record | None) -> str:
    return "nothing" if record is None else f"{record.kind.name} {record.version}"
