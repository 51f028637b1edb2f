"""Listing the names of a namespace, page by page."""

from collections.abc import Mapping

import msgspec

from kvgateway.http.rest.call import Call
from kvgateway.http.rest.envelope import success
from kvgateway.http.session import STALE
from tandem.core.key import check_name_length
from tandem.core.request import ListedName, Listing, check_page_limit
from tandem.runtime.httpd import Response
from tandem.wire.cursor import decode_cursor, encode_cursor


class Keys:
    """The one operation on the names of a namespace."""

    async def list(self, call: Call) -> Response:
        """A page of live names. Its cursor stands where each of Cloudflare's clients looks."""
        prefix = call.query.get("prefix", "")
        check_name_length(prefix, "prefix")
        limit = check_page_limit(call.number("limit", "limit"))
        namespace = await call.namespace()
        after = decode_cursor(namespace.id, prefix, call.query.get("cursor", ""))
        page = await call.caller.keyvalues.list(Listing(namespace.id, prefix, after, limit))
        cursor = (
            "" if page.next_after is None else encode_cursor(namespace.id, prefix, page.next_after)
        )
        info = {"count": len(page.names), "cursor": cursor, "cursors": {"after": cursor}}
        headers = (STALE,) if page.stale else ()
        return success([_shown(listed) for listed in page.names], info, headers)


def _shown(listed: ListedName) -> Mapping[str, object]:
    shown: dict[str, object] = {"name": listed.name}
    if listed.expires_at_s:
        shown["expiration"] = listed.expires_at_s
    if listed.metadata:
        shown["metadata"] = msgspec.Raw(listed.metadata)
    return shown
