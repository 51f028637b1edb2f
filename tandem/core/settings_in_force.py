"""Which settings a running program goes by: when they were read, and what it did not take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettingsInForce:
    """As an operator sees it."""

    read_us: int = 0
    """When they were read, by the machine's clock."""
    mistakes: tuple[str, ...] = ()
    """Why what was read last is not in force; empty when it is."""
    waiting: tuple[str, ...] = ()
    """The names of the settings that were read with other values, which a restart brings."""


NOT_TOLD = SettingsInForce()
"""Of a program that does not say, or has not yet."""
