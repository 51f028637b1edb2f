"""Creating, changing and ending namespaces.

A title is taken twice only by two gateways at the same moment, since each change begins with a
fresh look; the younger namespace is then shown as a conflict until someone renames it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

from kvgateway.homes.home_time import HomeTime
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.records import RECORDS_MAX
from tandem.core.access import DEFAULT_ACCOUNT
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.limits import NAMESPACES_MAX
from tandem.core.namespace import Namespace, Settings, SettingsChange, check_title
from tandem.core.version import Version
from tandem.errors import (
    InvalidArgument,
    NamespaceExists,
    NamespaceNotFound,
    Overloaded,
    TooManyNamespaces,
    Unconfirmed,
)
from tandem.runtime.randomness import Entropy

_ID_BYTES: Final = 16


class Claims(Protocol):
    """Who may change which namespace now."""

    def alone(self, namespace_id: str) -> AbstractAsyncContextManager[None]:
        """See `kvgateway.registry.claims`."""
        ...


class Namespaces:
    """See `kvgateway.service.NamespaceRegistry`."""

    def __init__(
        self,
        *,
        registry: Registry,
        changes: RecordChanges[Namespace],
        time: HomeTime,
        entropy: Entropy,
        claims: Claims,
    ) -> None:
        self._registry = registry
        self._book = registry.book
        self._changes = changes
        self._time = time
        self._entropy = entropy
        self._claims = claims

    async def create(
        self, title: str, change: SettingsChange, account: str = DEFAULT_ACCOUNT
    ) -> Namespace:
        """A new namespace of an account under a new id.

        Raises NamespaceExists, InvalidArgument for a title that cannot be one, TooManyNamespaces at
        NAMESPACES_MAX, Unavailable as `RecordChanges.put`.
        """
        check_title(title)
        async with self._changes.turn():
            self._check_free(account, title)
            if len(self._book.live(account)) >= NAMESPACES_MAX:
                raise TooManyNamespaces(
                    f"account {account} has {NAMESPACES_MAX} namespaces, the most there can be"
                )
            if len(self._book) >= RECORDS_MAX:
                raise Overloaded(f"{RECORDS_MAX} ids are used up, and none is used again")
            settings = replace(change.applied_to(Settings()), epoch=0)
            created_at_s = self._time.now_us() // 1_000_000
            new = Namespace(self._new_id(), title, settings, created_at_s, account)
            return await self._put(new)

    async def list(self, account: str | None = None) -> Sequence[Namespace]:
        """The namespaces of an account, or all, by title."""
        await self._registry.refresh()
        self._changes.check_ready()
        return self._book.live(account)

    async def get(self, namespace_id: str) -> Namespace:
        """The namespace with this id; see `Registry.resolve`."""
        return await self._registry.resolve(namespace_id)

    async def find(self, title: str, account: str = DEFAULT_ACCOUNT) -> Namespace:
        """The account's namespace with this title, the oldest one in a conflict.

        Raises NamespaceNotFound only when both homes have been looked at, else Unconfirmed.
        """
        found = self._book.owner_of(account, title)
        if found is None:
            await self._registry.refresh()
            found = self._book.owner_of(account, title)
        if found is not None:
            return found
        if not self._registry.confirmed():
            raise Unconfirmed(f"a home that may know the title {title!r} does not answer")
        raise NamespaceNotFound(title)

    async def rename(self, namespace_id: str, title: str) -> Namespace:
        """Gives it another title; NamespaceExists when another one has it, Overloaded while another
        gateway is changing the namespace."""
        check_title(title)
        async with self._changing(namespace_id) as (namespace, version):
            if namespace.title == title and not namespace.title_conflict:
                return namespace
            self._check_free(namespace.account, title)
            return await self._put(replace(namespace, title=title, title_conflict=False), version)

    async def configure(self, namespace_id: str, change: SettingsChange) -> Namespace:
        """Changes its settings, one epoch on; nothing is written when nothing changes.

        Raises InvalidArgument for another mode, which only a step leads to; Overloaded while
        another gateway is changing the namespace.
        """
        if change.mode is not None:
            raise InvalidArgument("settings.mode", "changes by steps: `kvctl namespace mode`")
        async with self._changing(namespace_id) as (namespace, version):
            settings = change.applied_to(namespace.settings)
            if settings == namespace.settings:
                return namespace
            changed = replace(namespace, settings=settings, title_conflict=False)
            return await self._put(changed, version)

    async def delete(self, namespace_id: str) -> None:
        """Ends it for ever. A change that another gateway is making would come above the end, so
        it is waited for as by `rename`; raises as that does."""
        async with self._changing(namespace_id) as (_, above):
            await self._changes.bury(namespace_id, above)

    @asynccontextmanager
    async def _changing(self, namespace_id: str) -> AsyncIterator[tuple[Namespace, Version]]:
        """The namespace as both homes have it, which nobody else changes now."""
        async with self._changes.turn():
            await self._registry.resolve(namespace_id)
            self._changes.check_homes()
            async with self._claims.alone(namespace_id):
                await self._registry.refresh()
                yield await self._current(namespace_id)

    def _check_free(self, account: str, title: str) -> None:
        if self._book.owner_of(account, title) is not None:
            raise NamespaceExists(title)

    def _new_id(self) -> str:
        while True:
            namespace_id = self._entropy.token(_ID_BYTES).hex()
            if self._book.kept(namespace_id) is None and namespace_id not in RESERVED_NAMESPACES:
                return namespace_id

    async def _current(self, namespace_id: str) -> tuple[Namespace, Version]:
        namespace = await self._registry.resolve(namespace_id)
        kept = self._book.kept(namespace_id)
        assert kept is not None
        return namespace, kept.version

    async def _put(self, namespace: Namespace, *above: Version) -> Namespace:
        await self._changes.put(namespace, *above)
        return self._book.get(namespace.id) or namespace
