"""A worker's sign of life to its supervisor, and its notice that the supervisor is gone."""

import asyncio
import os
from typing import Final

BEAT_S = 0.2
STARTING: Final = b"."
READY: Final = b"!"


async def beat(pipe: int, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Writes a byte every 0.2 s, which tells whether the worker has been `ready`, also while the
    worker drains: whoever told it to stop, it must not be killed as silent meanwhile. Sets `stop`
    and ends when nobody reads the bytes any more."""
    os.set_blocking(pipe, False)
    while True:
        try:
            os.write(pipe, READY if ready.is_set() else STARTING)
        except BlockingIOError:
            pass
        except BrokenPipeError:
            stop.set()
            return
        await asyncio.sleep(BEAT_S)
