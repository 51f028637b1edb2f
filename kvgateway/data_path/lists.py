"""Listing: from the home that knows the most, merged with what this machine wrote lately.

A page is filled stretch by stretch. A stretch is what one home, or both where none of them knows
everything, lists above a name, up to where every listing used (that of recent writes included) is
known; the next one goes on after it, from whichever home answers then. So names never repeat, and
none that is there throughout is left out, whatever happens to the homes meanwhile.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kvgateway.data_path.list_draft import LIST_BOUNDS, Draft, ListBounds
from kvgateway.data_path.list_scans import Scans
from kvgateway.data_path.list_verdict import Dead, Doubt, Verdict, entry_of, judge, verdict_on
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.view import View
from kvgateway.homes.home_time import HomeTime
from kvgateway.state.ports import Known, Machine
from tandem.backends.port import Backend, ScanPage
from tandem.core.key import Key
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.mode import Mode
from tandem.core.reading import SIDES
from tandem.core.reply import Side
from tandem.core.request import ListedName, Listing, ListPage, Read, ReadResult
from tandem.core.scan_diff import Entry
from tandem.errors import TandemError


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Verdicts on all names of a stretch; `upto` is its last name, None for all that follow."""

    verdicts: tuple[Verdict, ...]
    upto: str | None


class Lister:
    """Lists for the clients of one process; nothing of a page is kept until the next."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, Backend],
        machine: Machine,
        reader: Reader,
        time: HomeTime,
        view: View,
        bounds: ListBounds = LIST_BOUNDS,
    ) -> None:
        self._machine = machine
        self._reader = reader
        self._time = time
        self._view = view
        self._bounds = bounds
        self._scans = Scans(homes=homes, machine=machine, time=time, bounds=bounds)

    async def list(self, listing: Listing) -> ListPage:
        """One page; see `kvgateway.service.KeyValues`.

        It ends early, with a cursor, after 10,000 names that were passed, or where nothing can be
        said of the next name at the moment. Raises Unavailable or Overloaded when that is the
        first one.
        """
        namespace = listing.namespace
        mode = self._view.mode_of(namespace)
        sides = SIDES[self._view.read_mode_of(namespace)] if mode.whole else mode.listed
        behind = self._behind(namespace, mode)
        draft = Draft(listing, listing.after, sides, mode.may_answer, behind)
        try:
            while not self._done(draft):
                await self._extend(draft, await self._stretch(draft))
        except TandemError:
            if draft.after == listing.after:
                raise
        return draft.page()

    def _behind(self, namespace: str, mode: Mode) -> tuple[Side, ...]:
        """The homes that may lack names."""
        return self._view.behind(namespace) if mode.two else ()

    def _done(self, draft: Draft) -> bool:
        return (
            draft.ended
            or not draft.room
            or draft.passed >= self._bounds.passed_max
            or draft.scans >= self._bounds.scans_max
        )

    async def _stretch(self, draft: Draft) -> _Stretch:
        """What is known of the names after the draft's last one."""
        limit = self._scan_limit(draft)
        pages = await self._scans.of(draft, limit)
        now_us = self._time.now_us()
        listing = draft.listing
        recent = self._machine.recent(listing.namespace, draft.after, listing.prefix, limit, now_us)
        ends = [page.next_after for page in pages if page.next_after is not None]
        if len(recent) == limit:
            ends.append(recent[-1][0])
        upto = min(ends, default=None)
        verdicts = (
            judge(name, listed, pinned, now_us / 1_000_000)
            for name, listed, pinned in _merged(pages, recent, upto)
        )
        return _Stretch(tuple(verdicts), upto)

    def _scan_limit(self, draft: Draft) -> int:
        if draft.scans:
            return LIST_PAGE_MAX
        return min(LIST_PAGE_MAX, max(self._bounds.scan_names_min, draft.room))

    async def _extend(self, draft: Draft, stretch: _Stretch) -> None:
        """Enters the names of a stretch, as many as the page still holds."""
        start = 0
        while start < len(stretch.verdicts):
            group = self._group(stretch.verdicts, start, draft.room)
            if not group:
                return
            await self._enter(draft, group)
            start += len(group)
        draft.ended = stretch.upto is None
        if stretch.upto is not None:
            draft.after = stretch.upto

    def _group(self, verdicts: Sequence[Verdict], start: int, room: int) -> Sequence[Verdict]:
        """The next verdicts that surely fit into the page and whose reads may run at once."""
        group: list[Verdict] = []
        reads = size = 0
        for verdict in verdicts[start:]:
            room -= not isinstance(verdict, Dead)
            if isinstance(verdict, Doubt):
                reads, size = reads + 1, size + verdict.size
            if room < 0 or reads > self._bounds.reads_max:
                break
            if reads > 1 and size > self._bounds.read_bytes_max:
                break
            group.append(verdict)
        return group

    async def _enter(self, draft: Draft, group: Sequence[Verdict]) -> None:
        doubts = [verdict for verdict in group if isinstance(verdict, Doubt)]
        settled = await self._settled(draft.listing.namespace, doubts) if doubts else {}
        for verdict in group:
            outcome = settled[verdict.name] if isinstance(verdict, Doubt) else verdict
            match outcome:
                case ListedName():
                    draft.names.append(outcome)
                case ReadResult(record=record, stale=stale):
                    draft.stale = draft.stale or stale
                    if record is not None:
                        name = ListedName(verdict.name, record.expires_at_s, record.metadata)
                        draft.names.append(name)
                case Dead():
                    pass
                case error:
                    raise error
            draft.after = verdict.name
            draft.passed += 1

    async def _settled(
        self, namespace: str, doubts: Sequence[Doubt]
    ) -> dict[str, ListedName | Dead | ReadResult | TandemError]:
        """What memory or, failing that, a read from the homes says of names in doubt."""
        now_us = self._time.now_us()
        outcomes: dict[str, ListedName | Dead | ReadResult | TandemError] = {}
        unread: list[Doubt] = []
        knowns = self._machine.lookup([Key(namespace, doubt.name) for doubt in doubts], now_us)
        for doubt, known in zip(doubts, knowns, strict=True):
            record = None if known is None else known.record
            if record is not None and record.digest == doubt.digest:
                outcomes[doubt.name] = verdict_on(entry_of(doubt.name, record), now_us / 1_000_000)
            else:
                unread.append(doubt)
        answers = self._reader.read(
            [Read(Key(namespace, doubt.name), doubt.wanted, cache_ttl_s=0) for doubt in unread]
        )
        heard = await asyncio.gather(*(_heard(answer) for answer in answers))
        return outcomes | {doubt.name: answer for doubt, answer in zip(unread, heard, strict=True)}


async def _heard(
    answer: ReadResult | TandemError | asyncio.Future[ReadResult],
) -> ReadResult | TandemError:
    if not isinstance(answer, asyncio.Future):
        return answer
    try:
        return await answer
    except TandemError as error:
        return error


def _merged(
    pages: Sequence[ScanPage], recent: Sequence[tuple[str, Known]], upto: str | None
) -> Iterator[tuple[str, list[Entry], Known | None]]:
    """Every name up to `upto`, in order, with all that is said of it."""
    listed: dict[str, list[Entry]] = {}
    for page in pages:
        for entry in page.entries:
            listed.setdefault(entry.name, []).append(entry)
    pinned = dict(recent)
    for name in sorted(listed.keys() | pinned.keys()):
        if upto is not None and name > upto:
            return
        yield name, listed.get(name, []), pinned.get(name)
