"""Settings that a crawler takes while it runs: each of them, where it has its effect."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from crawler.board import Board
from crawler.book import DAY_US, Book
from crawler.build import Ground, taken
from crawler.collecting import Collector
from crawler.gateways import RemoteGateways
from crawler.kill_switches import KillSwitches
from crawler.pace import Pace
from crawler.report import CrawlRule
from crawler.rounds import Rounds
from crawler.service import Door
from crawler.settings import CrawlerSettings
from crawler.tokens import tokens_of
from tandem.core.reply import Side
from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import Loaded, settings_of
from tests.kvgateway.two_homes import ScriptedHome
from tests.runtime.clocks import StillClock

TOKEN: Final = "t" * 20


class Running:
    """A crawler without its tasks."""

    def __init__(self, directory: Path) -> None:
        self.settings = CrawlerSettings(data=directory)
        self.book = Book(directory / "crawler.sqlite")
        self.pace = Pace()
        tokens = tokens_of(self.settings)
        self.door = Door(tokens.that_open, is_open=True)
        self.gateways = RemoteGateways(self.settings.gateway_addresses(), tokens.to_show)
        self.log = logs.configure(StillClock())
        backends = {side: ScriptedHome(side, StillClock()) for side in Side}
        homes = cast(Any, SimpleNamespace(backends=backends, rows=None, objects=None))
        board = Board(self.book, SystemEntropy())
        switches = KillSwitches(self.gateways.enabled, board.counters)
        self.ground = Ground(homes, switches, self.gateways, self.book, board, self.pace, "c")
        self.rounds: Rounds = self.ground.rounds(self.settings)

    def take(self, **values: object) -> None:
        settings = replace(self.settings, **cast(Any, values))
        taken(Loaded(settings, {}, {}), self.ground, self.rounds, self.door, self.log)
        self.settings = settings


@pytest.fixture
def running(own_logs: None, tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.book.close()


_EFFECTS: Final[dict[str, tuple[object, Callable[[Running], object]]]] = {
    "gateways": ("a:1,b:2", lambda r: ",".join(r.gateways._addresses)),
    "token": (TOKEN, lambda r: r.gateways._token_for("10.0.0.1:1")),
    "admin_token": (TOKEN, lambda r: r.door._tokens()[0]),
    "pause_s": (7.0, lambda r: r.rounds.work.pause_s),
    "breathe_ratio": (3.0, lambda r: r.pace._breathe_ratio),
    "requests_per_second": (9, lambda r: r.pace._requests._rate.per_s),
    "bytes_per_second": (4096, lambda r: r.pace._bytes._rate.per_s),
    "ranges_at_once": (9, lambda r: _rule(r).ranges_at_once),
    "range_names": (5000, lambda r: _rule(r).range_names),
    "deep_parts": (9, lambda r: _rule(r).deep_parts),
    "repair_share": (0.1, lambda r: _rule(r).limit.share),
    "tombstone_grace_s": (9000.0, lambda r: _collector(r)._rule.tombstone_grace_s),
    "history_days": (9.0, lambda r: r.book._history_us / DAY_US),
    "settle_s": (9.0, lambda r: _rule(r).settle_s),
    "heals_at_once": (9, lambda r: _rule(r).heals_at_once),
}
_ELSEWHERE: Final = {"admin_token_file", "log_level", "log_format"}
"""Each has a test of its own below."""


def _collector(running: Running) -> Collector:
    return running.rounds.work.crawls._collector


def _rule(running: Running) -> CrawlRule:
    return running.rounds.work.crawls.rule


def test_every_setting_that_is_taken_has_its_effect_here() -> None:
    declared = {s.field for s in settings_of(CrawlerSettings) if s.reload}
    assert declared == {*_EFFECTS, *_ELSEWHERE}


@pytest.mark.parametrize("field", _EFFECTS)
def test_it_has_its_effect(running: Running, field: str) -> None:
    value, effect = _EFFECTS[field]
    assert effect(running) != value
    running.take(**{field: value})
    assert effect(running) == value


def test_a_token_file_is_taken(running: Running, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    running.take(admin_token_file=str(tmp_path / "token"))
    assert running.door._tokens()[0] == TOKEN
    assert not running.door._is_open


def test_a_token_file_that_is_gone_afterwards_changes_nothing(
    running: Running, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    running.take(admin_token_file=str(file))
    file.unlink()
    assert running.door._tokens()[0] == TOKEN
    assert running.gateways._token_for("10.0.0.1:1") == TOKEN


def test_the_log_changes_at_once(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.get("t")
    running.log = logs.configure(StillClock())
    running.take(log_level=logs.LogLevel.ERROR, log_format=logs.LogFormat.JSON)
    log.warning("no")
    log.error("yes")
    [line] = capsys.readouterr().err.splitlines()
    assert '"event": "yes"' in line


@pytest.mark.parametrize("wrong", [{"admin_token": "short"}, {"admin_token_file": "/no/such/file"}])
def test_what_cannot_be_taken_changes_nothing(running: Running, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        running.take(pause_s=7.0, **wrong)
    assert running.rounds.work.pause_s == running.settings.pause_s == 10.0
    assert running.door._is_open
