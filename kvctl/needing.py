"""Which namespaces fail while a home is out: those that the other one cannot serve alone."""

from collections.abc import Iterable, Sequence
from typing import Final

from tandem.core.mode import Stage
from tandem.core.namespace import Namespace
from tandem.core.operations import HomeStatus
from tandem.core.write_race import AckPolicy

SHOWN_MAX: Final = 10


def told(namespaces: Iterable[Namespace], home: HomeStatus) -> str:
    """What is told of the namespaces that need this home as it is switched now; empty for none."""
    needing = [line for one in namespaces if (line := _need(one, home))]
    if not needing:
        return ""
    more = [f"and {len(needing) - SHOWN_MAX} more"] if len(needing) > SHOWN_MAX else []
    return "\n  ".join([f"Without {home.side.value} fail:", *needing[:SHOWN_MAX], *more])


def _need(namespace: Namespace, home: HomeStatus) -> str:
    mode = namespace.settings.mode
    failing: Sequence[str] = [
        use
        for use, enabled in (("reads", home.reads_enabled), ("writes", home.writes_enabled))
        if not enabled
    ]
    if not mode.whole and mode.home is home.side:
        why = f"its mode is {mode}"
    elif mode.stage is Stage.ACTIVE and namespace.settings.ack_policy is AckPolicy.BOTH:
        failing = [use for use in failing if use == "writes"]
        why = "its --ack is both: `kvctl namespace configure` changes that"
    else:
        return ""
    return f"{' and '.join(failing)} of {namespace.title!r}, as {why}" if failing else ""
