"""A write transaction on shared memory that always ends, though LMDB says that the map is full."""

import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import lmdb

from kvgateway.state.entry import just_emptied
from kvgateway.state.space import Space, Transaction
from kvgateway.state.words import Word, Words, last_minted_us
from tandem.runtime.clock import Clock

_T = TypeVar("_T")
_PAUSES_MAX: Final = 10
_PAUSE_S: Final = 0.001


class Writing:
    """Runs one process's transactions, with less and less in each while there is no room."""

    def __init__(
        self, environment: lmdb.Environment, space: Space, words: Words, clock: Clock
    ) -> None:
        self._environment = environment
        self._space = space
        self._words = words
        self._clock = clock
        self._patience = _PAUSES_MAX

    @property
    def behind(self) -> bool:
        """Whether memory has missed news: nothing in it counts until it has been emptied."""
        return self._words[Word.REFUSED] > self._words[Word.REFUSED_SETTLED]

    @property
    def misses_news(self) -> bool:
        """Whether memory may know nothing of writes that are under way."""
        if self.behind:
            return True
        emptied_at_us = self._words[Word.EMPTIED_AT_US]
        return emptied_at_us != 0 and just_emptied(emptied_at_us, self._clock.monotonic_us())

    def run(
        self, work: Callable[[Transaction, bool], _T], writes: int, size: int, now_us: int
    ) -> _T | None:
        """What `work` returns, which is told whether payloads may be kept; None when not even the
        emptied map had room, and then memory is `behind` until there is.

        Args:
            writes: how many entries it writes.
            size: of all payloads.
        """
        try:
            with self._environment.begin(self._space.entries, write=True) as txn:
                refused = self._caught_up(txn, now_us)
                self._space.end_pins(txn, writes, now_us)
                room = self._space.make_room(txn, writes, size, now_us)
                done = work(txn, room)
            self._settle(refused)
            self._patience = _PAUSES_MAX
            return done
        except lmdb.MapFullError:
            self._environment.reader_check()
        for retreat in self._retreats(now_us):
            with suppress(lmdb.MapFullError):
                with self._environment.begin(self._space.entries, write=True) as txn:
                    refused = self._caught_up(txn, now_us)
                    retreat(txn)
                    done = work(txn, False)
                self._settle(refused)
                return done
        with self._environment.begin(write=True):  # changes nothing, and so needs no room
            self._words.add(Word.SPILLS, writes)
            self._words.add(Word.REFUSED)
        return None

    def _caught_up(self, txn: Transaction, now_us: int) -> int:
        """Forgets everything where news were missed; as of how many refusals that is."""
        if self.behind:
            self._empty(now_us, txn)
        return self._words[Word.REFUSED]

    def _empty(self, now_us: int, txn: Transaction) -> None:
        self._space.wipe(txn)
        self._words[Word.EMPTIED_US] = max(now_us, last_minted_us(self._words))
        self._words[Word.EMPTIED_AT_US] = self._clock.monotonic_us()

    def _settle(self, refused: int) -> None:
        """Another process may have lowered it meanwhile, and memory is emptied once more."""
        if refused > self._words[Word.REFUSED_SETTLED]:
            self._words[Word.REFUSED_SETTLED] = refused

    def _retreats(self, now_us: int) -> Iterator[Callable[[Transaction], None]]:
        """What to do before each further try. Mostly some reader was just not running, and the
        pages that it holds are free as soon as it has; a reader that hangs is waited for once."""
        while self._patience:
            self._patience -= 1
            select.select((), (), (), _PAUSE_S)
            yield lambda _: None
        yield partial(self._space.make_much_room, now_us=now_us)
        yield partial(self._empty, now_us)
