"""A listing, page after page."""

from collections.abc import AsyncIterator

from tandem.client.arguments import check_listing
from tandem.client.retries import Retries
from tandem.client.values import ListedKey, listed_key_of
from tandem.wire.cursor import encode_cursor
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc


class Listing(AsyncIterator[ListedKey]):
    """Names with what a listing shows of them, for one iteration; each page is asked for when it is
    wanted."""

    def __init__(
        self, stub: kv_pb2_grpc.KVStub, retries: Retries, namespace_id: str, prefix: str,
        after: str, limit: int | None, page_size: int, timeout_s: float,
    ) -> None:  # fmt: skip
        """See `Client.list`."""
        self._stub = stub
        self._retries = retries
        self._namespace_id = namespace_id
        self._timeout_s = timeout_s
        self._keys = self._listed(prefix, after, limit, page_size)
        self.stale = False
        """Whether a page so far may lack names: a home that could know more did not answer."""

    def __aiter__(self) -> AsyncIterator[ListedKey]:
        return self._keys

    async def __anext__(self) -> ListedKey:
        return await anext(self._keys)

    async def _listed(
        self, prefix: str, after: str, limit: int | None, page_size: int
    ) -> AsyncIterator[ListedKey]:
        check_listing(prefix, after, limit, page_size)
        left = limit
        cursor = encode_cursor(self._namespace_id, prefix, after) if after else ""
        while left is None or left > 0:
            page = await self._page(
                kv_pb2.ListRequest(
                    namespace=self._namespace_id,
                    prefix=prefix.encode(),
                    limit=page_size if left is None else min(page_size, left),
                    cursor=cursor,
                )
            )
            self.stale |= page.stale
            for one in page.keys:
                yield listed_key_of(one)
            if left is not None:
                left -= len(page.keys)
            cursor = page.cursor
            if not cursor:
                return

    async def _page(self, request: kv_pb2.ListRequest) -> kv_pb2.ListReply:
        page: kv_pb2.ListReply = await self._retries.call(
            self._stub.List, request, self._namespace_id, timeout_s=self._timeout_s, repeatable=True
        )
        return page
