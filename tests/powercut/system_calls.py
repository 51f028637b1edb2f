"""What a program did to its files, in order, from a record of its system calls by strace."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALLS = (
    "openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "unlink",
    "unlinkat", "mkdir", "rmdir",
)  # fmt: skip
_BYTES_SHOWN_MAX = 16 * 1024 * 1024
_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+).*")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+).*")
_FILE = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})*)[^>]*>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Made:
    """A file or a folder has got a name."""

    path: Path
    folder: bool


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were written, at the end if `offset` is None."""

    path: Path
    offset: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file has got this length."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class SyncBegan:
    """What was done to the file or folder so far is on its way to stable storage."""

    thread: int
    path: Path


@dataclass(frozen=True, slots=True)
class SyncEnded:
    """It is there."""

    thread: int


@dataclass(frozen=True, slots=True)
class Renamed:
    old: Path
    new: Path


@dataclass(frozen=True, slots=True)
class Removed:
    path: Path


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the program's output: from here on the world relies on it."""

    line: str


Step = Made | Written | Cut | SyncBegan | SyncEnded | Renamed | Removed | Said


@dataclass(frozen=True, slots=True)
class _Call:
    thread: int
    name: str
    arguments: str

    def paths(self) -> list[Path]:
        return [Path(_bytes(text).decode()) for text in _TEXT.findall(self.arguments)]

    def file(self) -> tuple[int, Path]:
        """The descriptor that the call is about, and its file."""
        found = _FILE.match(self.arguments)
        return (int(found[1]), Path(_bytes(found[2]).decode())) if found else (-1, Path())

    def last_number(self) -> int:
        return int(self.arguments.rpartition(", ")[2])


def why_missing() -> str | None:
    """What keeps programs from being recorded here, or None."""
    try:
        done = subprocess.run(("strace", "-f", "true"), capture_output=True, text=True)
    except FileNotFoundError:
        return "not installed: strace"
    return None if done.returncode == 0 else done.stderr[-300:].strip()


def recorded(module: str, *arguments: str, log: Path) -> Sequence[Step]:
    """Runs a module to its end, and returns what it did to files and what it said."""
    subprocess.run(
        (
            "strace", "-f", "--seccomp-bpf", "-xx", "-y", "-s", str(_BYTES_SHOWN_MAX),
            "-e", f"trace={','.join(_CALLS)}", "-e", "signal=none", "-o", str(log),
            sys.executable, "-m", module, *arguments,
        ),
        check=True, stdout=subprocess.PIPE, timeout=50,
    )  # fmt: skip
    with log.open(encoding="ascii") as lines:
        return list(_steps(lines))


def _steps(lines: Iterator[str]) -> Iterator[Step]:
    begun: dict[int, _Call] = {}
    for line in lines:
        if whole := _WHOLE.fullmatch(line.rstrip("\n")):
            call = _Call(int(whole[1]), whole[2], whole[3])
            yield from _before(call)
            yield from _after(call, int(whole[4]))
        elif began := _BEGUN.fullmatch(line.rstrip("\n")):
            call = begun[int(began[1])] = _Call(int(began[1]), began[2], began[3])
            yield from _before(call)
        elif ended := _ENDED.fullmatch(line.rstrip("\n")):
            yield from _after(begun.pop(int(ended[1])), int(ended[4]))


def _before(call: _Call) -> Iterator[Step]:
    """What may show from the moment on when the call begins."""
    match call.name:
        case "write" | "pwrite64":
            descriptor, path = call.file()
            data = _bytes(_TEXT.findall(call.arguments)[0])
            if descriptor == 1:
                yield from map(Said, data.decode().splitlines())
            elif path.is_absolute():
                offset = call.last_number() if call.name == "pwrite64" else None
                yield Written(path, offset, data)
        case "fsync" | "fdatasync":
            yield SyncBegan(call.thread, call.file()[1])
        case _:
            pass


def _after(call: _Call, result: int) -> Iterator[Step]:
    """What is certain only when it has succeeded."""
    if result < 0:
        return
    match call.name:
        case "fsync" | "fdatasync":
            yield SyncEnded(call.thread)
        case "openat" if "O_CREAT" in call.arguments:
            [path] = call.paths()
            yield Made(path, folder=False)
            if "O_TRUNC" in call.arguments:
                yield Cut(path, 0)
        case "mkdir":
            [path] = call.paths()
            yield Made(path, folder=True)
        case "ftruncate":
            yield Cut(call.file()[1], call.last_number())
        case "rename":
            yield Renamed(*call.paths())
        case "unlink" | "unlinkat" | "rmdir":
            [path] = call.paths()
            yield Removed(path)
        case _:
            pass


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
