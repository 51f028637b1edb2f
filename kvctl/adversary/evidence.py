"""The evidence of violations: what happened to the key around each of them, as lines of JSON."""

import json
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from kvctl.adversary.checker import Violation
from kvctl.adversary.operation import Operation
from tandem.core.version import NO_VERSION

BEFORE: Final = 40
"""Operations on the key that are kept, which ended before the violation or with it."""
AFTER: Final = 10
CASES_MAX: Final = 1000
"""Violations whose evidence is kept; the rest is counted."""


@dataclass(slots=True)
class _Case:
    violation: Violation
    operations: list[Operation]
    missing: int = AFTER


class Evidence:
    """Writes a case once enough has happened after it; the file is made for the first one."""

    def __init__(self, path: Path, key_names: Sequence[str], gateways: Sequence[str]) -> None:
        self.path = path
        self.cases = 0
        """How many were kept."""
        self._key_names = key_names
        self._gateways = gateways
        self._latest: defaultdict[int, deque[Operation]] = defaultdict(lambda: deque(maxlen=BEFORE))
        self._open: defaultdict[int, list[_Case]] = defaultdict(list)
        self._file: IO[str] | None = None

    def ended(self, operation: Operation) -> None:
        """Notes an operation; to be told of before its violations."""
        self._latest[operation.key].append(operation)
        waiting = self._open.get(operation.key)
        if not waiting:
            return
        for case in waiting:
            case.operations.append(operation)
            case.missing -= 1
        self._open[operation.key] = [case for case in waiting if case.missing]
        for case in waiting:
            if not case.missing:
                self._write(case)

    def keep(self, violation: Violation) -> None:
        """Opens a case, up to the bound."""
        if self.cases < CASES_MAX:
            self.cases += 1
            key = violation.operation.key
            self._open[key].append(_Case(violation, [*self._latest[key]]))

    def close(self) -> None:
        """Writes what still waits for more."""
        for waiting in self._open.values():
            for case in waiting:
                self._write(case)
        self._open.clear()
        if self._file is not None:
            self._file.close()

    def _write(self, case: _Case) -> None:
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        violation = case.violation
        line = {
            "broken": violation.broken.value,
            "why": violation.why,
            "key": self._key_names[violation.operation.key],
            "operation": violation.operation.number,
            "operations": [self._document(one) for one in case.operations],
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _document(self, operation: Operation) -> dict[str, object]:
        return {
            "operation": operation.number,
            "kind": operation.kind.value,
            "gateway": self._gateways[operation.gateway],
            "connection": operation.connection,
            "process": operation.process or None,
            "session": operation.session,
            "began_us": operation.began_us,
            "ended_us": operation.ended_us,
            "outcome": operation.outcome.value,
            "version": str(operation.version) if operation.version != NO_VERSION else None,
            "value_of": operation.content or None,
            "error": operation.error or None,
        }
