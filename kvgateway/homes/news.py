"""What the log says of the homes as this worker uses them: given up, in use again, switched."""

from collections.abc import Mapping

from kvgateway.homes.guard import GuardedHome
from kvgateway.state.switches import Switches
from tandem.core.backoff import BreakerState
from tandem.core.reply import Side
from tandem.runtime import logs

_LOG = logs.get("homes")


class HomeNews:
    """Remembers what it has told of each home."""

    def __init__(self, guards: Mapping[Side, GuardedHome]) -> None:
        self._guards = guards
        self._openings = dict.fromkeys(guards, 0)
        self._given_up: set[Side] = set()

    def of_breakers(self) -> set[Side]:
        """Tells what has become of the breakers; those that have opened since, even if they have
        closed again."""
        openings = {side: guard.breaker.openings for side, guard in self._guards.items()}
        opened = {side for side, count in openings.items() if count != self._openings[side]}
        self._openings = openings
        for side, guard in self._guards.items():
            if side in opened and side not in self._given_up:
                _LOG.warning("home_given_up", home=side.value, why=guard.last_failure)
                self._given_up.add(side)
            if side in self._given_up and guard.breaker.state is BreakerState.CLOSED:
                _LOG.info("home_in_use_again", home=side.value)
                self._given_up.remove(side)
        return opened

    def of_switches(self, coming: Switches) -> None:
        """Tells which kill switches are about to be put into force."""
        for side, guard in self._guards.items():
            switch = coming.of(side)
            if switch == guard.switch:
                continue
            if switch.reads and switch.writes:
                _LOG.info("home_switched_on", home=side.value, epoch=coming.epoch)
            else:
                reads, writes = ("on" if on else "off" for on in (switch.reads, switch.writes))
                _LOG.warning(
                    "home_switched_off",
                    home=side.value, reads=reads, writes=writes, epoch=coming.epoch,
                )  # fmt: skip
