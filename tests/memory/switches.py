"""The switches of a gateway without a disk."""

from kvgateway.state.switches import Switches


class MemorySwitches:
    """See `SwitchFile`."""

    def __init__(self) -> None:
        self._switches = Switches()

    def load(self) -> Switches:
        """See `SwitchFile`."""
        return self._switches

    def store(self, switches: Switches) -> Switches:
        """See `SwitchFile`."""
        if switches.epoch > self._switches.epoch:
            self._switches = switches
        return self._switches

    def adopt(self, switches: Switches) -> None:
        """See `SwitchFile`."""
        self._switches = max(self._switches, switches, key=lambda one: one.rank)
