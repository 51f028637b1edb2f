"""How long after the last write both homes agree, key by key, and that they lost no write."""

import asyncio
from collections.abc import Sequence
from typing import Final

from kvctl.adversary.hammer import Marks
from tandem.client import Client
from tandem.core.key import Key
from tandem.core.operations import Inspection
from tandem.core.version import NO_VERSION
from tandem.errors import TandemError
from tandem.runtime.clock import Clock

AT_ONCE: Final = 16
LOOK_EVERY_S: Final = 0.05


class Convergence:
    """Looks at each key in both homes until they agree, or until it has taken too long."""

    def __init__(
        self, clients: Sequence[Client], namespace_id: str, marks: Marks, clock: Clock
    ) -> None:
        """One client for each gateway; each looks at a part of the keys."""
        self._clients = clients
        self._namespace_id = namespace_id
        self._marks = marks
        self._clock = clock
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def run(self, key_names: Sequence[str], within_s: float) -> None:
        """Counts and judges every key for which a write was acknowledged."""
        began_us = self._clock.monotonic_us()
        await asyncio.gather(
            *(
                self._watch(key, key_names[key], began_us, within_s)
                for key in sorted(self._marks.checker.newest)
            )
        )

    async def _watch(self, key: int, name: str, began_us: int, within_s: float) -> None:
        client, why = self._clients[key % len(self._clients)], ""
        while True:
            try:
                async with self._gate:
                    inspection = await client.ops.inspect(Key(self._namespace_id, name))
            except TandemError as error:
                why = str(error)
            else:
                why = _difference(inspection)
                if not why:
                    break
            if self._clock.monotonic_us() - began_us > within_s * 1e6:
                self._marks.tally.unequal.append(f"{name}: {why}")
                return
            await asyncio.sleep(LOOK_EVERY_S)
        self._marks.tally.converged_us.append(self._clock.monotonic_us() - began_us)
        self._judge(key, inspection)

    def _judge(self, key: int, inspection: Inspection) -> None:
        version = inspection.copies[0].version or NO_VERSION
        violation = self._marks.checker.held(key, version)
        if violation is not None:
            self._marks.tally.violated([violation])
            self._marks.evidence.keep(violation)


def _difference(inspection: Inspection) -> str:
    """Why two homes do not agree; empty when they do."""
    failures = [f"{copy.side.value}: {copy.failure}" for copy in inspection.copies if copy.failure]
    if failures:
        return "; ".join(failures)
    if inspection.equal:
        return ""
    return ", ".join(
        f"{copy.side.value} holds {copy.version if copy.found else 'nothing'}"
        for copy in inspection.copies
    )
