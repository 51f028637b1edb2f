"""A program reads its settings again: what it takes, what it refuses, and what it says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandem.core.settings_in_force import SettingsInForce
from tandem.errors import ConfigurationError
from tandem.runtime.reload import Reloading, show_settings
from tandem.runtime.settings import (
    DURATION_S,
    OPTIONAL_TEXT,
    WHOLE,
    Loaded,
    load,
    read_sources,
    setting,
    shared,
)
from tandem.runtime.telemetry import Metrics
from tests.runtime.clocks import StillClock
from tests.runtime.wire import Recorded


@dataclass(frozen=True, slots=True)
class Some:
    """Of each sort one."""

    data: Path = shared.data()
    drain_s: float = setting(DURATION_S, 1.0, "how long", reload=True)
    readers: int = setting(WHOLE, 2, "how many", low=1)
    token_file: str = setting(OPTIONAL_TEXT, "", "where a token is", reload=True)


class Program:
    """One that reads a file of settings, and takes them or not."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "t.toml"
        self.token = directory / "token"
        self.file.write_text(f'[kvsp]\ntoken_file = "{self.token}"\n')
        self.token.write_text("first")
        self.log = Recorded()
        self.clock = StillClock()
        self.taken: list[Some] = []
        self.refuses: Exception | None = None
        self.on_take: Callable[[], None] = lambda: None
        self.arguments = ["--config", str(self.file)]
        loaded = load(Some, "kvsp", read_sources(self.arguments, {}, "kvsp"))
        self.reloading = Reloading(
            Some, "kvsp", self.arguments, {}, loaded, clock=self.clock, log=self.log,
            named=lambda s: {"token_file": s.token_file and Path(s.token_file).read_text()},
        )  # fmt: skip

    def write(self, *lines: str) -> None:
        self.file.write_text("\n".join(["[kvsp]", f'token_file = "{self.token}"', *lines]))

    async def take(self, loaded: Loaded[Some]) -> None:
        self.on_take()
        if self.refuses is not None:
            raise self.refuses
        self.taken.append(loaded.settings)

    async def read(self) -> SettingsInForce:
        """Reads them once, a second after what was before."""
        self.clock.advance(1)
        await self.reloading.round(self.take)
        return self.reloading.in_force

    def said(self) -> list[str]:
        return [event for event, _ in self.log.events]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


async def test_other_settings_are_taken_and_the_log_says_which(program: Program) -> None:
    program.write('drain = "3s"')
    in_force = await program.read()
    assert [some.drain_s for some in program.taken] == [3.0]
    assert program.reloading.settings.drain_s == 3.0
    assert in_force == SettingsInForce(program.clock.now_us())
    [(event, fields)] = program.log.events
    assert (event, fields["changed"]) == ("settings_read", ["drain: 1s, now 3s"])


async def test_nothing_is_taken_where_nothing_has_changed(program: Program) -> None:
    before = program.reloading.in_force
    after = await program.read()
    assert program.taken == []
    assert after.read_us > before.read_us
    [(event, fields)] = program.log.events
    assert (event, fields["changed"], fields["waiting"]) == ("settings_read", [], [])


async def test_what_needs_a_restart_is_named_and_the_rest_is_taken(program: Program) -> None:
    program.write('drain = "3s"', "readers = 9")
    in_force = await program.read()
    assert in_force.waiting == ("readers",)
    assert [(some.drain_s, some.readers) for some in program.taken] == [(3.0, 2)]
    assert program.said() == ["settings_read", "settings_need_a_restart"]


@pytest.mark.parametrize(
    ("file", "count", "mistake"),
    [
        ("not toml", 1, "not TOML"),
        ('[kvsp]\ndrian = "3s"\nreaders = 0\n', 2, "drian: unknown setting; did you mean drain?"),
        (None, 1, "cannot be read"),
        (" \n", 1, "is empty"),
    ],
)
async def test_a_file_with_mistakes_leaves_the_last_good_settings(
    program: Program, file: str | None, count: int, mistake: str
) -> None:
    before = program.reloading.in_force
    if file is None:
        program.file.unlink()
    else:
        program.file.write_text(file)
    in_force = await program.read()
    assert len(in_force.mistakes) == count
    assert mistake in in_force.mistakes[0]
    assert (in_force.read_us, program.taken) == (before.read_us, [])
    [(event, fields)] = program.log.events
    assert (event, fields["mistakes"]) == ("settings_refused", [*in_force.mistakes])
    program.write('drain = "3s"')
    assert (await program.read()).mistakes == ()
    assert program.reloading.settings.drain_s == 3.0


async def test_a_file_of_comments_brings_the_defaults_back(program: Program) -> None:
    program.write('drain = "3s"')
    await program.read()
    program.file.write_text("# nothing")
    assert (await program.read()).mistakes == ()
    assert program.reloading.settings == Some()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConfigurationError(["no worker serves"]), "no worker serves"),
        (KeyError("a bug"), "a fault of kvsp: KeyError('a bug')"),
    ],
)
async def test_settings_that_the_program_cannot_take_are_refused(
    program: Program, error: Exception, told: str
) -> None:
    program.refuses = error
    program.write('drain = "3s"')
    assert (await program.read()).mistakes == (told,)
    assert program.reloading.settings.drain_s == 1.0
    program.refuses = None
    assert (await program.read()).mistakes == ()
    assert [some.drain_s for some in program.taken] == [3.0]


async def test_a_file_that_a_setting_names_may_change_alone(program: Program) -> None:
    program.token.write_text("second")
    await program.read()
    await program.read()
    assert len(program.taken) == 1
    changed = [fields["changed"] for _, fields in program.log.events]
    assert changed == [["token_file: the file holds something else now"], []]
    assert "second" not in repr(program.log.events)


async def test_asked_again_while_it_takes_them_it_reads_once_more(program: Program) -> None:
    asked, told = asyncio.Event(), asyncio.Event()
    heard: list[SettingsInForce] = []

    def hear(in_force: SettingsInForce) -> None:
        heard.append(in_force)
        told.set()

    def ask_often() -> None:
        program.on_take = lambda: None
        program.write('drain = "4s"')
        for _ in range(5):
            asked.set()

    program.on_take = ask_often
    program.write('drain = "3s"')
    asked.set()  # before anybody listens, as while a program starts
    running = asyncio.create_task(program.reloading.run(asked, program.take, hear))
    async with asyncio.timeout(60):
        while len(heard) < 2:
            await told.wait()
            told.clear()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [some.drain_s for some in program.taken] == [3.0, 4.0]
    assert len(heard) == 2


def test_they_are_shown_to_whoever_watches() -> None:
    metrics = Metrics("t", StillClock())
    show_settings(metrics, lambda: SettingsInForce(5_000_000, ("a mistake",), ("data", "workers")))
    page = metrics.prometheus().decode()
    assert "\ntandem_settings_refused 1.0\n" in page
    assert "\ntandem_settings_waiting 2.0\n" in page
    assert "\ntandem_settings_read_seconds 5.0\n" in page
