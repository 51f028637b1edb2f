"""One /metrics page for several worker processes: each writes its text, any of them merges all.

A worker slot's numbers come from its newest incarnation that has written. When a worker dies its
last snapshot stays (its counters and histograms, not its gauges), so no counter goes backwards;
its successor starts from zero under the same `worker` label, which readers of counters know as a
reset. The supervisor empties the directory when the whole machine's gateway starts.
"""

import re
from pathlib import Path

STALE_US = 10_000_000
_NAME = re.compile(r"worker-(\d+)\.(\d+)\.prom")
_WRITTEN = b"# written_us "


class SnapshotWriter:
    """Writes the snapshots of one worker; a full disk is counted, not raised."""

    def __init__(self, directory: Path, slot: int, incarnation: int) -> None:
        self._directory = directory
        self._path = directory / f"worker-{slot}.{incarnation}.prom"
        self._slot = slot
        self._incarnation = incarnation
        self.failures = 0

    def write(self, text: bytes, now_us: int) -> None:
        """Replace the snapshot by `text` (Prometheus format), all or nothing."""
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_bytes(_WRITTEN + b"%d\n" % now_us + text)
            temporary.replace(self._path)
            for slot, incarnation, path in _snapshots(self._directory):
                if slot == self._slot and incarnation < self._incarnation:
                    path.unlink(missing_ok=True)
        except OSError:
            self.failures += 1


def render(directory: Path, now_us: int) -> bytes:
    """All workers' metrics as one page, each sample with its `worker`; one HELP and TYPE each."""
    newest: dict[int, tuple[int, Path]] = {}
    for slot, incarnation, path in _snapshots(directory):
        newest[slot] = max(newest.get(slot, (-1, path)), (incarnation, path))
    families: dict[bytes, list[bytes]] = {}
    up = [
        b"# HELP tandem_worker_up Whether the worker wrote lately.",
        b"# TYPE tandem_worker_up gauge",
    ]
    for slot in sorted(newest):
        try:
            text = newest[slot][1].read_bytes()
        except OSError:
            continue
        first, _, page = text.partition(b"\n")
        fresh = now_us - int(first.removeprefix(_WRITTEN)) < STALE_US
        up.append(b'tandem_worker_up{worker="%d"} %d' % (slot, fresh))
        _merge(families, page, b'worker="%d"' % slot, with_gauges=fresh)
    lines = [line for family in families.values() for line in family]
    return b"\n".join([*up, *lines]) + b"\n"


def _snapshots(directory: Path) -> list[tuple[int, int, Path]]:
    return [
        (int(match[1]), int(match[2]), path)
        for path in sorted(directory.iterdir())
        if (match := _NAME.fullmatch(path.name))
    ]


def _merge(
    families: dict[bytes, list[bytes]], page: bytes, label: bytes, with_gauges: bool
) -> None:
    lines: list[bytes] = []
    first = keep = True
    for line in page.splitlines():
        if line.startswith(b"# HELP "):
            name = line.split(b" ", 3)[2]
            first = name not in families
            lines = families.setdefault(name, [])
            keep = True
        if line.startswith(b"# TYPE "):
            keep = with_gauges or not line.endswith(b" gauge")
        if line.startswith(b"#"):
            if first:
                lines.append(line)
        elif keep:
            lines.append(_labelled(line, label))


def _labelled(sample: bytes, label: bytes) -> bytes:
    match = re.match(rb"[^{ ]+", sample)
    assert match is not None, "a sample begins with its name"
    name, rest = sample[: match.end()], sample[match.end() :]
    if rest.startswith(b"{"):
        return name + b"{" + label + b"," + rest[1:]
    return name + b"{" + label + b"}" + rest
