"""What a collector asks beside the homes, of the gateways and of the registry."""

from collections.abc import Mapping

from crawler.gateways import Gateways
from crawler.registry import Kept, kept_now
from tandem.backends.port import Backend
from tandem.core.collect import Homes
from tandem.core.reply import Side


class StoreEvidence:
    """The evidence of one store."""

    def __init__(
        self, gateways: Gateways, homes: Mapping[Side, Backend], deadline_s: float
    ) -> None:
        self._gateways = gateways
        self._homes = homes
        self._deadline_s = deadline_s

    async def in_use(self, homes: Homes) -> bool:
        """As the gateways say."""
        enabled = await self._gateways.enabled()
        return enabled >= (frozenset({Side.KVSP}) if homes is Homes.KVSP else frozenset(Side))

    async def is_dirty(self, namespace: str, homes: Homes) -> bool:
        """As the gateways say. Where KVSP is the only home, it holds all that was acknowledged,
        whatever a gateway has lost track of."""
        if homes is Homes.KVSP:
            return False
        return (await self._gateways.trouble()).is_dirty(namespace)

    async def kept_now(self, namespace: str, homes: Homes) -> Kept | None:
        """As the registry says, read from these homes and no other."""
        asked = self._homes
        if homes is Homes.KVSP:
            asked = {Side.KVSP: self._homes[Side.KVSP]}
        return await kept_now(asked, namespace, self._deadline_s)
