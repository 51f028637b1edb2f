"""The namespaces of an account."""

from collections.abc import Mapping
from typing import Final

import msgspec

from kvgateway.http.rest.call import Call
from kvgateway.http.rest.documents import decoded
from kvgateway.http.rest.envelope import success
from kvgateway.http.rest.pages import page_of
from tandem.core.limits import KIB
from tandem.core.namespace import Namespace, SettingsChange, check_title
from tandem.errors import InvalidArgument
from tandem.runtime.httpd import Response

_BODY_BYTES_MAX: Final = 64 * KIB


class _Wanted(msgspec.Struct):
    title: str | None = None
    jurisdiction: str | None = None


class NamespaceRoutes:
    """Listing, creating, renaming and deleting them."""

    async def list(self, call: Call) -> Response:
        """A page of them."""
        order = call.choice("order", ("title", "id"))
        backwards = call.choice("direction", ("asc", "desc")) == "desc"
        found = await call.caller.namespaces.list(call.account)
        ordered = sorted(
            found, key=lambda n: (n.id if order == "id" else n.title, n.id), reverse=backwards
        )
        page = page_of(call, [_shown(namespace) for namespace in ordered])
        return success(page.items, page.info)

    async def create(self, call: Call) -> Response:
        """Creates one."""
        title = await _title_in(call)
        created = await call.caller.namespaces.create(title, SettingsChange(), call.account)
        return success(_shown(created))

    async def get(self, call: Call) -> Response:
        """Shows one."""
        return success(_shown(await call.namespace()))

    async def rename(self, call: Call) -> Response:
        """Gives one another title."""
        title = await _title_in(call)
        namespace = await call.namespace()
        return success(_shown(await call.caller.namespaces.rename(namespace.id, title)))

    async def delete(self, call: Call) -> Response:
        """Ends one, for ever."""
        await call.caller.namespaces.delete((await call.namespace()).id)
        return success({})


async def _title_in(call: Call) -> str:
    wanted = decoded(await call.request.body.read(_BODY_BYTES_MAX), _Wanted)
    if wanted.jurisdiction:
        # Data that was asked to stay in a place must not be taken in and kept elsewhere.
        raise InvalidArgument("jurisdiction", "is not supported: data stays where the homes are")
    return check_title(wanted.title or "")


def _shown(namespace: Namespace) -> Mapping[str, object]:
    return {"id": namespace.id, "title": namespace.title, "supports_url_encoding": True}
