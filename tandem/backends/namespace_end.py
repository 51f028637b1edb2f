"""The end of a deleted namespace: after a day its rows and objects go by prefix, step by step.

Its tombstone stays for ever in both homes, and KVSP refuses its id; that is what makes removing
without conditions safe.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from tandem.backends.port import CollectableObjects, CollectableRows
from tandem.core.collect import CollectRule, namespace_may_go
from tandem.core.key import NAMESPACE_RECORD, RESERVED_NAMESPACES, SYSTEM_NAMESPACE, Key
from tandem.core.removal import NamespacePurge, Removal
from tandem.core.reply import Failed

ROWS_AT_ONCE: Final = 10_000
OBJECTS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class NamespaceEnd:
    """What one step has removed; with `more`, there may be something left."""

    rows: int
    objects: int
    more: bool


async def end_namespace(
    rows: CollectableRows, objects: CollectableObjects, namespace: str, rule: CollectRule,
    deadline_s: float,
) -> NamespaceEnd | Failed | None:  # fmt: skip
    """One step of removing all that a deleted namespace held; None while it must not go.

    Both homes must show its tombstone, older than the grace. Repeat it while there is more; it may
    be abandoned anywhere.
    """
    assert namespace not in RESERVED_NAMESPACES
    record = Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{namespace}")
    kvsp, s3 = await asyncio.gather(rows.get(record, deadline_s), objects.get(record, deadline_s))
    now_us = min(kvsp.home_time_us, s3.home_time_us)
    if not namespace_may_go(kvsp, s3, now_us, rule):
        return None
    of_rows = await rows.purge_namespace(namespace, ROWS_AT_ONCE, deadline_s)
    if not isinstance(of_rows, NamespacePurge):
        return None if isinstance(of_rows, Removal) else of_rows
    of_objects = await objects.purge_namespace(namespace, OBJECTS_AT_ONCE, deadline_s)
    if not isinstance(of_objects, NamespacePurge):
        return None if isinstance(of_objects, Removal) else of_objects
    more = of_rows.more or of_objects.more
    return NamespaceEnd(of_rows.removed, of_objects.removed, more)
