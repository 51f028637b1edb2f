"""A worker's sign of life to its supervisor, and its notice that the supervisor is gone."""

import asyncio
import os

BEAT_S = 0.2


async def beat(pipe: int, stop: asyncio.Event) -> None:
    """Writes a byte every 0.2 s until `stop` is set; sets it when nobody reads them any more."""
    os.set_blocking(pipe, False)
    while not stop.is_set():
        try:
            os.write(pipe, b".")
        except BlockingIOError:
            pass
        except BrokenPipeError:
            stop.set()
            return
        try:
            await asyncio.wait_for(stop.wait(), BEAT_S)
        except TimeoutError:
            continue
