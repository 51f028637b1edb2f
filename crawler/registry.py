"""Which namespaces there are, by what both homes list of their records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tandem.backends.port import Backend
from tandem.core.key import (
    NAMESPACE_RECORD,
    RESERVED_NAMESPACES,
    SYSTEM_NAMESPACE,
    Key,
    is_namespace_id,
)
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.namespace import BadNamespaceRecord, Namespace, decode_namespace
from tandem.core.record import Kind
from tandem.core.reply import Failed, Found, Side
from tandem.core.scan_diff import Entry
from tandem.core.version import Version
from tandem.runtime import logs

_LOG: Final = logs.get("crawler")


@dataclass(frozen=True, slots=True)
class Registered:
    """Their ids, in order."""

    alive: tuple[str, ...]
    """Known to either home as a namespace."""
    deleted: Mapping[str, int]
    """Known to KVSP as deleted, and to neither as alive; with the time of that, in microseconds."""
    alone: Mapping[str, Side]
    """Of those alive, the ones that are kept in one home alone, and in which: what the other one
    holds of them proves nothing."""
    filled: Mapping[str, Side]
    """Of those alive, the ones into which a home is being brought that nobody reads yet, and
    which."""

    @property
    def in_both(self) -> tuple[str, ...]:
        """Those alive that are kept in both homes."""
        return tuple(name for name in self.alive if name not in self.alone)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A namespace as its record in one home says."""

    version: Version
    digest: bytes
    namespace: Namespace


async def registered(homes: Mapping[Side, Backend], deadline_s: float) -> Registered:
    """What is registered now; a home that fails is passed over, for the other one may know."""
    alive: dict[str, _Seen] = {}
    deleted: dict[str, int] = {}
    for home in homes.values():
        for entry in await _records(home, deadline_s):
            namespace = entry.name.removeprefix(NAMESPACE_RECORD)
            if entry.kind is Kind.TOMBSTONE:
                if entry.version is not None and _may_be_deleted(namespace):
                    deleted[namespace] = entry.version.time_us
                continue
            known = alive.get(namespace)
            if known is None or known.digest != entry.digest:
                seen = await _seen(home, namespace, deadline_s)
                if seen is not None and (known is None or seen.version > known.version):
                    alive[namespace] = seen
    gone = {name: at_us for name, at_us in sorted(deleted.items()) if name not in alive}
    modes = {name: alive[name].namespace.settings.mode for name in sorted(alive)}
    alone = {name: mode.home for name, mode in modes.items() if not mode.two}
    filled = {name: side for name, mode in modes.items() if (side := mode.filled) is not None}
    return Registered(tuple(modes), gone, alone, filled)


async def _records(home: Backend, deadline_s: float) -> list[Entry]:
    """What a home lists of the registry, as far as it goes."""
    entries: list[Entry] = []
    after: str | None = ""
    while after is not None:
        page = await home.scan(
            SYSTEM_NAMESPACE, after=after, prefix=NAMESPACE_RECORD, limit=LIST_PAGE_MAX,
            deadline_s=deadline_s,
        )  # fmt: skip
        if isinstance(page, Failed):
            break
        if page.next_after is not None and page.next_after <= after:
            _LOG.error("listing_goes_in_circles", home=home.side.value, after=after)
            break
        entries += page.entries
        after = page.next_after
    return entries


async def _seen(home: Backend, namespace: str, deadline_s: float) -> _Seen | None:
    """What a home holds of a namespace; None when that is none, or cannot be had."""
    name = f"{NAMESPACE_RECORD}{namespace}"
    reply = await home.get(Key(SYSTEM_NAMESPACE, name), deadline_s)
    if not isinstance(reply, Found) or reply.record.kind is Kind.TOMBSTONE:
        return None
    record = reply.record
    try:
        return _Seen(record.version, record.digest, decode_namespace(record.value))
    except BadNamespaceRecord as error:
        _LOG.error("bad_namespace_record", name=name, error=str(error))
        return None


def _may_be_deleted(namespace: str) -> bool:
    return is_namespace_id(namespace) and namespace not in RESERVED_NAMESPACES
