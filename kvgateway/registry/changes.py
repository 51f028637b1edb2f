"""Writing system records: one change of a kind at a time, acknowledged by both homes.

A change begins with a fresh look at both homes, and at the kill switches, which another worker may
have just set so that this change can be made. A home that does not answer that look would not
confirm the change either, so nothing is written then; and nobody waits longer for a confirmation
than a client would, though the leg runs on. A record is written whole: who changes one must be
alone (`kvgateway.registry.claims`). A deletion that is written counts in any case.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic

from kvgateway.data_path.writes import Writer
from kvgateway.registry.book import Kept, deleted
from kvgateway.registry.form import RecordForm, T
from kvgateway.registry.records import SystemRecords
from tandem.core.envelope import seal
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.request import Delete, Put, Write, Written
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy
from tandem.errors import Overloaded, Unavailable, Unchanged

CHANGES_MAX: Final = 64
CONFIRM_S: Final = 3.0
"""How long a change waits for both homes."""
_DELETE_ROUNDS_MAX: Final = 3


class RecordChanges(Generic[T]):
    """Changes the records of one kind, and tells the copy of it."""

    def __init__(
        self,
        records: SystemRecords[T],
        form: RecordForm[T],
        writer: Writer,
        look_at_switches: Callable[[], None],
    ) -> None:
        self._records = records
        self._form = form
        self._writer = writer
        self._look_at_switches = look_at_switches
        self._changing = asyncio.Lock()
        self._changes = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One change at a time, after a fresh look.

        Raises Overloaded when too many wait, Unavailable while the records are not known at all.
        """
        if self._changes >= CHANGES_MAX:
            raise Overloaded(f"{self._changes} changes of {self._form.noun}s wait")
        self._changes += 1
        try:
            async with self._changing:
                self._look_at_switches()
                await self._records.refresh()
                self.check_ready()
                yield
        finally:
            self._changes -= 1

    def check_ready(self) -> None:
        """Raises Unavailable while the records are not known at all."""
        if not self._records.ready:
            raise Unavailable(
                f"the {self._form.noun}s are not known yet: no home has listed them all"
            )

    def check_homes(self) -> None:
        """Raises Unchanged while both homes are needed and one did not answer the fresh look."""
        if self._writer.view.policy_of(SYSTEM_NAMESPACE) is not AckPolicy.BOTH:
            return
        for side, failed in self._records.silent().items():
            raise Unchanged(
                f"nothing was changed: {side.value}: {failed}. {both_needed(self._form.noun)}"
            )

    async def put(self, item: T, *above: Version) -> None:
        """Stores a record.

        Raises Unchanged when a home does not answer, and nothing was written; Unavailable when not
        both homes confirm it in time: it may then exist all the same.
        """
        self.check_homes()
        value = self._form.encode(item)
        written = await self._written(Put(self._form.key_of(item.id), value, b"", 0, *above))
        digest = seal(written.version, value).digest
        await self._records.learn([Kept(item.id, written.version, digest, item)])

    async def bury(self, record_id: str, above: Version) -> None:
        """Ends an id for ever, also when another gateway changes it at the same moment."""
        for _ in range(_DELETE_ROUNDS_MAX):
            written = await self._written(Delete(self._form.key_of(record_id), above))
            await self._records.learn([deleted(record_id, written.version)])
            if written.superseded_by is None:
                return
            above = written.superseded_by
        raise Unavailable(f"{self._form.noun} {record_id} is being changed by others all the time")

    async def _written(self, write: Write) -> Written:
        [answer] = self._writer.write([write])
        try:
            return await asyncio.wait_for(answer, CONFIRM_S)
        except TimeoutError:
            why = f"outcome unknown: no confirmation of both homes in {CONFIRM_S:g} s"
            raise Unavailable(f"{why}. {both_needed(self._form.noun)}") from None
        except Unavailable as error:
            raise Unavailable(f"{error}. {both_needed(self._form.noun)}") from error


def both_needed(noun: str) -> str:
    """What to do where a change of such a record fails for one home."""
    return (
        f"{noun.capitalize()}s change only when both homes confirm it; while one is down, switch it"
        " off for writes to go on with the other"
    )
