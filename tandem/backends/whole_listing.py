"""All that one home lists below a prefix, for those who want the whole of it: page after page, and
never without an end, whatever the home does."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tandem.backends.port import Backend
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.reply import Failed
from tandem.core.scan_diff import Entry

PAGES_MAX: Final = 200
"""Of LIST_PAGE_MAX names: twice as many as there may ever be of any kind that is listed so."""


class WholeListing(NamedTuple):
    """What was listed."""

    entries: Sequence[Entry]
    lacking: str
    """Why there may be more than that; empty where it is all."""
    failed: Failed | None = None
    """What the home answered instead of a page."""


async def list_all(home: Backend, namespace: str, prefix: str, deadline_s: float) -> WholeListing:
    """Lists as far as it goes; `deadline_s` is for each page."""
    entries: list[Entry] = []
    lacking, after = "", ""
    for _ in range(PAGES_MAX):
        page = await home.scan(
            namespace, after=after, prefix=prefix, limit=LIST_PAGE_MAX, deadline_s=deadline_s
        )
        if isinstance(page, Failed):
            return WholeListing(entries, str(page), page)
        entries += page.entries
        if not page.complete:
            lacking = "the listing is incomplete"
        if page.next_after is None:
            return WholeListing(entries, lacking)
        if page.next_after <= after:
            return WholeListing(entries, "the listing goes in circles")
        after = page.next_after
    return WholeListing(entries, f"it lists more than {PAGES_MAX * LIST_PAGE_MAX} names")
