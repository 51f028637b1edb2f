"""A worker's sign of life to its supervisor, and its notice that the supervisor is gone."""

import asyncio
import os

BEAT_S = 0.2


async def beat(pipe: int, stop: asyncio.Event) -> None:
    """Writes a byte every 0.2 s, also while the worker drains: whoever told it to stop, it must not
    be killed as silent meanwhile. Sets `stop` and ends when nobody reads the bytes any more."""
    os.set_blocking(pipe, False)
    while True:
        try:
            os.write(pipe, b".")
        except BlockingIOError:
            pass
        except BrokenPipeError:
            stop.set()
            return
        await asyncio.sleep(BEAT_S)
