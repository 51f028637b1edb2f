"""What the front doors may ask of a gateway: the one interface behind gRPC and HTTP.

A door hands the `Entrance` the credential that came with a request, and does everything else
through the `Caller` that it gets back: what that one may not do, and what its quotas have no room
for, ends in an error there, so that no door knows who may do what.

Requests arrive checked (`tandem.core.request`). Reads that this machine can answer by itself are
answered at once, without a task; everything else is a future that ends in a result or in one of
`tandem.errors` (NamespaceNotFound, PermissionDenied, QuotaExceeded, Unavailable, Overloaded).
"""

from asyncio import Future
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tandem.backends.port import Ahead
from tandem.core.access import DEFAULT_ACCOUNT, Grant
from tandem.core.key import Key
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.operations import Compared, CrawlReport, Healed, Inspection, QueuedRepair, Status
from tandem.core.reply import Side
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.core.token import CreatedToken, Token, TokenWish
from tandem.errors import TandemError


class KeyValues(Protocol):
    """The data path."""

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | Future[ReadResult]]:
        """One answer for each read, in order."""
        ...

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | Future[Written]]:
        """One answer for each write, in order. Writes that are given together become one group:
        one transaction of the clock, one sync of the journal, one message to each home."""
        ...

    async def list(self, listing: Listing) -> ListPage:
        """One page of live names."""
        ...

    def admit_body(self, namespace: str, size: int | None) -> AbstractContextManager[Ahead | None]:
        """Held by a door from before it reads the body of a write until that write has ended.
        Where it gives an `Ahead`, the one large value of that body may go there as it comes.

        `size` is None when the length is not known; doors may leave it out for bodies of at most
        LARGE_BODY_BYTES. Entering it raises QuotaExceeded when no more bodies may be received now,
        and PermissionDenied where the write would be refused.
        """
        ...


class NamespaceRegistry(Protocol):
    """The namespaces of the store. Ids have the right form and titles are checked on arrival.

    Each method may raise Unavailable; those that take an id, NamespaceNotFound.
    """

    async def create(
        self, title: str, change: SettingsChange, account: str = DEFAULT_ACCOUNT
    ) -> Namespace:
        """Creates a namespace; NamespaceExists when another one of the account has the title."""
        ...

    async def list(self, account: str | None = None) -> Sequence[Namespace]:
        """The namespaces of an account, or all, by title."""
        ...

    async def get(self, namespace_id: str) -> Namespace:
        """The namespace with this id."""
        ...

    async def find(self, title: str, account: str = DEFAULT_ACCOUNT) -> Namespace:
        """The account's namespace with this title, the oldest one in a conflict."""
        ...

    async def rename(self, namespace_id: str, title: str) -> Namespace:
        """Gives it another title; NamespaceExists when another one has it."""
        ...

    async def configure(self, namespace_id: str, change: SettingsChange) -> Namespace:
        """Changes its settings."""
        ...

    async def delete(self, namespace_id: str) -> None:
        """Stops serving its keys at once; the id is never used again."""
        ...


class TokenRegistry(Protocol):
    """The tokens of the store. What arrives is checked; each method may raise Unavailable."""

    async def create(self, wish: TokenWish) -> CreatedToken:
        """A new token under a new id, and its text."""
        ...

    async def list(self, account: str | None = None) -> Sequence[Token]:
        """The tokens for one account, or all, by name."""
        ...

    async def get(self, token_id: str) -> Token:
        """The token with this id; TokenNotFound."""
        ...

    async def revoke(self, token_id: str) -> None:
        """Ends it: here at once, everywhere within seconds. TokenNotFound."""
        ...


class Operations(Protocol):
    """What an operator may see and do. Each method may raise Unavailable."""

    async def status(self) -> Status:
        """How the homes, the queue and the journal are."""
        ...

    async def inspect(self, key: Key) -> Inspection:
        """What each home holds under a key."""
        ...

    async def heal(self, key: Key) -> Healed:
        """Makes both homes hold the newest record of a key, now."""
        ...

    async def compare(self, namespace: str, prefix: str, after: str) -> Compared:
        """A page of what both homes list above `after`, tombstones too."""
        ...

    async def switch(self, home: Side, *, reads_enabled: bool, writes_enabled: bool) -> Status:
        """Takes a home out of reads, of writes, or both, or back in; kept over restarts."""
        ...

    async def mark_behind(self, home: Side) -> Status:
        """Takes an operator's word that a home lost records: it gives no first answers until crawls
        have passed."""
        ...

    async def queue(self, limit: int) -> Sequence[QueuedRepair]:
        """The next repairs, at most `limit`."""
        ...

    async def crawled(self, report: CrawlReport) -> None:
        """Takes note that one namespace was found equal, or not, in both homes."""
        ...

    async def mode(self, namespace_id: str, wanted: Mode | None) -> ModeReport:
        """Where a namespace is between one home and both, and what a step to `wanted` would need.

        Raises NamespaceNotFound, and InvalidArgument for a mode that no step leads to.
        """
        ...

    async def step(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, *, force: bool
    ) -> ModeReport:
        """Takes a step from the mode of this epoch, unless something stands in its way; `force`
        sets aside what is not lasting. Raises as `mode` does."""
        ...


class Caller(Protocol):
    """One caller's view of the gateway: each part does what the grant allows, and refuses the rest
    with PermissionDenied, or with NamespaceNotFound when it is another account's. A credential that
    ends (expired, revoked) ends its callers within seconds: everything is answered with
    Unauthenticated from then on."""

    @property
    def grant(self) -> Grant:
        """What the caller may do."""
        ...

    @property
    def keyvalues(self) -> KeyValues:
        """The data path, with the caller's quotas."""
        ...

    @property
    def namespaces(self) -> NamespaceRegistry:
        """The namespaces within the caller's reach."""
        ...

    @property
    def tokens(self) -> TokenRegistry:
        """The tokens that the caller may administer."""
        ...

    @property
    def operations(self) -> Operations:
        """What an operator may do."""
        ...


class Entrance(Protocol):
    """Lets callers in."""

    def known(self, credential: str) -> Caller | None:
        """The caller behind a credential (the text of a token; empty for none); None when it is
        not known on this machine, and has to be looked for.

        Raises Unauthenticated when it is known not to be valid.
        """
        ...

    async def find(self, credential: str) -> Caller:
        """The same, asking both homes for a credential that is not known here.

        Raises Unauthenticated; Unavailable when a home that may know it does not answer;
        Overloaded when too many are being looked for.
        """
        ...
