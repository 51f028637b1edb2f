"""The kill switches on stable storage: read before the first request, newest epoch wins.

A file that cannot be read stops the start: switching a home back on by mistake is what it is for.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tandem.core.reply import Side
from tandem.errors import ConfigurationError
from tandem.runtime import stable_files
from tandem.runtime.passing import start_needs

_BYTES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class HomeSwitch:
    """Whether a home is used for reads and for writes."""

    reads: bool = True
    writes: bool = True


@dataclass(frozen=True, slots=True)
class Switches:
    """Both homes' switches as of one epoch."""

    epoch: int = 0
    kvsp: HomeSwitch = HomeSwitch()
    s3: HomeSwitch = HomeSwitch()

    def of(self, side: Side) -> HomeSwitch:
        """The switch of one home."""
        return self.kvsp if side is Side.KVSP else self.s3

    @property
    def rank(self) -> tuple[object, ...]:
        """The higher one is in force. Gateways that are set apart from each other may give one
        epoch to different switches; all of them choose the same then, one that has more off."""
        off = [not used for one in (self.kvsp, self.s3) for used in (one.reads, one.writes)]
        return self.epoch, sum(off), off

    def encoded(self) -> str:
        """As `decoded` understands it, and a person."""
        homes = {
            side.value: {"reads": self.of(side).reads, "writes": self.of(side).writes}
            for side in Side
        }
        return json.dumps({"epoch": self.epoch, "homes": homes}, indent=2) + "\n"

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Raises ValueError for what is no switches."""
        if len(data) > _BYTES_MAX:
            raise ValueError("too long")
        try:
            parsed = json.loads(data)
            epoch, homes = parsed["epoch"], dict(parsed["homes"])
            kvsp, s3 = (_switch(homes.pop(side.value)) for side in (Side.KVSP, Side.S3))
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        if type(epoch) is not int or epoch < 0 or homes:
            raise ValueError("an epoch and both homes are wanted")
        return cls(epoch, kvsp, s3)


class SwitchFile:
    """The file, which all processes of a machine share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Switches:
        """What was stored last; all on when nothing ever was. Blocking.

        Raises ConfigurationError when the file is there and cannot be understood.
        """
        with start_needs(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return Switches()
        try:
            return Switches.decoded(data)
        except ValueError as error:
            why = f"the kill switches cannot be read ({error})"
            cure = "remove the file: copies in the homes say what is off"
            raise ConfigurationError([f"{self._path}: {why}; {cure}"]) from error

    def store(self, switches: Switches) -> Switches:
        """Keeps `switches` unless the file has the same epoch or a newer one; returns what the
        file has now, durably. Blocking. Raises OSError, or ConfigurationError as `load` does."""
        with self._locked():
            current = self.load()
            if switches.epoch <= current.epoch:
                return current
            stable_files.replace(self._path, switches.encoded().encode())
            return switches

    def adopt(self, switches: Switches) -> None:
        """Keeps what is in force elsewhere, if it ranks above what the file has, durably. Blocking;
        raises as `store` does."""
        with self._locked():
            if switches.rank > self.load().rank:
                stable_files.replace(self._path, switches.encoded().encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _switch(found: Mapping[str, object]) -> HomeSwitch:
    reads, writes = found["reads"], found["writes"]
    if not isinstance(reads, bool) or not isinstance(writes, bool):
        raise TypeError("a switch is true or false")
    return HomeSwitch(reads, writes)
