"""One of several processes that write the same keys of one object file: PATH WRITER KEYS ROUNDS.

Prints one line for each write: the key, the version, and what came of it.
"""

import asyncio
import random
import sys
from pathlib import Path

from tandem.backends.file import FileHome
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Stored, Superseded
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock

NAMESPACE = "cd" * 16


async def race(path: Path, writer: int, keys: int, rounds: int) -> None:
    clock = SystemClock()
    home = await FileHome.open(path, clock)
    first_us = clock.now_us() - 5_000_000
    legs = [(f"key {k}", first_us + r * 1000) for k in range(keys) for r in range(rounds)]
    random.Random(writer).shuffle(legs)

    async def write(name: str, time_us: int) -> None:
        version = Version.at(time_us, writer.to_bytes(8, "big"))
        reply = await home.put_if_newer(Key(NAMESPACE, name), seal(version, version), 25.0)
        match reply:
            case Stored():
                outcome = "stored"
            case Superseded(newest):
                outcome = str(newest)
            case _:
                outcome = str(reply)
        sys.stdout.write(f"{name}\t{version}\t{outcome}\n")

    async def work() -> None:
        while legs:
            await write(*legs.pop())

    await asyncio.gather(*(work() for _ in range(20)))
    await home.aclose()


if __name__ == "__main__":
    asyncio.run(race(Path(sys.argv[1]), *(int(number) for number in sys.argv[2:])))
