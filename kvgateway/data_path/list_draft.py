"""A page of a listing on its way, and how much it may cost."""

from dataclasses import dataclass, field

from tandem.core.reply import Side
from tandem.core.request import ListedName, Listing, ListPage


@dataclass(frozen=True, slots=True)
class ListBounds:
    """Deadlines, and how much one page may cost."""

    first_scan_s: float = 2.0
    """For a home that the other can stand in for."""
    scan_s: float = 5.0
    avoid_us: int = 5_000_000
    """How long a home that has failed is asked last."""
    scan_names_min: int = 100
    passed_max: int = 10_000
    scans_max: int = 64
    reads_max: int = 32
    read_bytes_max: int = 64 * 1024 * 1024


LIST_BOUNDS = ListBounds()


@dataclass(slots=True)
class Draft:
    """A page as far as it has come."""

    listing: Listing
    after: str
    """All names up to this one are done with."""
    sides: tuple[Side, ...]
    """The homes that the namespace is listed from."""
    homes: tuple[Side, ...]
    """These, and those that may stand in for them."""
    behind: tuple[Side, ...]
    names: list[ListedName] = field(default_factory=list)
    passed: int = 0
    scans: int = 0
    ended: bool = False
    stale: bool = False

    @property
    def room(self) -> int:
        return self.listing.limit - len(self.names)

    def page(self) -> ListPage:
        """A full page is continued after its last name: one that is put behind it, even among
        deleted ones that were passed, belongs to the next page."""
        next_after = self.after if self.room else self.names[-1].name
        return ListPage(tuple(self.names), None if self.ended else next_after, self.stale)
