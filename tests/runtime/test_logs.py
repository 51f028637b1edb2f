"""Lines, their form, repeats counted instead of written, and sinks that fail."""

import io
import json
import logging
import os

import pytest

from tandem.runtime import logs
from tandem.runtime.logs import LogFormat, Logs
from tests.runtime.clocks import StillClock

pytestmark = pytest.mark.usefixtures("own_logs")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _configured(stream: io.StringIO) -> tuple[Logs, StillClock]:
    clock = StillClock()
    return logs.configure(clock, stream=stream, repeat_s=10), clock


def test_json_off_a_terminal_readable_on_one_and_forced() -> None:
    for stream, form, is_json in (
        (io.StringIO(), LogFormat.AUTO, True),
        (Terminal(), LogFormat.AUTO, False),
        (Terminal(), LogFormat.JSON, True),
        (io.StringIO(), LogFormat.TEXT, False),
    ):
        logs.configure(StillClock(), stream=stream, form=form)
        logs.get("a").info("started", port=1)
        text = stream.getvalue()
        assert "started" in text
        assert text.startswith("{") is is_json


def test_a_line_has_time_level_part_event_and_fields() -> None:
    _configured(stream := io.StringIO())
    logs.get("http").info("listening", port=8780)
    assert _lines(stream) == [
        {"time": "2023-11-14T22:13:20.000+00:00", "part": "http", "port": 8780,
         "event": "listening", "level": "info"},
    ]  # fmt: skip


def test_the_level_holds() -> None:
    stream = io.StringIO()
    logs.configure(StillClock(), stream=stream, level=logs.LogLevel.WARNING)
    logs.get("a").info("no")
    logs.get("a").warning("yes")
    assert [line["event"] for line in _lines(stream)] == ["yes"]


def test_repeats_are_counted_and_summed_up_once_a_period() -> None:
    configured, clock = _configured(stream := io.StringIO())
    log = logs.get("s3")
    for attempt in range(1000):
        log.warning("leg_failed", home="s3", attempt=attempt)
    log.warning("leg_failed", home="kvsp", attempt=0)
    configured.tick()
    assert [(line["home"], line["attempt"]) for line in _lines(stream)] == [("s3", 0), ("kvsp", 0)]
    clock.advance(10)
    configured.tick()
    configured.tick()
    last = _lines(stream)[2:]
    assert [(line["home"], line["attempt"], line["repeated"]) for line in last] == [
        ("s3", 999, 999)
    ]


@pytest.mark.parametrize("field", ["cluster", "gateway", "home", "namespace", "operation"])
def test_what_is_said_of_two_is_no_repeat(field: str) -> None:
    _configured(stream := io.StringIO())
    for one in ("a", "b", "a"):
        logs.get("crawler").warning("not_collected", **{field: one})
    assert [line[field] for line in _lines(stream)] == ["a", "b"]


def test_what_is_not_a_warning_is_never_held_back() -> None:
    _configured(stream := io.StringIO())
    for port in range(3):
        logs.get("a").info("listening", port=port)
    assert len(_lines(stream)) == 3


def test_the_number_of_remembered_events_is_bounded() -> None:
    clock = StillClock()
    limit = logs.RepeatLimit(clock)
    for n in range(3 * logs.IDENTITIES_MAX):
        limit(None, "error", {"event": f"e{n}"})
    assert len(limit._seen) == logs.IDENTITIES_MAX


def test_exceptions_and_library_records_become_fields() -> None:
    _configured(stream := io.StringIO())
    try:
        raise RuntimeError("why")
    except RuntimeError as error:
        logs.get("a").error("failed", exc_info=error)
    logging.getLogger("botocore").warning("slow %s", "down")
    first, second = _lines(stream)
    assert "RuntimeError: why" in str(first["exception"])
    assert (second["part"], second["text"]) == ("botocore", "slow down")


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
def test_a_traceback_shows_where_and_no_value_of_a_variable(form: LogFormat) -> None:
    logs.configure(StillClock(), stream=(stream := io.StringIO()), form=form)

    def fails(token: str) -> None:
        raise RuntimeError(f"a token of {len(token)} characters")

    try:
        fails("tdm_" + "secret")
    except RuntimeError:
        logs.get("a").error("failed", exc_info=True)
    assert "in fails" in stream.getvalue()
    assert "a token of 10 characters" in stream.getvalue()
    assert "tdm_secret" not in stream.getvalue()


def test_a_sink_that_fails_costs_lines_not_the_service() -> None:
    closed = io.StringIO()
    closed.close()
    reading, writing = os.pipe()
    os.close(reading)
    broken = os.fdopen(writing, "w", buffering=1)
    full = open("/dev/full", "w")  # noqa: PTH123, SIM115
    for stream in (closed, broken, full):
        configured = logs.configure(StillClock(), stream=stream)
        logs.get("a").info("lost")
        assert configured.lost == 1
    for stream in (broken, full):
        with pytest.raises(OSError):  # noqa: PT011 - what was buffered still cannot be written
            stream.close()
