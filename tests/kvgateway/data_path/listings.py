"""A gateway that lists from two homes, for tests."""

from kvgateway.data_path.list_draft import ListBounds
from kvgateway.data_path.lists import Lister
from kvgateway.state.ports import Intent
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.request import ListedName, Listing
from tests.kvgateway.one_gateway import NAMESPACE, FixedView, OneGateway, TwoHomes

BOUNDS = ListBounds()


class Listings(TwoHomes):
    """A gateway that lists from two homes."""

    def __init__(self, bounds: ListBounds = BOUNDS, memory_bytes_max: int = 1 << 28) -> None:
        super().__init__()
        self.view = FixedView()
        self.gateway = OneGateway(
            self.by_side, self.clock, view=self.view, memory_bytes_max=memory_bytes_max
        )
        self.lister = Lister(
            homes=self.by_side,
            machine=self.gateway.machine,
            reader=self.gateway.reader,
            time=self.gateway.time,
            view=self.view,
            bounds=bounds,
        )

    @property
    def reads(self) -> int:
        """How many names had to be read."""
        counters = self.gateway.reader.counters
        return counters.hits + counters.misses

    async def names(self, *, after: str = "", limit: int = 1000) -> list[str]:
        page = await self.lister.list(listing(after=after, limit=limit))
        return [name.name for name in page.names]

    async def all_pages(
        self, *, prefix: str = "", limit: int = 1000
    ) -> tuple[list[ListedName], bool]:
        """Every name that following the cursors shows, and whether any page was stale."""
        asked = listing(prefix=prefix, limit=limit)
        found: list[ListedName] = []
        stale = False
        for _ in range(200):
            page = await self.lister.list(asked)
            assert len(page.names) <= asked.limit
            found.extend(page.names)
            stale = stale or page.stale
            if page.next_after is None:
                return found, stale
            assert page.next_after > asked.after
            asked = Listing(NAMESPACE, asked.prefix, page.next_after, asked.limit)
        raise AssertionError("the listing does not end")

    def remember(self, name: str, record: Record) -> None:
        """This machine has just written the record."""
        self.gateway.machine.install([(Key(NAMESPACE, name), record)], self.clock.now_us())

    def pin(self, name: str, record: Record) -> None:
        """This machine knows only that the record was written."""
        self.gateway.machine.pin([Intent(Key(NAMESPACE, name), record.version)])


def listing(*, prefix: str = "", after: str = "", limit: int = 1000) -> Listing:
    return Listing(NAMESPACE, prefix, after, limit)
