"""The forms a setting's value can have: how text and TOML become a value, and what to expect."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_SIZE_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_DURATION_UNITS_US = {
    "us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000,
    "h": 3_600_000_000, "d": 86_400_000_000,
}  # fmt: skip
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_NUMBER_AND_UNIT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`parse` raises `ValueError`; `expected` completes the sentence "expected ..."; `types` are
    those that a value may have in the file."""

    expected: str
    parse: Callable[[str], T]
    show: Callable[[T], str] = str
    metavar: str = "VALUE"
    types: tuple[type, ...] = (str,)


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(text: str) -> Address:
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(text)
    if not colon or not host or re.search(r"[\s/]", host) or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(text)
    if int(port) > 65535:
        raise ValueError(text)
    return Address(host, int(port))


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text.strip()):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text.strip()):
        raise ValueError(text)
    return float(text)


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in _BOOLEANS:
        raise ValueError(text)
    return _BOOLEANS[word]


def _size(text: str) -> int:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None or match[2].upper() not in _SIZE_UNITS:
        raise ValueError(text)
    size = float(match[1]) * _SIZE_UNITS[match[2].upper()]
    if size != int(size):
        raise ValueError(text)
    return int(size)


def _show_size(size: int) -> str:
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        whole = _SIZE_UNITS[unit.upper()]
        if size and size % whole == 0:
            return f"{size // whole}{unit}"
    return str(size)


def _microseconds(text: str) -> float:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    unit = match[2] or "s"
    if unit not in _DURATION_UNITS_US:
        raise ValueError(text)
    return float(match[1]) * _DURATION_UNITS_US[unit]


def _show_duration(microseconds: float) -> str:
    for unit in ("d", "h", "min", "s", "ms"):
        whole = _DURATION_UNITS_US[unit]
        if microseconds and microseconds % whole == 0:
            return f"{int(microseconds // whole)}{unit}"
    return f"{microseconds:g}us"


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


def choice(options: type[E]) -> Kind[E]:
    """One of the values of a string enum."""
    names = ", ".join(str(option.value) for option in options)
    return Kind(f"one of {names}", options, lambda option: str(option.value), "NAME")


TEXT: Kind[str] = Kind("text that is not empty", _not_empty)
OPTIONAL_TEXT: Kind[str] = Kind("text", str)
WHOLE: Kind[int] = Kind("a whole number", _whole, metavar="N", types=(int,))
NUMBER: Kind[float] = Kind(
    "a number", _number, lambda number: f"{number:g}", "N", types=(int, float)
)
BOOLEAN: Kind[bool] = Kind(
    "true or false", _boolean, lambda yes: str(yes).lower(), "BOOL", types=(bool,)
)
SIZE: Kind[int] = Kind(
    "a size such as 65536, 64KiB or 1GiB", _size, _show_size, "SIZE", types=(str, int)
)
PATH: Kind[Path] = Kind("a path", lambda text: Path(_not_empty(text)), metavar="PATH")
ADDRESS: Kind[Address] = Kind("host:port, such as 127.0.0.1:8781", _address, metavar="HOST:PORT")
OPTIONAL_ADDRESS: Kind[Address | None] = Kind(
    "host:port, or nothing", lambda text: _address(text) if text.strip() else None,
    lambda address: str(address or ""), "HOST:PORT",
)  # fmt: skip
DURATION_S: Kind[float] = Kind(
    "a duration such as 250ms, 30s or 2h", lambda text: _microseconds(text) / 1e6,
    lambda value: _show_duration(value * 1e6), "DURATION", types=(str, int, float),
)  # fmt: skip
