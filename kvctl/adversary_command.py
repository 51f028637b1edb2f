"""`kvctl adversary`: whether this deployment keeps what is promised, tried out."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import click

from kvctl.adversary.checker import Checker
from kvctl.adversary.convergence import Convergence
from kvctl.adversary.evidence import Evidence
from kvctl.adversary.hammer import Hammer, Marks, Plan
from kvctl.adversary.report import document_of, text_of
from kvctl.adversary.tally import Tally
from kvctl.asking import Asked
from kvctl.endings import Ended, Ending, negative
from kvctl.options import Number, asks_each, form
from kvctl.output import print_json, print_line
from kvctl.progress import Display
from tandem.client import Client
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import DURATION_S

SECONDS: Final = 30.0
MACHINE_REMEMBERS_US: Final = 20_000_000
"""So long after the first reading of a version a gateway is held to it: less than any cache_ttl."""
VALUE_BYTES_MIN: Final = 30


@click.command("adversary")
@click.option(
    "--namespace", "-n", metavar="TITLE|ID",
    help="Where. [default: a namespace of its own, which is removed afterwards]",
)  # fmt: skip
@click.option("--sessions", is_flag=True, help="Carry session tokens from gateway to gateway.")
@click.option("--seconds", type=Number(0, min_open=True), help="How long. [default: 30]")
@click.option("--operations", type=click.IntRange(1), help="How many operations at most.")
@click.option(
    "--keys", type=click.IntRange(1, 10_000), default=16, show_default=True,
    help="How many keys; the fewer, the hotter.",
)  # fmt: skip
@click.option(
    "--connections", type=click.IntRange(1, 256), default=8, show_default=True,
    help="To each gateway; the more, the more of its worker processes are met.",
)  # fmt: skip
@click.option(
    "--callers", type=click.IntRange(1, 4096), default=64, show_default=True,
    help="Operations under way at once.",
)  # fmt: skip
@click.option(
    "--puts", type=Number(0, 1), default=0.35, show_default=True,
    help="Their share; what is neither put nor delete is a read.",
)  # fmt: skip
@click.option(
    "--deletes", type=Number(0, 1), default=0.1, show_default=True, help="Their share.",
)  # fmt: skip
@click.option(
    "--value-bytes", type=click.IntRange(VALUE_BYTES_MIN, 1_000_000), default=300,
    show_default=True, help="Size of each value.",
)  # fmt: skip
@click.option("--seed", help="Decides who asks what of whom. [default: another one each time]")
@click.option(
    "--converge-within", "converge_s", type=form(DURATION_S), default="60s", show_default=True,
    help="How long both homes may take to be equal after the last write.",
)  # fmt: skip
@click.option(
    "--evidence", type=click.Path(dir_okay=False, path_type=Path),
    default=Path("adversary.jsonl"), show_default=True,
    help="Where to write what happened around each violation.",
)  # fmt: skip
@asks_each
def adversary_command(
    asked: Sequence[Asked], namespace: str | None, sessions: bool, seconds: float | None,
    operations: int | None, keys: int, connections: int, callers: int, puts: float, deletes: float,
    value_bytes: int, seed: str | None, converge_s: float, evidence: Path,
) -> None:  # fmt: skip
    """Read and write a few keys, and check every answer. Every --gateway is asked at once.

    Without --sessions each gateway must show its own writes and never go back, whichever
    connection is asked; with --sessions a session must see its own writes, and nothing older than
    it saw, through all gateways. Exits 1 when a promise was broken, or the homes stay unequal.
    """
    if puts + deletes > 1:
        raise click.UsageError("--puts and --deletes are shares: together at most 1")
    if not os.access(evidence.parent, os.W_OK):  # a run that finds something is not to end on that
        raise click.UsageError(f"--evidence: no file can be written to {evidence.parent}")
    if seconds is None and operations is None:
        seconds = SECONDS
    seed = seed or SystemEntropy().token(4).hex()
    plan = Plan(seed, callers, puts, deletes, value_bytes, operations, seconds, sessions)
    run = _Run(asked, plan, keys, connections, converge_s, evidence)
    tally = asked[0].complete(lambda: run.complete(namespace))
    if not tally.answered:
        raise Ended(Ending.UNAVAILABLE, "not one operation was answered; see `kvctl status`")
    if not tally.good:
        raise negative()


class _Run:
    """One run from the namespace to the report."""

    def __init__(
        self, asked: Sequence[Asked], plan: Plan, keys: int, connections: int, converge_s: float,
        evidence: Path,
    ) -> None:  # fmt: skip
        self._asked = asked
        self._plan = plan
        self._connections = connections
        self._converge_s = converge_s
        self._run_id = SystemEntropy().token(4).hex()
        self._key_names = [f"adversary/{self._run_id}/{number}" for number in range(keys)]
        gateways = [str(one.gateway) for one in asked]
        self._marks = Marks(
            Checker(None if plan.sessions else MACHINE_REMEMBERS_US),
            Evidence(evidence, self._key_names, gateways),
            Tally(),
        )

    async def complete(self, namespace: str | None) -> Tally:
        """Hammers, watches the homes converge, tells, and leaves nothing behind."""
        tally = self._marks.tally
        tally.interrupted = True
        async with self._namespace(namespace) as namespace_id:
            for one in self._asked:
                await one.answer(lambda client: client.namespaces.get(namespace_id), namespace_id)
            try:
                await self._hammer(namespace_id)
                tally.interrupted = False
            finally:
                self._marks.evidence.close()
                self._tell()
        return tally

    async def _hammer(self, namespace_id: str) -> None:
        clock, shown = self._asked[0].clock, sys.stderr.isatty() and not self._asked[0].as_json
        async with AsyncExitStack() as stack:
            connections = [
                [
                    await stack.enter_async_context(one.client(namespace_id, session_keys_max=0))
                    for _ in range(self._connections)
                ]
                for one in self._asked
            ]
            with Display("hammering", shown=shown) as display:
                if self._plan.operations_max is not None:
                    display.expect(self._plan.operations_max)
                hammer = Hammer(
                    connections, self._key_names, self._plan, self._marks, clock,
                    lambda tally: display.advance(tally.operations, tally.value_bytes),
                )  # fmt: skip
                await hammer.run()
            clients = [of_gateway[0] for of_gateway in connections]
            watching = Convergence(clients, namespace_id, self._marks, clock)
            await watching.run(self._key_names, self._converge_s)
            await clients[0].delete_many(self._key_names)

    @asynccontextmanager
    async def _namespace(self, given: str | None) -> AsyncIterator[str]:
        """The id of the namespace to use; one that is made here is removed here."""
        first = self._asked[0]

        async def found(client: Client) -> str:
            if given is not None:
                return (await client.namespaces.get(given)).id
            return (await client.namespaces.create(f"adversary-{self._run_id}")).id

        namespace_id = await first.answer(found, given)
        try:
            yield namespace_id
        finally:
            if given is None:
                await first.answer(lambda client: client.namespaces.delete(namespace_id))

    def _tell(self) -> None:
        if self._asked[0].as_json:
            document = document_of(self._marks.tally, self._marks.evidence)
            print_json({"seed": self._plan.seed, **document})
        else:
            print_line(text_of(self._marks.tally, self._marks.evidence))
            print_line(f"seed         {self._plan.seed}")
