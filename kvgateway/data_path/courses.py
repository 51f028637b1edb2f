"""Since when this process goes by the mode of each namespace, with nothing left of the mode before.

What was begun by one mode ends by it. So a step of the registry is one thing, and the end of the
last write that began before it another; the next step may rest on the second one only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvgateway.data_path.comparing import Comparisons
from kvgateway.data_path.writes import Writer
from kvgateway.registry.namespace_book import NamespaceBook
from tandem.core.registration import MODES_MAX, SeenMode


@dataclass(slots=True)
class _Course:
    """One mode of one namespace."""

    epoch: int
    ended: Callable[[], bool]
    """Whether all writes have ended that were under way when it began."""
    since_us: int = 0


class Courses:
    """Follows the steps of all namespaces."""

    def __init__(self, book: NamespaceBook, writer: Writer, comparisons: Comparisons) -> None:
        self._book = book
        self._writer = writer
        self._comparisons = comparisons
        self._courses: dict[str, _Course] = {}

    def seen(self, now_us: int) -> Mapping[str, SeenMode]:
        """How this process goes by the modes that are not, or were not always, the usual one: at
        most MODES_MAX, those of the latest steps first."""
        stepped = self._book.stepped
        for gone in self._courses.keys() - stepped.keys():
            del self._courses[gone]
        newest = sorted(stepped, key=lambda n: (-stepped[n].stepped_at_s, n))[:MODES_MAX]
        return {name: self._seen(name, stepped[name].mode_epoch, now_us) for name in newest}

    def _seen(self, namespace: str, epoch: int, now_us: int) -> SeenMode:
        course = self._courses.get(namespace)
        if course is None or course.epoch != epoch:
            course = self._courses[namespace] = _Course(epoch, self._writer.begun(namespace))
            self._comparisons.begin(namespace)
        if not course.since_us and course.ended():
            course.since_us = now_us
        tally = self._comparisons.tally_of(namespace)
        return SeenMode(epoch, course.since_us, tally.compared, tally.different)
