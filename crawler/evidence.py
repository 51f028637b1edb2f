"""What a collector asks beside the homes, of the gateways and of the registry."""

from collections.abc import Mapping
from typing import Protocol

from crawler.registry import Kept, kept_now
from tandem.backends.port import Backend
from tandem.core.collect import Homes
from tandem.core.reply import Side


class Witnesses(Protocol):
    """The gateways of the store."""

    async def is_dirty(self, namespace: str, homes: Homes) -> bool:
        """See `crawler.collecting.Evidence`."""
        ...


class StoreEvidence:
    """The evidence of one store."""

    def __init__(
        self, gateways: Witnesses, homes: Mapping[Side, Backend], deadline_s: float
    ) -> None:
        self._gateways = gateways
        self._homes = homes
        self._deadline_s = deadline_s

    async def is_dirty(self, namespace: str, homes: Homes) -> bool:
        """As the gateways say."""
        return await self._gateways.is_dirty(namespace, homes)

    async def kept_now(self, namespace: str, homes: Homes) -> Kept | None:
        """As the registry says, read from these homes and no other."""
        asked = self._homes
        if homes is Homes.KVSP:
            asked = {Side.KVSP: self._homes[Side.KVSP]}
        return await kept_now(asked, namespace, self._deadline_s)
