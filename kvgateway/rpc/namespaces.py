"""The Namespaces service."""

from typing import Any

import grpc

from kvgateway.service import NamespaceRegistry
from tandem.core.namespace import check_namespace_id, check_title
from tandem.errors import InvalidArgument
from tandem.wire.namespace_codec import change_of, namespace_message
from tandem.wire.v1 import namespaces_pb2, namespaces_pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]


class NamespacesService(namespaces_pb2_grpc.NamespacesServicer):
    """Serves a `NamespaceRegistry` over gRPC."""

    def __init__(self, registry: NamespaceRegistry) -> None:
        self._registry = registry

    async def CreateNamespace(
        self, request: namespaces_pb2.CreateNamespaceRequest, _context: _Context
    ) -> namespaces_pb2.Namespace:
        """Creates a namespace."""
        title, change = check_title(request.title), change_of(request.settings)
        return namespace_message(await self._registry.create(title, change))

    async def ListNamespaces(
        self, _request: namespaces_pb2.ListNamespacesRequest, _context: _Context
    ) -> namespaces_pb2.ListNamespacesReply:
        """Lists all namespaces."""
        found = await self._registry.list()
        return namespaces_pb2.ListNamespacesReply(
            namespaces=[namespace_message(namespace) for namespace in found]
        )

    async def GetNamespace(
        self, request: namespaces_pb2.GetNamespaceRequest, _context: _Context
    ) -> namespaces_pb2.Namespace:
        """Finds one namespace by id or by title."""
        if request.id:
            found = await self._registry.get(_id_of(request.id))
        else:
            found = await self._registry.find(check_title(request.title))
        return namespace_message(found)

    async def RenameNamespace(
        self, request: namespaces_pb2.RenameNamespaceRequest, _context: _Context
    ) -> namespaces_pb2.Namespace:
        """Gives a namespace another title."""
        namespace_id, title = _id_of(request.id), check_title(request.title)
        return namespace_message(await self._registry.rename(namespace_id, title))

    async def ConfigureNamespace(
        self, request: namespaces_pb2.ConfigureNamespaceRequest, _context: _Context
    ) -> namespaces_pb2.Namespace:
        """Changes the settings of a namespace."""
        namespace_id, change = _id_of(request.id), change_of(request.settings)
        return namespace_message(await self._registry.configure(namespace_id, change))

    async def DeleteNamespace(
        self, request: namespaces_pb2.DeleteNamespaceRequest, _context: _Context
    ) -> namespaces_pb2.DeleteNamespaceReply:
        """Deletes a namespace with all its keys."""
        await self._registry.delete(_id_of(request.id))
        return namespaces_pb2.DeleteNamespaceReply()


def _id_of(text: str) -> str:
    try:
        return check_namespace_id(text)
    except InvalidArgument as error:
        raise InvalidArgument("id", error.message) from None
