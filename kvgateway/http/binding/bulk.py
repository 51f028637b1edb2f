"""The answer to a bulk get, as workerd wants it."""

from kvgateway.http.binding.answers import JSON
from kvgateway.http.bulk_read import BulkRead, body_of, read_in_bulk
from kvgateway.http.session import STALE, UNCONFIRMED
from kvgateway.service import KeyValues
from tandem.runtime.httpd import Response


async def answer_to_bulk_read(keyvalues: KeyValues, bulk: BulkRead) -> Response:
    """All values in one object."""
    found = await read_in_bulk(keyvalues, bulk)
    headers = [JSON]
    if found.stale:
        headers.append(STALE)
    if found.unconfirmed:
        headers.append(UNCONFIRMED)
    return Response(200, body_of(found, bulk), headers)
