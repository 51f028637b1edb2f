"""The application: finds the operation, lets the caller in, and envelopes every failure."""

from pathlib import Path
from typing import Final

from kvgateway.access.body_room import BodyRoom
from kvgateway.http.credentials import credential_of
from kvgateway.http.rest.accounts import Accounts
from kvgateway.http.rest.bulk import Bulk
from kvgateway.http.rest.call import Call
from kvgateway.http.rest.envelope import JSON, RestError, failure
from kvgateway.http.rest.failures import NO_ENDPOINT, NO_ROUTE, answer_to
from kvgateway.http.rest.keys import Keys
from kvgateway.http.rest.namespaces import NamespaceRoutes
from kvgateway.http.rest.routes import Route, RouteTable
from kvgateway.http.rest.values import Values
from kvgateway.http.target import query_parameters, split_target
from kvgateway.service import Caller, Entrance
from tandem.errors import TandemError
from tandem.runtime.clock import Clock
from tandem.runtime.httpd import HttpError, Request, Response

PREFIX: Final = b"/client/v4"

_DESCRIPTION: Final = Path(__file__).with_name("openapi.json")
_KV: Final = "/accounts/{account_id}/storage/kv/namespaces"
_ONE: Final = _KV + "/{namespace_id}"


class RestApp:
    """Serves every target below PREFIX.

    Args:
        clock: the time by which values expire.
        room: for the bodies under way in this process, together with other doors'.
    """

    def __init__(self, entrance: Entrance, clock: Clock, room: BodyRoom) -> None:
        self._entrance = entrance
        self._description = _DESCRIPTION.read_bytes()
        self.table = _route_table(clock, room)

    async def __call__(self, request: Request) -> Response:
        """Answers one request."""
        target = split_target(request.target)
        path = target.path.removeprefix(PREFIX)
        if path == b"/openapi.json":
            if request.method in (b"GET", b"HEAD"):
                return Response(200, self._description, (JSON,))
            return _wrong_method(b"GET, HEAD")
        found = self.table.find(path)
        if found is None:
            return _no_route(target.path)
        place, parts = found
        method = b"GET" if request.method == b"HEAD" else request.method
        route = place.routes.get(method)
        if route is None:
            return _wrong_method(place.allowed)
        try:
            caller = await self._let_in(request)
            return await route.run(Call(request, caller, parts, query_parameters(target.query)))
        except (TandemError, RestError, HttpError) as error:
            return answer_to(error, route.operation)

    async def _let_in(self, request: Request) -> Caller:
        credential = credential_of(request)
        return self._entrance.known(credential) or await self._entrance.find(credential)


def _route_table(clock: Clock, room: BodyRoom) -> RouteTable:
    accounts, namespaces = Accounts(), NamespaceRoutes()
    values, keys, bulk = Values(clock, room), Keys(), Bulk(clock, room)
    value, metadata = _ONE + "/values/{key_name}", _ONE + "/metadata/{key_name}"
    return RouteTable(
        (
            Route("GET", "/user", "get user", accounts.user),
            Route("GET", "/user/tokens/verify", "verify token", accounts.verify),
            Route("GET", "/accounts", "list accounts", accounts.list),
            Route("GET", "/memberships", "list memberships", accounts.memberships),
            Route("GET", _KV, "list namespaces", namespaces.list),
            Route("POST", _KV, "create namespace", namespaces.create),
            Route("GET", _ONE, "get namespace", namespaces.get),
            Route("PUT", _ONE, "rename namespace", namespaces.rename),
            Route("DELETE", _ONE, "remove namespace", namespaces.delete),
            Route("GET", value, "get", values.read),
            Route("PUT", value, "put", values.write),
            Route("DELETE", value, "delete", values.delete),
            Route("GET", metadata, "get metadata", values.metadata),
            Route("GET", _ONE + "/keys", "list keys", keys.list),
            Route("PUT", _ONE + "/bulk", "bulk put", bulk.put),
            Route("DELETE", _ONE + "/bulk", "bulk delete", bulk.delete),
            Route("POST", _ONE + "/bulk/delete", "bulk delete", bulk.delete),
            Route("POST", _ONE + "/bulk/get", "bulk get", bulk.get),
        )
    )


def _no_route(path: bytes) -> Response:
    shown = path[:200].decode("latin-1")
    return failure(
        404, NO_ROUTE, f"Could not route to {shown}, perhaps your object identifier is invalid?"
    )


def _wrong_method(allowed: bytes) -> Response:
    text = "endpoint does not exist: this path has other methods"
    return failure(405, NO_ENDPOINT, text, ((b"Allow", allowed),))
