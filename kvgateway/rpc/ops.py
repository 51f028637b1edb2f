"""The Ops service."""

from typing import Any

import grpc

from kvgateway.rpc.callers import Callers
from tandem.wire import ops_codec
from tandem.wire.v1 import ops_pb2, ops_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]


class OpsService(ops_pb2_grpc.OpsServicer):
    """Serves each caller's `Operations` over gRPC."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def Status(
        self, _request: ops_pb2.StatusRequest, context: _Context
    ) -> ops_pb2.StatusReply:
        """Shows the homes, the queue and the journal."""
        caller = await self._callers.of(context)
        return ops_codec.status_message(await caller.operations.status())

    async def Inspect(
        self, request: ops_pb2.InspectRequest, context: _Context
    ) -> ops_pb2.InspectReply:
        """Shows what each home holds under a key."""
        caller = await self._callers.of(context)
        inspection = await caller.operations.inspect(ops_codec.key_of(request))
        return ops_codec.inspection_message(inspection)

    async def HealKey(
        self, request: ops_pb2.HealKeyRequest, context: _Context
    ) -> ops_pb2.HealKeyReply:
        """Makes both homes hold the newest record of a key."""
        caller = await self._callers.of(context)
        return ops_codec.healed_message(await caller.operations.heal(ops_codec.key_of(request)))

    async def CompareKeys(
        self, request: ops_pb2.CompareKeysRequest, context: _Context
    ) -> ops_pb2.CompareKeysReply:
        """Compares a page of what both homes list."""
        caller = await self._callers.of(context)
        compared = await caller.operations.compare(*ops_codec.comparison_of(request))
        return ops_codec.compared_message(compared)

    async def SetSwitch(
        self, request: ops_pb2.SetSwitchRequest, context: _Context
    ) -> ops_pb2.StatusReply:
        """Takes a home out of reads, of writes, or both, or back in."""
        caller = await self._callers.of(context)
        status = await caller.operations.switch(
            ops_codec.side_of(request.home),
            reads_enabled=request.reads_enabled,
            writes_enabled=request.writes_enabled,
        )
        return ops_codec.status_message(status)

    async def MarkBehind(
        self, request: ops_pb2.MarkBehindRequest, context: _Context
    ) -> ops_pb2.StatusReply:
        """Takes an operator's word that a home lost records."""
        caller = await self._callers.of(context)
        status = await caller.operations.mark_behind(ops_codec.side_of(request.home))
        return ops_codec.status_message(status)

    async def ListQueue(
        self, request: ops_pb2.ListQueueRequest, context: _Context
    ) -> ops_pb2.ListQueueReply:
        """Shows the next repairs."""
        caller = await self._callers.of(context)
        repairs = await caller.operations.queue(ops_codec.queue_limit_of(request))
        return ops_pb2.ListQueueReply(repairs=[ops_codec.repair_message(r) for r in repairs])

    async def ReportCrawl(
        self, request: ops_pb2.ReportCrawlRequest, context: _Context
    ) -> ops_pb2.ReportCrawlReply:
        """Takes a crawler's report."""
        caller = await self._callers.of(context)
        await caller.operations.crawled(ops_codec.crawl_report_of(request))
        return ops_pb2.ReportCrawlReply()
