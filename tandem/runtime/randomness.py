"""The only source of random bytes and numbers; everything else is handed an `Entropy`."""

import os
import random
from typing import Protocol


class Entropy(Protocol):
    def token(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`; for jitter, not for secrets."""
        ...


class SystemEntropy:
    __slots__ = ("_jitter",)

    def __init__(self) -> None:
        self._jitter = random.Random()

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def uniform(self, low: float, high: float) -> float:
        return self._jitter.uniform(low, high)


class SeededEntropy:
    """The same bytes and numbers for the same seed; not for secrets."""

    __slots__ = ("_random",)

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
