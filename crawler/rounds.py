"""Round after round over all namespaces: when to crawl, and whom to tell."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crawler.crawl import Crawl
from crawler.report import CrawlReport, CrawlRule
from crawler.same_store import objection
from tandem.backends.port import Backend
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.namespace import BadNamespaceRecord, decode_namespace
from tandem.core.operations import CrawlReport as Told
from tandem.core.record import Kind
from tandem.core.reply import Failed, Found, Side
from tandem.runtime import logs

_LOG = logs.get("crawler")
UNHEALED_SHOWN = 5


class Gateways(Protocol):
    """The gateways of the store, as a crawler needs them."""

    async def enabled(self) -> bool:
        """Whether no gateway that answers has switched a home off, and at least one answers."""
        ...

    async def tell(self, report: Told) -> None:
        """Tells every gateway that answers what a crawl found."""
        ...


@dataclass(slots=True)
class RoundCounters:
    """What all rounds did."""

    rounds: int = 0
    crawls: int = 0
    incomplete: int = 0
    copied: int = 0
    unhealed: int = 0
    errors: int = 0


class Rounds:
    """Crawls every namespace in turn; `run` is its one task."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, Backend],
        gateways: Gateways,
        rule: CrawlRule,
        pause_s: float,
        breathe_ratio: float,
    ) -> None:
        self._homes = homes
        self._gateways = gateways
        self._rule = rule
        self._pause_s = pause_s
        self._breathe_ratio = breathe_ratio
        self.counters = RoundCounters()

    async def run(self) -> None:
        """Crawls until cancelled; a round that raises is counted, and the next one comes.

        After each round it rests for `pause_s`, or for `breathe_ratio` times as long as the round
        took if that is longer.
        """
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await self.round()
            except Exception as error:
                self.counters.errors += 1
                _LOG.error("round_failed", error=repr(error), exc_info=True)
            took_s = loop.time() - began_s
            await asyncio.sleep(max(self._pause_s, took_s * self._breathe_ratio))

    async def round(self) -> None:
        """One crawl of every namespace, the registry first."""
        if not await self._gateways.enabled():
            _LOG.info("round_skipped", why="a home is switched off, or no gateway answers")
            return
        if why := await objection(self._homes, self._rule.deadline_s):
            _LOG.warning("round_skipped", why=why)
            return
        for namespace in [SYSTEM_NAMESPACE, *await self._namespaces()]:
            if not await self._gateways.enabled():
                return
            if await objection(self._homes, self._rule.deadline_s):
                return
            await self._crawl(namespace)
        self.counters.rounds += 1

    async def _crawl(self, namespace: str) -> None:
        """One crawl; one that raises, or that no gateway can be told of, is counted, and keeps no
        other namespace from its own."""
        try:
            report = await Crawl(self._homes, namespace, self._rule).run()
            self._note(report)
            if report.began_at_us:
                await self._gateways.tell(Told(namespace, report.began_at_us, report.equal))
        except Exception as error:
            self.counters.errors += 1
            _LOG.error("crawl_failed", namespace=namespace, error=repr(error), exc_info=True)

    async def _namespaces(self) -> Sequence[str]:
        """The ids of all namespaces that either home knows and that are not deleted."""
        found: dict[str, bool] = {}
        for home in self._homes.values():
            after: str | None = ""
            while after is not None:
                page = await home.scan(
                    SYSTEM_NAMESPACE, after=after, prefix="ns/", limit=LIST_PAGE_MAX,
                    deadline_s=self._rule.deadline_s,
                )  # fmt: skip
                if isinstance(page, Failed):
                    break
                if page.next_after is not None and page.next_after <= after:
                    _LOG.error("listing_goes_in_circles", home=home.side.value, after=after)
                    break
                for entry in page.entries:
                    if entry.kind is not Kind.TOMBSTONE and not found.get(entry.name):
                        found[entry.name] = await self._is_namespace(home, entry.name)
                after = page.next_after
        return [name.removeprefix("ns/") for name, good in sorted(found.items()) if good]

    async def _is_namespace(self, home: Backend, name: str) -> bool:
        reply = await home.get(Key(SYSTEM_NAMESPACE, name), self._rule.deadline_s)
        if not isinstance(reply, Found) or reply.record.kind is Kind.TOMBSTONE:
            return False
        try:
            decode_namespace(reply.record.value)
        except BadNamespaceRecord as error:
            _LOG.error("bad_namespace_record", name=name, error=str(error))
            return False
        return True

    def _note(self, report: CrawlReport) -> None:
        copied = sum(report.copied.values())
        self.counters.crawls += 1
        self.counters.copied += copied
        self.counters.unhealed += len(report.unhealed)
        if report.failure:
            self.counters.incomplete += 1
            _LOG.warning("crawl_incomplete", namespace=report.namespace, why=report.failure)
        elif copied or report.unhealed:
            _LOG.warning(
                "drift_found",
                namespace=report.namespace,
                equal=report.equal_keys,
                copied_to_kvsp=report.copied[Side.KVSP],
                copied_to_s3=report.copied[Side.S3],
                in_flight=report.in_flight,
                unhealed=report.unhealed[:UNHEALED_SHOWN],
            )
        else:
            _LOG.info("crawl_equal", namespace=report.namespace, keys=report.equal_keys)
