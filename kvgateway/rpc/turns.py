"""Large messages, one in a turn of the loop."""

import asyncio


class LargeTurns:
    """What is done with a large message, to take it up or to make it, takes a tenth of a second on
    a busy machine: thirty in one turn of the loop, and this process would pass for dead."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def next(self) -> None:
        """Returns in a turn in which it returns to nobody else."""
        async with self._one:
            await asyncio.sleep(0)
