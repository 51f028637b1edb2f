"""Whether both homes belong to one store; a crawl of two would copy each into the other."""

import asyncio
from collections.abc import Mapping
from typing import Final

from tandem.backends.port import Backend
from tandem.backends.store_id import STORE_ID_KEY, shown
from tandem.core.reply import Side

DEADLINE_S: Final = 3.0
"""For one small record; somebody may wait at a terminal."""


async def objection(homes: Mapping[Side, Backend], *, may_lack_id: Side | None = None) -> str:
    """Why the homes must not be compared now; empty when both show the same store id, or all but
    the one that may lack it."""
    replies = await asyncio.gather(*(home.get(STORE_ID_KEY, DEADLINE_S) for home in homes.values()))
    ids = {side: shown(reply) for side, reply in zip(homes, replies, strict=True)}
    for side, store_id in ids.items():
        if store_id is None:
            return f"{side.value} does not answer"
        if not store_id and side is not may_lack_id:
            return f"{side.value} has no store id: no gateway has used it yet"
    if len({store_id for store_id in ids.values() if store_id}) > 1:
        pairs = ", ".join(f"{side.value} has {store_id}" for side, store_id in ids.items())
        return f"the two homes belong to different stores: {pairs}"
    return ""
