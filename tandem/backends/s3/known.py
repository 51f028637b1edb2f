"""What this process last saw under each name: hints that save a request, never a ground to answer.

A hint may be out of date. It only chooses the condition of the next request, and the store checks
that condition.
"""

from collections import OrderedDict

from tandem.backends.s3.replies import Held


class KnownObjects:
    """The least recently used ones are forgotten above `names_max`."""

    def __init__(self, names_max: int) -> None:
        self._names_max = names_max
        self._held: OrderedDict[str, Held] = OrderedDict()

    def get(self, name: str) -> Held | None:
        """What was seen last; None when nothing is known."""
        held = self._held.get(name)
        if held is not None:
            self._held.move_to_end(name)
        return held

    def learn(self, name: str, held: Held) -> None:
        """Takes what a reply has just shown."""
        self._held[name] = held
        self._held.move_to_end(name)
        if len(self._held) > self._names_max:
            self._held.popitem(last=False)

    def forget(self, name: str) -> None:
        """Drops a hint that a reply has just contradicted."""
        self._held.pop(name, None)
