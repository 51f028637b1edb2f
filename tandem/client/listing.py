"""A listing, page after page."""

from collections.abc import AsyncIterator

from tandem.client.arguments import check_listing
from tandem.client.retries import Retries
from tandem.client.values import ListedKey, listed_key_of
from tandem.wire.cursor import encode_cursor
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc


async def listed(
    stub: kv_pb2_grpc.KVStub, retries: Retries, namespace_id: str, prefix: str, after: str,
    limit: int | None, page_size: int, timeout_s: float,
) -> AsyncIterator[ListedKey]:  # fmt: skip
    """See `Client.list`; each page is asked for when it is wanted."""
    check_listing(prefix, after, limit, page_size)
    left = limit
    cursor = encode_cursor(namespace_id, prefix, after) if after else ""
    while left is None or left > 0:
        request = kv_pb2.ListRequest(
            namespace=namespace_id,
            prefix=prefix.encode(),
            limit=page_size if left is None else min(page_size, left),
            cursor=cursor,
        )
        page: kv_pb2.ListReply = await retries.call(
            stub.List, request, namespace_id, timeout_s=timeout_s, repeatable=True
        )
        for one in page.keys:
            yield listed_key_of(one)
        if left is not None:
            left -= len(page.keys)
        cursor = page.cursor
        if not cursor:
            return
