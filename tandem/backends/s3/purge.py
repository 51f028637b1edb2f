"""Removing the objects of a deleted namespace: the one place where a DELETE has no condition.

Nothing is written to a namespace whose id is never used again, so there is nothing to spare. What
no key can be named is left alone: it is somebody else's.
"""

import asyncio
from typing import Final

from tandem.backends.s3.bucket import Bucket, Call
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.listing import ENDLESS, list_objects
from tandem.backends.s3.replies import failed, no_reply
from tandem.core.key import decode_object_name
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.removal import NamespacePurge
from tandem.core.reply import Failed, Reason

_AT_ONCE: Final = 16
_DOUBTFUL: Final = frozenset({200, 404})
"""What some stores answer, and proxies that have asked none."""


async def purge(
    bucket: Bucket, directory: str, limit: int, until_s: float
) -> NamespacePurge | Failed:
    """Removes up to `limit` objects below `directory`; abandoned or failed, it goes on next time.

    `until_s` is a time of the loop.
    """
    start = ""
    while True:
        page_limit = min(limit, LIST_PAGE_MAX)
        listed = await list_objects(bucket, directory, start, page_limit, until_s)
        if isinstance(listed, Failed):
            return listed
        page, _ = listed
        names = [one.name for one in page.objects]
        if page.truncated and not names:
            return Failed(Reason.ERROR, ENDLESS)
        ours = [name for name in names if decode_object_name(name.removeprefix(directory))]
        if ours or not page.truncated:
            return await _remove(bucket, ours, page.truncated, until_s)
        start = names[-1]


async def _remove(
    bucket: Bucket, names: list[str], more: bool, until_s: float
) -> NamespacePurge | Failed:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def removed(name: str) -> Failed | None:
        async with gate:
            try:
                return await _remove_one(bucket, name, until_s)
            except TransportError as error:
                return no_reply(error)

    for failure in await asyncio.gather(*(removed(name) for name in names)):
        if failure is not None:
            return failure
    return NamespacePurge(len(names), more)


async def _remove_one(bucket: Bucket, name: str, until_s: float) -> Failed | None:
    answer = await bucket.ask(Call("DELETE", name), until_s)
    if answer.http.status == 204:
        return None
    if answer.http.status not in _DOUBTFUL:
        return failed(answer.http, answer.time_us)
    left = await bucket.ask(Call("HEAD", name), until_s)
    if left.http.status == 404:
        return None
    return Failed(Reason.ERROR, f"DELETE is answered {answer.http.status}, and nothing is deleted")
