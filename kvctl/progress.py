"""How far a long command is: lines on standard error, below them a bar when it is a terminal."""

from typing import Self

from kvctl.output import print_line, size


class Display:
    """A bar while `shown`; lines in any case."""

    def __init__(self, doing: str, *, shown: bool) -> None:
        # Loaded by who has a bar, and not by each command.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.shown = shown
        self._progress = Progress(
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[bytes]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._task = self._progress.add_task("", total=None, bytes="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the bar as it is, so that other lines can follow."""
        self._progress.stop()

    def expect(self, count: int) -> None:
        """Says how many there will be."""
        self._progress.update(self._task, total=count)

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        if self.shown:
            from rich.text import Text

            self._progress.console.print(Text(line), soft_wrap=True)
        else:
            print_line(line, error=True)

    def advance(self, count: int, bytes_done: int) -> None:
        """Moves the bar."""
        if self.shown:
            self._progress.update(self._task, completed=count, bytes=size(bytes_done))
