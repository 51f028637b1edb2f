"""The kill switches as one worker sees them: those of the file, or the last that could be read."""

import asyncio
from dataclasses import replace
from typing import Protocol

from kvgateway.state.switches import HomeSwitch, Switches
from tandem.core.reply import Side
from tandem.errors import ConfigurationError
from tandem.runtime import logs

_LOG = logs.get("switchboard")


class SwitchStore(Protocol):
    """Where the machine keeps its switches."""

    def load(self) -> Switches:
        """What was stored last. Raises ConfigurationError when it cannot be understood."""
        ...

    def store(self, switches: Switches) -> Switches:
        """Keeps `switches` unless there is the same epoch or a newer one; returns what is kept."""
        ...

    def adopt(self, switches: Switches) -> None:
        """Keeps `switches` if they rank above what is stored."""
        ...


class SwitchBoard:
    """Raises ConfigurationError when it is made and the switches cannot be read: a home that was
    switched off must not be used because a file is damaged."""

    def __init__(self, store: SwitchStore) -> None:
        self._store = store
        self._unsaved = False
        """Whether the disk has refused what was adopted last."""
        self.current = store.load()
        self.changed = asyncio.Event()
        """Set by a change that was made here, and cleared by who passes it on."""

    def refresh(self) -> None:
        """Takes over what another process has stored; a file that is gone, or was put back from
        an older copy, switches nothing on."""
        try:
            self._take(self._store.load())
        except ConfigurationError as error:
            _LOG.error("switches_unreadable", error=str(error), kept_epoch=self.current.epoch)

    async def change(self, side: Side, switch: HomeSwitch) -> None:
        """Puts one home's switch, durably; other workers see it with their next refresh.

        What is in force already is stored all the same: its file may have been removed. Raises
        OSError when the disk refuses, ConfigurationError while the file cannot be understood.
        """
        while True:
            wanted = replace(self.current, epoch=self.current.epoch + 1, **{side.value: switch})
            kept = await asyncio.to_thread(self._store.store, wanted)
            self._take(kept)
            if kept == wanted:
                self.changed.set()
                return

    async def adopt(self, switches: Switches) -> None:
        """Takes over what is in force elsewhere, if it ranks above what is in force here; also
        when the disk refuses it, which raises OSError, or ConfigurationError as `change` does. The
        disk is asked again with every call until it has taken it: a restart goes by the file."""
        if switches.rank > self.current.rank:
            self._take(switches)
            self._unsaved = True
        if self._unsaved:
            await asyncio.to_thread(self._store.adopt, self.current)
            self._unsaved = False

    def _take(self, switches: Switches) -> None:
        """A refresh may have seen a newer epoch while a change was being stored."""
        if switches.rank > self.current.rank:
            self.current = switches
