"""What an operator asks of one gateway, as the client library offers it."""

from collections.abc import Sequence

from tandem.client.arguments import check_kind
from tandem.client.channel import GatewayChannel
from tandem.client.retries import Asking, Retries
from tandem.core.key import Key
from tandem.core.operations import Compared, CrawlReport, Healed, Inspection, QueuedRepair, Status
from tandem.core.reply import Side
from tandem.wire import ops_codec
from tandem.wire.v1 import ops_pb2, ops_pb2_grpc


class Ops:
    """Status, inspection and switches of the gateway behind the address.

    Each method may raise Unavailable; those that name a key, InvalidArgument and NamespaceNotFound.
    All of them can be repeated without harm, and are, within the retry budget.
    """

    def __init__(self, channel: GatewayChannel, retries: Retries, timeout_s: float) -> None:
        self._stub = ops_pb2_grpc.OpsStub(channel)
        self._ask = Asking(retries, timeout_s)

    async def status(self) -> Status:
        """How the homes, the queue and the journal are."""
        request = ops_pb2.StatusRequest()
        reply = await self._ask(self._stub.Status, request, "", repeatable=True)
        return ops_codec.status_of(reply)

    async def inspect(self, key: Key) -> Inspection:
        """What each home holds under a key."""
        check_kind(key, Key, "key")
        request = ops_pb2.InspectRequest(namespace=key.namespace, key=key.name.encode())
        reply = await self._ask(self._stub.Inspect, request, key.namespace, repeatable=True)
        return ops_codec.inspection_of(reply)

    async def heal(self, key: Key) -> Healed:
        """Makes both homes hold the newest record of a key, now."""
        check_kind(key, Key, "key")
        request = ops_pb2.HealKeyRequest(namespace=key.namespace, key=key.name.encode())
        reply = await self._ask(self._stub.HealKey, request, key.namespace, repeatable=True)
        return ops_codec.healed_of(reply)

    async def compare(self, namespace: str, prefix: str = "", after: str = "") -> Compared:
        """A page of what both homes list above `after`, tombstones too."""
        request = ops_pb2.CompareKeysRequest(
            namespace=namespace, prefix=prefix.encode(), after=after.encode()
        )
        reply = await self._ask(self._stub.CompareKeys, request, namespace, repeatable=True)
        return ops_codec.compared_of(reply)

    async def switch(self, home: Side, *, reads_enabled: bool, writes_enabled: bool) -> Status:
        """Takes a home out of reads, of writes, or both, or back in; kept over restarts."""
        check_kind(home, Side, "home")
        request = ops_pb2.SetSwitchRequest(
            home=ops_codec.home_of(home),
            reads_enabled=reads_enabled,
            writes_enabled=writes_enabled,
        )
        reply = await self._ask(self._stub.SetSwitch, request, "", repeatable=True)
        return ops_codec.status_of(reply)

    async def mark_behind(self, home: Side) -> Status:
        """Says that a home lost records: it gives no first answers until crawls have passed."""
        check_kind(home, Side, "home")
        request = ops_pb2.MarkBehindRequest(home=ops_codec.home_of(home))
        reply = await self._ask(self._stub.MarkBehind, request, "", repeatable=True)
        return ops_codec.status_of(reply)

    async def queue(self, limit: int = 100) -> Sequence[QueuedRepair]:
        """The next repairs, at most `limit`."""
        request = ops_pb2.ListQueueRequest(limit=limit)
        reply = await self._ask(self._stub.ListQueue, request, "", repeatable=True)
        return [ops_codec.repair_of(message) for message in reply.repairs]

    async def report_crawl(self, report: CrawlReport) -> None:
        """Tells the gateway that one namespace was found equal, or not, in both homes."""
        request = ops_pb2.ReportCrawlRequest(
            namespace=report.namespace, began_at_us=report.began_at_us, equal=report.equal
        )
        await self._ask(self._stub.ReportCrawl, request, report.namespace, repeatable=True)
