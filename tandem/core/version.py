"""Versions: their bytes, their order, and how the next one is minted.

A version is 16 bytes whose memcmp order is its order: 8 bytes of hybrid logical clock
(microseconds << 12 | counter; Kulkarni et al., "Logical Physical Clocks", 2014) and 8 bytes of
nonce (gateway id and random), so that no two writes share one.
"""

import struct
from typing import Final, Self

VERSION_BYTES: Final = 16
_COUNTER_BITS: Final = 12
_HLC_BYTES: Final = 8
_HLC: Final = struct.Struct(">Q")


class Version(bytes):
    """16 bytes; compares, hashes and stores as bytes do."""

    __slots__ = ()

    @classmethod
    def of(cls, hlc: int, nonce: bytes) -> Self:
        """The version with this clock reading and an 8-byte nonce."""
        assert len(nonce) == VERSION_BYTES - _HLC_BYTES
        return cls(hlc.to_bytes(_HLC_BYTES, "big") + nonce)

    @classmethod
    def at(cls, time_us: int, nonce: bytes = b"\x00" * 8) -> Self:
        """The version minted at `time_us` with counter 0."""
        return cls.of(time_us << _COUNTER_BITS, nonce)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """The version in `raw`; ValueError unless it has 16 bytes."""
        if len(raw) != VERSION_BYTES:
            raise ValueError(f"a version has {VERSION_BYTES} bytes, not {len(raw)}")
        return cls(raw)

    @property
    def hlc(self) -> int:
        """The clock reading: microseconds << 12 | counter."""
        return hlc_of(self)

    @property
    def time_us(self) -> int:
        """When it was minted, in microseconds since the epoch."""
        hlc: int = _HLC.unpack_from(self)[0]
        return hlc >> _COUNTER_BITS

    def successor(self) -> Self:
        """The next version in order; nobody mints it but by chance."""
        number = int.from_bytes(self, "big") + 1
        return type(self)(number.to_bytes(VERSION_BYTES, "big"))

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"Version({self.hex()})"


def hlc_of(version: bytes) -> int:
    """The clock reading of a version as it is stored."""
    hlc: int = _HLC.unpack_from(version)[0]
    return hlc


NO_VERSION: Final = Version(bytes(VERSION_BYTES))
"""Below every version that is ever minted: nothing is wanted, no floor is set. Compare with it;
like all bytes that are not empty, it is true."""


def next_hlc(last: int, now_us: int, above: int = 0) -> int:
    """The clock reading after `last` and `above` that is not behind `now_us`.

    A counter that overflows carries into the microseconds: still unique, still ordered.
    """
    return max(now_us << _COUNTER_BITS, last + 1, above + 1)


def observable(version: Version, now_us: int, skew_max_us: int) -> bool:
    """Whether a clock may move up to `version`: not when it lies too far ahead of the homes."""
    return version.time_us <= now_us + skew_max_us
