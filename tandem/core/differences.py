"""Whether both homes are equal as far as one gateway knows, and if not, why not."""

from collections.abc import Sequence

from tandem.core.counted import counted
from tandem.core.operations import HomeStatus, Status

_BEHIND_SHOWN_MAX = 3


def differences(status: Status) -> Sequence[str]:
    """What may make the homes differ; empty when the gateway knows of nothing."""
    queue = status.queue
    found = [
        text
        for count, text in (
            (queue.depth, f"{counted(queue.depth, 'repair')} queued"),
            (queue.dirty_ranges, f"{counted(queue.dirty_ranges, 'range')} left to the crawler"),
            (queue.needs_person, f"{counted(queue.needs_person, 'repair')} waiting for a person"),
            (
                status.journal_pending,
                f"{counted(status.journal_pending, 'write')} not confirmed by the second home yet",
            ),
        )
        if count
    ]
    for home in status.homes:
        found += _differences_of(home)
    if not status.namespaces_equal:
        found.append("the list of namespaces was not found equal in both homes")
    return found


def _differences_of(home: HomeStatus) -> Sequence[str]:
    name = home.side.value
    found = []
    if not home.writes_enabled:
        found.append(f"{name} is switched off for writes")
    if home.breaker != "closed":
        found.append(f"{name} does not answer (breaker {home.breaker})")
    if "*" in home.behind:
        found.append(f"{name} may lack writes of any namespace, until a crawl has found it equal")
    elif home.behind:
        shown = ", ".join(home.behind[:_BEHIND_SHOWN_MAX])
        more = len(home.behind) - _BEHIND_SHOWN_MAX
        rest = f" and {more} more" if more > 0 else ""
        found.append(f"{name} may lack writes of {shown}{rest}, until a crawl has found it equal")
    return found
