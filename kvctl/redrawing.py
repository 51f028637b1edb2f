"""A page on a terminal that is drawn anew in its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def redrawn() -> Iterator[Callable[[str], None]]:
    """What it gives draws the page; the last one stays."""
    from rich.console import Console  # loaded by who draws, and not by each command
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda page: live.update(Text(page), refresh=True)
