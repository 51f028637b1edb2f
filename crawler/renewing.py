"""A restored cluster of KVSP begins its new life before anybody uses it again.

A cluster that was exchanged for an old copy still holds what was deleted for good since. A gateway
that reads it there and misses it on S3 would copy it back. So an operator takes KVSP out of use
before, and it goes into use again only when the crawler has compared its clusters with their
mirrors: which it therefore does although KVSP is switched off, and although no gateway runs. If
the cluster with the store id was lost before another one was restored, no gateway gives it the id
meanwhile: clusters are looked at all the same.
"""

from collections.abc import Mapping

from crawler.collecting import Collector
from crawler.same_store import objection
from tandem.backends.port import Backend
from tandem.core.reply import Side


class Renewing:
    """Looks at the clusters of one store."""

    def __init__(self, homes: Mapping[Side, Backend], collector: Collector) -> None:
        """`homes` are not behind the kill switches."""
        self._homes = homes
        self._collector = collector
        self.looks = 0
        """How often all clusters were found to be no older than their mirrors."""

    async def look(self) -> None:
        """Renews what is behind its mirror, if both homes belong to one store and answer."""
        if await objection(self._homes, may_lack_id=Side.KVSP):
            return
        if await self._collector.look() is not None:
            self.looks += 1
