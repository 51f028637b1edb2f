"""What all worker processes of a machine have used of quotas: LMDB in shared memory.

    buckets  name -> level, moment                      what is left of a rate
    bodies   name, worker -> count                      large bodies that a worker is receiving
    even     key -> moment                              last writes in even seconds
    odd      key -> moment                              and in odd ones: each forgets the other's

It has a map of its own: no eviction touches it, and its lock is not the clock's. When it is full
it is emptied, which grants everybody one burst.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import lmdb

from kvgateway.state.unsynced import open_reserved, reserve
from tandem.core.key import Key
from tandem.core.limits import KEY_WRITE_INTERVAL_US
from tandem.core.quota import Booked, Bucket, Drawn, Rate, booked, drawn, full, owing

_T = TypeVar("_T")
_Transaction: TypeAlias = "lmdb.Transaction[bytes]"
_Rule: TypeAlias = Callable[[Bucket, Rate, int, int], tuple[Bucket, _T]]
_BUCKET: Final = struct.Struct("=qq")
_WORKER: Final = struct.Struct(">H")
_COUNT: Final = struct.Struct("=I")
_MOMENT: Final = struct.Struct("=q")
_GENERATION: Final = b"generation"
_KEY_HASH_BYTES: Final = 16


class QuotaMemory:
    """One process's view. `now_us` is the machine's monotonic clock, which its processes share."""

    def __init__(self, directory: Path, worker: int) -> None:
        self._environment = open_reserved(directory)
        self._buckets = self._environment.open_db(b"buckets")
        self._bodies = self._environment.open_db(b"bodies")
        self._written = (self._environment.open_db(b"even"), self._environment.open_db(b"odd"))
        self._worker = _WORKER.pack(worker)
        self.emptied = 0
        self._change(self._forget_bodies)

    @staticmethod
    def create(directory: Path, map_bytes: int) -> None:
        """Makes the memory and reserves its space; OSError when there is less."""
        directory.mkdir(mode=0o700)
        reserve(directory, map_bytes)

    @classmethod
    def vacate(cls, directory: Path, worker: int) -> None:
        """What a worker received that died is not received any more; blocking."""
        cls(directory, worker).close()

    def draw(self, name: bytes, rate: Rate, most: int, now_us: int) -> Drawn:
        """Takes up to `most` units out of a bucket."""
        return self._take(drawn, name, rate, most, now_us)

    def book(self, name: bytes, rate: Rate, most: int, now_us: int) -> Booked:
        """Takes up to `most` units that are in a bucket, or soon will be."""
        return self._take(booked, name, rate, most, now_us)

    def owe(self, name: bytes, rate: Rate, amount: int, now_us: int) -> Drawn:
        """Takes `amount` units out of a bucket, there or not."""
        return self._take(owing, name, rate, amount, now_us)

    def enter(self, name: bytes, most: int) -> bool:
        """Counts one body more, unless all workers together are receiving `most`."""

        def change(txn: _Transaction) -> bool:
            under_way = 0
            with txn.cursor(db=self._bodies) as cursor:
                more = cursor.set_range(name)
                while more and cursor.key()[: -_WORKER.size] == name:
                    under_way += _COUNT.unpack(cursor.value())[0]
                    more = cursor.next()
            if under_way >= most:
                return False
            self._count_body(txn, name, 1)
            return True

        return self._change(change)

    def leave(self, name: bytes) -> None:
        """One body of this worker, counted by `enter`, is over."""
        self._change(lambda txn: self._count_body(txn, name, -1))

    def write_keys(self, keys: Sequence[Key], now_us: int) -> list[int]:
        """For each key 0 when it may be written now, and then it counts as written; else in how
        many microseconds it may. Of equal keys the first one counts."""
        names = [_hash_of(key) for key in keys]
        return self._change(lambda txn: self._write_keys(txn, names, now_us))

    def close(self) -> None:
        """Lets go of the memory."""
        self._environment.close()

    def _write_keys(self, txn: _Transaction, names: Sequence[bytes], now_us: int) -> list[int]:
        now_us, generation = self._turned(txn, now_us)
        table = self._written[generation % 2]
        waits = []
        for name in names:
            last = txn.get(name, db=table) or txn.get(name, db=self._written[1 - generation % 2])
            allowed_us = 0 if last is None else _MOMENT.unpack(last)[0] + KEY_WRITE_INTERVAL_US
            waits.append(max(allowed_us - now_us, 0))
            if allowed_us <= now_us:
                txn.put(name, _MOMENT.pack(now_us), db=table)
        return waits

    def _turned(self, txn: _Transaction, now_us: int) -> tuple[int, int]:
        """The moment and its interval, in whose table nothing of another one is left."""
        raw = txn.get(_GENERATION, db=self._buckets)
        last = 0 if raw is None else _MOMENT.unpack(raw)[0]
        now_us = max(now_us, last * KEY_WRITE_INTERVAL_US)
        generation = now_us // KEY_WRITE_INTERVAL_US
        if generation != last:
            txn.drop(self._written[generation % 2], delete=False)
            txn.put(_GENERATION, _MOMENT.pack(generation), db=self._buckets)
        return now_us, generation

    def _take(self, rule: _Rule[_T], name: bytes, rate: Rate, units: int, now_us: int) -> _T:
        def change(txn: _Transaction) -> _T:
            raw = txn.get(name, db=self._buckets)
            bucket = full(rate, now_us) if raw is None else Bucket(*_BUCKET.unpack(raw))
            left, taken = rule(bucket, rate, units, now_us)
            txn.put(name, _BUCKET.pack(*left), db=self._buckets)
            return taken

        return self._change(change)

    def _count_body(self, txn: _Transaction, name: bytes, change: int) -> None:
        where = name + self._worker
        raw = txn.get(where, db=self._bodies)
        count = (0 if raw is None else _COUNT.unpack(raw)[0]) + change
        if count > 0:
            txn.put(where, _COUNT.pack(count), db=self._bodies)
        else:
            txn.delete(where, db=self._bodies)

    def _forget_bodies(self, txn: _Transaction) -> None:
        """What a worker received that died in the same place is not received any more."""
        with txn.cursor(db=self._bodies) as cursor:
            more = cursor.first()
            while more:
                ours = cursor.key().endswith(self._worker)
                more = cursor.delete() if ours else cursor.next()

    def _change(self, work: Callable[[_Transaction], _T]) -> _T:
        try:
            with self._environment.begin(write=True) as txn:
                return work(txn)
        except lmdb.MapFullError:
            self.emptied += 1
        with self._environment.begin(write=True) as txn:
            for table in (self._buckets, *self._written):
                txn.drop(table, delete=False)
        with self._environment.begin(write=True) as txn:
            return work(txn)


def _hash_of(key: Key) -> bytes:
    return hashlib.blake2b(
        key.name.encode(), digest_size=_KEY_HASH_BYTES, key=key.namespace.encode()
    ).digest()
