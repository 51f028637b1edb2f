"""Several workers at one piece of work, of which none outlives it."""

import asyncio
from collections.abc import Awaitable, Callable


async def at_once(count: int, work: Callable[[], Awaitable[None]]) -> None:
    """Returns when so many workers have ended. A fault in one ends all of them before it is raised:
    none of them goes on beside what comes next."""
    workers = [asyncio.ensure_future(work()) for _ in range(count)]

    def ended(worker: "asyncio.Future[None]") -> None:
        if not worker.cancelled() and worker.exception() is not None:
            for other in workers:  # in order: a TaskGroup cancels a set, which no seed repeats
                other.cancel()

    for worker in workers:
        worker.add_done_callback(ended)
    await asyncio.gather(*workers, return_exceptions=True)
    for worker in workers:
        if not worker.cancelled():
            worker.result()
