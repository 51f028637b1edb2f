"""Structured logs: one event per line, JSON for machines, never a reason for a service to stop.

Warnings and errors that repeat are written once, then counted: an outage must not fill the disk.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol, TextIO

from tandem.runtime.clock import Clock
from tandem.runtime.plain_structlog import structlog

# What makes two repeats the same event, beside its logger, level and name.
IDENTITY_FIELDS = ("cluster", "gateway", "home", "namespace", "operation")
REPEAT_S = 10.0
IDENTITIES_MAX = 1000
_TICK_S = 1.0

_Event = MutableMapping[str, Any]


class LogFormat(Enum):
    AUTO = "auto"  # JSON unless the stream is a terminal
    JSON = "json"
    TEXT = "text"


class LogLevel(Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Logger(Protocol):
    """What our modules use of a structlog logger."""

    def debug(self, event: str, **fields: object) -> object: ...
    def info(self, event: str, **fields: object) -> object: ...
    def warning(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


def get(name: str) -> Logger:
    """The logger of one part of a program."""
    logger: Logger = structlog.get_logger(part=name)
    return logger


@dataclass(slots=True)
class _Repeat:
    written_us: int
    suppressed: int
    last: _Event


class RepeatLimit:
    """Passes the first of equal warnings or errors, then one with a count each `period_s`."""

    def __init__(self, clock: Clock, period_s: float = REPEAT_S) -> None:
        self._clock = clock
        self._period_us = int(period_s * 1e6)
        self._seen: dict[tuple[object, ...], _Repeat] = {}

    def __call__(self, logger: object, method: str, event: _Event) -> _Event:
        if method not in ("warning", "error", "critical"):
            return event
        key = (method, event.get("part"), event["event"], *map(event.get, IDENTITY_FIELDS))
        now = self._clock.monotonic_us()
        repeat = self._seen.get(key)
        if repeat is None:
            if len(self._seen) >= IDENTITIES_MAX:
                self._forget_oldest()
            self._seen[key] = _Repeat(now, 0, event)
            return event
        if now - repeat.written_us < self._period_us:
            repeat.suppressed += 1
            repeat.last = dict(event)
            raise structlog.DropEvent
        suppressed, repeat.written_us, repeat.suppressed = repeat.suppressed, now, 0
        return {**event, "repeated": suppressed} if suppressed else event

    def _forget_oldest(self) -> None:
        del self._seen[next(iter(self._seen))]

    def due(self) -> list[tuple[str, _Event]]:
        """Summaries (level, event) of repeats that nobody would otherwise hear of."""
        now = self._clock.monotonic_us()
        summaries: list[tuple[str, _Event]] = []
        for key, repeat in list(self._seen.items()):
            if now - repeat.written_us < self._period_us:
                continue
            del self._seen[key]
            if repeat.suppressed:
                summaries.append((str(key[0]), {**repeat.last, "repeated": repeat.suppressed}))
        return summaries


class Sink:
    """Writes whole lines; a full disk or a closed pipe costs lines, which are counted."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost = 0

    def __call__(self, *_: object) -> "Sink":
        return self

    def msg(self, line: str) -> None:
        try:
            self.stream.write(line + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # ValueError: the stream has been closed
            self.lost += 1

    debug = info = warning = error = critical = msg


class Logs:
    """The log configuration of a process."""

    def __init__(self, sink: Sink, limit: RepeatLimit, clock: Clock) -> None:
        self._sink = sink
        self._limit = limit
        self._clock = clock

    @property
    def lost(self) -> int:
        return self._sink.lost

    def shape(self, level: LogLevel, form: LogFormat) -> None:
        """What is logged from now on, and in which form."""
        structlog.configure(
            processors=[
                self._limit,
                structlog.processors.add_log_level,
                _timestamp(self._clock),
                *_rendering(form, self._sink.stream),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.value]),
            logger_factory=self._sink,
            cache_logger_on_first_use=False,
        )

    async def sum_up_repeats(self) -> None:
        """Sees to it that the last ones are heard of too, until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(_TICK_S)

    def tick(self) -> None:
        """Writes what repeats have come to whose period is over."""
        for level, event in self._limit.due():
            fields = dict(event)
            structlog.get_logger().log(_LEVELS[level], fields.pop("event"), **fields)


_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


class _Foreign(logging.Handler):
    """Brings the records of libraries (grpc, asyncio, botocore) into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(part=record.name).log(
            record.levelno, "library_message", text=record.getMessage(), exc_info=record.exc_info
        )

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: a record that cannot be formatted is not worth a traceback on stderr."""


def configure(
    clock: Clock,
    *,
    level: LogLevel = LogLevel.INFO,
    form: LogFormat = LogFormat.AUTO,
    stream: TextIO | None = None,
    repeat_s: float = REPEAT_S,
) -> Logs:
    """Send every log line of this process to `stream` (default: standard error)."""
    made = Logs(Sink(stream or sys.stderr), RepeatLimit(clock, repeat_s), clock)
    made.shape(level, form)
    root = logging.getLogger()
    root.handlers = [_Foreign(level=logging.WARNING)]
    return made


def _rendering(form: LogFormat, stream: TextIO) -> list[Any]:
    terminal = not stream.closed and stream.isatty()
    if form is LogFormat.JSON or (form is LogFormat.AUTO and not terminal):
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr, sort_keys=False),
        ]
    # Where rich is installed, the default shows every local variable, tokens and values among them,
    # and computes for a second, in which no heartbeat is sent.
    plain = structlog.dev.plain_traceback
    return [
        structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=0, exception_formatter=plain)
    ]


def _timestamp(clock: Clock) -> Callable[[object, str, _Event], _Event]:
    def stamp(logger: object, method: str, event: _Event) -> _Event:
        now = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
        return {"time": now.isoformat(timespec="milliseconds"), **event}

    return stamp
