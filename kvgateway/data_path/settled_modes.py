"""Since when every write of this process goes by the present mode of its namespace.

A write ends by the mode in which it began. So the mode is *settled* here only when the last write
has ended that was under way when this process learned of the step to it; the next step may rest on
that moment, not on the moment when the step was seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvgateway.data_path.comparing import Comparisons
from kvgateway.data_path.writes import Writer
from kvgateway.registry.namespace_book import NamespaceBook
from tandem.core.registration import MODES_MAX, SeenMode


@dataclass(slots=True)
class _Settling:
    """The present mode of one namespace."""

    epoch: int
    earlier_writes_ended: Callable[[], bool]
    since_us: int = 0
    """When it was found settled; 0 while it is not."""


class SettledModes:
    """Follows the steps of all namespaces."""

    def __init__(self, book: NamespaceBook, writer: Writer, comparisons: Comparisons) -> None:
        self._book = book
        self._writer = writer
        self._comparisons = comparisons
        self._modes: dict[str, _Settling] = {}

    def seen(self, now_us: int) -> Mapping[str, SeenMode]:
        """The modes of the namespaces that were ever stepped, as this process goes by them: at most
        MODES_MAX, those of the latest steps first."""
        stepped = self._book.stepped
        for gone in self._modes.keys() - stepped.keys():
            del self._modes[gone]
        newest = sorted(stepped, key=lambda n: (-stepped[n].stepped_at_s, n))[:MODES_MAX]
        return {name: self._seen(name, stepped[name].mode_epoch, now_us) for name in newest}

    def _seen(self, namespace: str, epoch: int, now_us: int) -> SeenMode:
        mode = self._modes.get(namespace)
        if mode is None or mode.epoch != epoch:
            mode = self._modes[namespace] = _Settling(epoch, self._writer.begun(namespace))
            self._comparisons.begin(namespace)
        if not mode.since_us and mode.earlier_writes_ended():
            mode.since_us = now_us
        tally = self._comparisons.tally_of(namespace)
        return SeenMode(epoch, mode.since_us, tally.compared, tally.different)
