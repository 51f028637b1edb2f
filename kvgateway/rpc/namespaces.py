"""The Namespaces service."""

from typing import Any

import grpc

from kvgateway.rpc.callers import Callers, account_of
from tandem.core.namespace import check_namespace_id, check_plain_title, check_title
from tandem.errors import InvalidArgument
from tandem.wire.mode_codec import wanted_mode
from tandem.wire.namespace_codec import change_of, mode_report_message, namespace_message
from tandem.wire.v1 import namespaces_pb2, namespaces_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]


class NamespacesService(namespaces_pb2_grpc.NamespacesServicer):
    """Serves each caller's `NamespaceRegistry` over gRPC."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def CreateNamespace(
        self, request: namespaces_pb2.CreateNamespaceRequest, context: _Context
    ) -> namespaces_pb2.Namespace:
        """Creates a namespace."""
        caller = await self._callers.of(context)
        title, change = check_plain_title(request.title), change_of(request.settings)
        account = account_of(caller, request.account)
        return namespace_message(await caller.namespaces.create(title, change, account))

    async def ListNamespaces(
        self, request: namespaces_pb2.ListNamespacesRequest, context: _Context
    ) -> namespaces_pb2.ListNamespacesReply:
        """Lists the namespaces of one account, or all."""
        caller = await self._callers.of(context)
        account = None if request.all_accounts else account_of(caller, request.account)
        found = await caller.namespaces.list(account)
        return namespaces_pb2.ListNamespacesReply(
            namespaces=[namespace_message(namespace) for namespace in found]
        )

    async def GetNamespace(
        self, request: namespaces_pb2.GetNamespaceRequest, context: _Context
    ) -> namespaces_pb2.Namespace:
        """Finds one namespace by id or by title."""
        caller = await self._callers.of(context)
        if request.id:
            found = await caller.namespaces.get(_id_of(request.id))
        else:
            account = account_of(caller, request.account)
            found = await caller.namespaces.find(check_title(request.title), account)
        return namespace_message(found)

    async def RenameNamespace(
        self, request: namespaces_pb2.RenameNamespaceRequest, context: _Context
    ) -> namespaces_pb2.Namespace:
        """Gives a namespace another title."""
        caller = await self._callers.of(context)
        namespace_id, title = _id_of(request.id), check_plain_title(request.title)
        return namespace_message(await caller.namespaces.rename(namespace_id, title))

    async def ConfigureNamespace(
        self, request: namespaces_pb2.ConfigureNamespaceRequest, context: _Context
    ) -> namespaces_pb2.Namespace:
        """Changes the settings of a namespace."""
        caller = await self._callers.of(context)
        namespace_id, change = _id_of(request.id), change_of(request.settings)
        return namespace_message(await caller.namespaces.configure(namespace_id, change))

    async def DeleteNamespace(
        self, request: namespaces_pb2.DeleteNamespaceRequest, context: _Context
    ) -> namespaces_pb2.DeleteNamespaceReply:
        """Deletes a namespace with all its keys."""
        caller = await self._callers.of(context)
        await caller.namespaces.delete(_id_of(request.id))
        return namespaces_pb2.DeleteNamespaceReply()

    async def GetNamespaceMode(
        self, request: namespaces_pb2.GetNamespaceModeRequest, context: _Context
    ) -> namespaces_pb2.NamespaceModeReply:
        """Shows the mode of a namespace, and what stands in the way of a step."""
        caller = await self._callers.of(context)
        asked = request.HasField("wanted")
        wanted = wanted_mode(request.wanted, "wanted") if asked else None
        return mode_report_message(await caller.operations.mode(_id_of(request.id), wanted))

    async def StepNamespaceMode(
        self, request: namespaces_pb2.StepNamespaceModeRequest, context: _Context
    ) -> namespaces_pb2.NamespaceModeReply:
        """Takes one step."""
        caller = await self._callers.of(context)
        report = await caller.operations.step(
            _id_of(request.id), wanted_mode(request.wanted, "wanted"), request.mode_epoch,
            force=request.force,
        )  # fmt: skip
        return mode_report_message(report)


def _id_of(text: str) -> str:
    try:
        return check_namespace_id(text)
    except InvalidArgument as error:
        raise InvalidArgument("id", error.message) from None
