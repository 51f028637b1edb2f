"""Which namespaces there are, by what both homes list of their records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.backends.port import Backend
from tandem.backends.whole_listing import list_all
from tandem.core.collect import Homes
from tandem.core.key import (
    NAMESPACE_RECORD,
    RESERVED_NAMESPACES,
    SYSTEM_NAMESPACE,
    Key,
    is_namespace_id,
)
from tandem.core.mode import ACTIVE, Mode
from tandem.core.namespace import BadNamespaceRecord, Namespace, decode_namespace
from tandem.core.record import Kind
from tandem.core.reply import Found, Side
from tandem.core.scan_diff import Entry
from tandem.core.version import Version
from tandem.runtime import logs

_LOG: Final = logs.get("crawler")


@dataclass(frozen=True, slots=True)
class Kept:
    """How a namespace is kept."""

    mode: Mode = ACTIVE
    epoch: int = 0
    """Of the mode."""

    @property
    def homes(self) -> Homes:
        """Which homes it is kept in; what another one holds of it proves nothing."""
        if self.mode.two:
            return Homes.BOTH
        return Homes.KVSP if self.mode.home is Side.KVSP else Homes.S3

    @property
    def alone(self) -> Side | None:
        """The only home that it is kept in; None for both."""
        return None if self.mode.two else self.mode.home


IN_BOTH: Final = Kept()
"""As every namespace is kept that was never stepped, and the reserved ones always."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Their ids, in order."""

    kept: Mapping[str, Kept]
    """Those that either home knows as a namespace, and how they are kept."""
    deleted: Mapping[str, int]
    """Known to KVSP as deleted, and to neither as alive; with the time of that, in microseconds."""

    def kept_in(self, homes: Homes) -> tuple[str, ...]:
        """Those that are kept in both homes, or in just this one."""
        return tuple(name for name, kept in self.kept.items() if kept.homes is homes)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A namespace as its record in one home says."""

    version: Version
    digest: bytes
    namespace: Namespace

    @property
    def kept(self) -> Kept:
        settings = self.namespace.settings
        return Kept(settings.mode, settings.mode_epoch)


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
    return Registered({name: alive[name].kept for name in sorted(alive)}, gone)


async def kept_now(homes: Mapping[Side, Backend], namespace: str, deadline_s: float) -> Kept | None:
    """How a namespace is kept by the newest record of it; None where no home shows one. The
    reserved ones have none."""
    if namespace in RESERVED_NAMESPACES:
        return IN_BOTH
    found = [await _seen(home, namespace, deadline_s) for home in homes.values()]
    known = [seen for seen in found if seen is not None]
    return max(known, key=lambda seen: seen.version).kept if known else None


async def _records(home: Backend, deadline_s: float) -> Sequence[Entry]:
    """What a home lists of the registry, as far as it goes."""
    listing = await list_all(home, SYSTEM_NAMESPACE, NAMESPACE_RECORD, deadline_s)
    if listing.lacking:
        _LOG.warning("registry_not_listed", home=home.side.value, why=listing.lacking)
    return listing.entries


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
