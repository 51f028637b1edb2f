"""Which homes a stretch of a listing is asked of, and whether they show all there is.

    KVSP                          S3                 listed from        stale
    complete                      (not asked)        KVSP               no
    incomplete                    complete           both, merged       no
    incomplete                    failed             KVSP               yes
    behind                        complete           S3                 no
    behind                        failed             KVSP               yes
    failed                        complete           S3                 no
    failed                        behind             S3                 yes
    behind                        behind             both, merged       no
    failed                        failed             the page ends here, or Unavailable

Each acknowledged write is in one of the two: where both list completely, nothing is stale, even if
both are behind. A namespace that is read from one home alone is listed from it, and from the other
one only where that cannot answer. A home that is being filled is not listed at all: it is no second
one that could have the writes that the first lacks. While recent writes had to be dropped for
space, lately or while a home was asked, no home counts as complete.
"""

from collections.abc import Mapping, Sequence

from kvgateway.data_path.list_draft import Draft, ListBounds
from kvgateway.homes.home_time import HomeTime
from kvgateway.state.ports import Machine
from tandem.backends.port import Backend, ScanPage
from tandem.core.reply import BOTH_SIDES, Failed, Side
from tandem.errors import Unavailable


class Scans:
    """Asks the homes for the listings of one process; remembers which home has failed lately."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, Backend],
        machine: Machine,
        time: HomeTime,
        bounds: ListBounds,
    ) -> None:
        self._homes = homes
        self._machine = machine
        self._time = time
        self._bounds = bounds
        self._avoided_until_us: dict[Side, int] = {}

    async def of(self, draft: Draft, limit: int) -> Sequence[ScanPage]:
        """Pages that together show every name, or else make the draft stale.

        What a home that is behind lists adds nothing but doubts to what the other one knows.
        """
        pages: dict[Side, ScanPage] = {}
        failures: list[str] = []
        whole = False
        for side in (sides := self._ordered(draft)):
            if pages and side not in draft.sides and not self._machine.spilled():
                break
            page = await self._scan(draft, side, limit, last=side is sides[-1])
            if isinstance(page, Failed):
                failures.append(f"{side.value}: {page}")
                continue
            pages[side] = page
            whole = whole or (page.complete and side not in draft.behind)
            if whole and not self._machine.spilled():
                break
        if not pages:
            raise Unavailable("; ".join(failures))
        spilled = self._machine.spilled()
        both = len(pages) == len(draft.homes)
        every = len(pages) == len(BOTH_SIDES) and all(page.complete for page in pages.values())
        draft.stale = draft.stale or not (whole or every) or (spilled and not both)
        if whole and not spilled:
            for side in draft.behind:
                pages.pop(side, None)
        return list(pages.values())

    def _ordered(self, draft: Draft) -> Sequence[Side]:
        """Both homes, the best one first. Where a namespace is read from one home alone, the other
        comes last: it is asked only when that one cannot answer."""
        return sorted(
            draft.homes,
            key=lambda side: (
                side not in draft.sides, self._avoided(side), side in draft.behind
            ),
        )  # fmt: skip

    async def _scan(self, draft: Draft, side: Side, limit: int, *, last: bool) -> ScanPage | Failed:
        draft.scans += 1
        page = await self._homes[side].scan(
            draft.listing.namespace,
            after=draft.after,
            prefix=draft.listing.prefix,
            limit=limit,
            deadline_s=self._bounds.scan_s
            if last or self._avoided(side.other)
            else self._bounds.first_scan_s,
        )
        if isinstance(page, Failed):
            self._avoided_until_us[side] = self._time.reckoned_us() + self._bounds.avoid_us
        return page

    def _avoided(self, side: Side) -> bool:
        return self._time.reckoned_us() < self._avoided_until_us.get(side, 0)
