"""A disk without power: what was synced is there, and of the rest whatever chance has written.

Unsynced bytes are kept or lost sector by sector; a file may have grown without its bytes. Unsynced
names of a folder are kept up to some point, as a file system with a journal does.
"""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.powercut.system_calls import (
    Cut,
    Made,
    Removed,
    Renamed,
    Said,
    Step,
    SyncBegan,
    SyncEnded,
    Written,
)

_SECTOR_BYTES = 512
_KEPT = (0.0, 0.5, 0.9, 1.0)


@dataclass(slots=True, eq=False)
class _File:
    stable: bytearray = field(default_factory=bytearray)
    size: int = 0
    pending: list[tuple[int, Written | Cut]] = field(default_factory=list)
    """Each with the number of its step."""

    def settle(self, until: int) -> None:
        """What came up to that step is stable."""
        while self.pending and self.pending[0][0] <= until:
            _apply(self.stable, self.pending.pop(0)[1])

    def after_power_cut(self, random: Random, kept: float) -> bytes:
        content = bytearray(self.stable)
        for _, change in self.pending:
            if isinstance(change, Cut):
                if random.random() < kept:
                    _apply(content, change)
            else:
                for piece in _sectors(change):
                    if random.random() < kept:
                        _apply(content, piece)
        if self.size > len(content) and random.random() < 0.5:
            content.extend(bytes(self.size - len(content)))
        return bytes(content)


@dataclass(slots=True)
class _Naming:
    """A change of names in one folder; None removes, and a folder has no file."""

    step: int
    changes: dict[Path, "_File | _Folder | None"]


@dataclass(slots=True, eq=False)
class _Folder:
    pending: list[_Naming] = field(default_factory=list)


class Disk:
    """Takes the steps of a record one by one; `root` is a folder that was there before."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, _File | _Folder] = {root: _Folder()}
        self._stable_names: dict[Path, _File | _Folder] = dict(self._names)
        self._syncing: dict[int, tuple[_File | _Folder, int]] = {}
        self._step = 0
        self.said: list[str] = []

    def take(self, step: Step) -> None:
        """Goes on by one step; those outside of the root, and of `-shm` files, are nothing."""
        self._step += 1
        match step:
            case Said(line):
                self.said.append(line)
            case Made(path, folder) if path.parent in self._names and path not in self._names:
                if not path.name.endswith("-shm"):
                    self._name({path: _Folder() if folder else _File()}, path.parent)
            case Written(path) | Cut(path):
                self._write(path, step)
            case SyncBegan(thread, path) if path in self._names:
                self._syncing[thread] = (self._names[path], self._step)
            case SyncEnded(thread) if thread in self._syncing:
                self._synced(*self._syncing.pop(thread))
            case Renamed(old, new) if old in self._names:
                self._name({old: None, new: self._names[old]}, new.parent)
            case Removed(path) if path in self._names:
                self._name({path: None}, path.parent)

    def cut_power(self, random: Random, onto: Path) -> None:
        """Writes what is left, below `onto` in place of the root."""
        kept = random.choice(_KEPT)
        names = dict(self._stable_names)
        for folder in [node for node in self._names.values() if isinstance(node, _Folder)]:
            for naming in folder.pending[: random.randint(0, len(folder.pending))]:
                _rename(names, naming.changes)
        for path, node in sorted(names.items()):
            here = onto / path.relative_to(self._root)
            if isinstance(node, _Folder):
                here.mkdir(parents=True)
            elif here.parent.exists():
                here.write_bytes(node.after_power_cut(random, kept))

    def _write(self, path: Path, change: Written | Cut) -> None:
        file = self._names.get(path)
        if not isinstance(file, _File):
            return
        if isinstance(change, Cut):
            file.size = change.size
        else:
            offset = file.size if change.offset is None else change.offset
            change = Written(path, offset, change.data)
            file.size = max(file.size, offset + len(change.data))
        file.pending.append((self._step, change))

    def _name(self, changes: "dict[Path, _File | _Folder | None]", parent: Path) -> None:
        folder = self._names[parent]
        assert isinstance(folder, _Folder)
        folder.pending.append(_Naming(self._step, changes))
        _rename(self._names, changes)

    def _synced(self, node: _File | _Folder, until: int) -> None:
        if isinstance(node, _File):
            node.settle(until)
            return
        while node.pending and node.pending[0].step <= until:
            _rename(self._stable_names, node.pending.pop(0).changes)


def _rename(
    names: dict[Path, _File | _Folder], changes: "dict[Path, _File | _Folder | None]"
) -> None:
    for path, node in changes.items():
        if node is None:
            names.pop(path, None)
        else:
            names[path] = node


def _apply(content: bytearray, change: Written | Cut) -> None:
    if isinstance(change, Cut):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    assert change.offset is not None
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _sectors(change: Written) -> list[Written]:
    assert change.offset is not None
    pieces, at = [], 0
    while at < len(change.data):
        offset = change.offset + at
        size = _SECTOR_BYTES - offset % _SECTOR_BYTES
        pieces.append(Written(change.path, offset, change.data[at : at + size]))
        at += size
    return pieces
