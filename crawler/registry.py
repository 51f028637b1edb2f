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
from tandem.core.namespace import BadNamespaceRecord, decode_namespace
from tandem.core.record import Kind
from tandem.core.reply import Failed, Found, Side
from tandem.core.scan_diff import Entry
from tandem.runtime import logs

_LOG: Final = logs.get("crawler")


@dataclass(frozen=True, slots=True)
class Registered:
    """Their ids, in order."""

    alive: tuple[str, ...]
    """Known to either home as a namespace."""
    deleted: Mapping[str, int]
    """Known to KVSP as deleted, and to neither as alive; with the time of that, in microseconds."""


async def registered(homes: Mapping[Side, Backend], deadline_s: float) -> Registered:
    """What is registered now; a home that fails is passed over, for the other one may know."""
    alive: dict[str, bool] = {}
    deleted: dict[str, int] = {}
    for home in homes.values():
        for entry in await _records(home, deadline_s):
            namespace = entry.name.removeprefix(NAMESPACE_RECORD)
            if entry.kind is Kind.TOMBSTONE:
                if entry.version is not None and _may_be_deleted(namespace):
                    deleted[namespace] = entry.version.time_us
            elif not alive.get(namespace):
                alive[namespace] = await _is_namespace(home, namespace, deadline_s)
    gone = {name: at_us for name, at_us in sorted(deleted.items()) if not alive.get(name)}
    return Registered(tuple(sorted(n for n, good in alive.items() if good)), gone)


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


async def _is_namespace(home: Backend, namespace: str, deadline_s: float) -> bool:
    name = f"{NAMESPACE_RECORD}{namespace}"
    reply = await home.get(Key(SYSTEM_NAMESPACE, name), deadline_s)
    if not isinstance(reply, Found) or reply.record.kind is Kind.TOMBSTONE:
        return False
    try:
        decode_namespace(reply.record.value)
    except BadNamespaceRecord as error:
        _LOG.error("bad_namespace_record", name=name, error=str(error))
        return False
    return True


def _may_be_deleted(namespace: str) -> bool:
    return is_namespace_id(namespace) and namespace not in RESERVED_NAMESPACES
