"""A large value as it arrives: what comes out is what came in, hashed, and held once."""

import asyncio
import gc
import hashlib
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.envelope import TRAILER_BYTES_MAX, open_envelope, seal, trailer_bytes
from tandem.core.limits import KIB, MIB
from tandem.core.version import Version
from tandem.runtime.intake import BEHIND_BYTES_MAX, Intake

VERSION = Version.at(1_800_000_000_000_000)
PIECE = bytes(range(256)) * KIB


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


async def taken_in(pieces: Sequence[bytes], room: int) -> Intake:
    intake = Intake(room)
    for piece in pieces:
        await intake.add(piece)
    await intake.whole()
    return intake


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(0, 3000), st.binary(max_size=40))
def test_pieces_and_trailer_are_joined_and_hashed_whatever_the_room(
    pieces: list[bytes], room: int, trailer: bytes
) -> None:
    intake = asyncio.run(taken_in(pieces, room))
    whole = b"".join(pieces)
    assert len(intake) == len(whole)
    assert intake.end(trailer) == (whole + trailer, md5(whole + trailer))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 41])
@pytest.mark.parametrize("spare", [-MIB, 0, MIB])
async def test_it_is_sealed_into_the_same_record_as_its_bytes(count: int, spare: int) -> None:
    value = PIECE * count
    intake = await taken_in([PIECE] * count, max(0, len(value) + spare))
    sealed = seal(VERSION, intake, metadata=b"{}", expires_at_s=9)
    assert sealed == seal(VERSION, value, metadata=b"{}", expires_at_s=9)
    assert open_envelope(sealed.envelope) == sealed


@pytest.mark.parametrize("landing", [[], [1], [MIB, 3 * MIB + 1], [9 * MIB, 1]])
async def test_bytes_that_land_are_sealed_like_bytes_that_are_added(landing: list[int]) -> None:
    value = PIECE * (sum(landing) // len(PIECE) + 2)
    added = value[: len(value) - sum(landing)]
    intake = Intake(len(value) + trailer_bytes(b"{}"))
    await intake.add(added)
    place = intake.place(sum(landing))
    for size in landing:
        place[:size] = value[len(intake) : len(intake) + size]
        place = place[size:]
        await intake.landed(size)
    await intake.whole()
    assert seal(VERSION, intake, metadata=b"{}") == seal(VERSION, value, metadata=b"{}")


async def test_a_place_that_another_trailer_would_not_fill_is_a_mistake() -> None:
    intake = Intake(3 + trailer_bytes(b""))
    intake.place(3)[:] = b"abc"
    await intake.landed(3)
    await intake.whole()
    with pytest.raises(AssertionError, match="room"):
        seal(VERSION, intake, metadata=b"{}")


async def test_what_is_not_whole_cannot_be_ended() -> None:
    intake = Intake(100)
    await intake.add(b"x")
    with pytest.raises(AssertionError, match="not whole"):
        intake.end(b"")
    await intake.whole()
    assert intake.end(b"") == (b"x", md5(b"x"))


@pytest.mark.parametrize("lands", [True, False])
async def test_a_value_is_held_once_from_its_first_piece_to_its_envelope(lands: bool) -> None:
    size = 16 * MIB
    gc.collect()
    tracemalloc.start()
    try:
        intake = Intake(size + (trailer_bytes(b"") if lands else TRAILER_BYTES_MAX))
        for _ in range(size // len(PIECE)):
            if lands:
                intake.place(len(PIECE))[:] = PIECE
                await intake.landed(len(PIECE))
            else:
                await intake.add(bytes(PIECE))
        await intake.whole()
        sealed = seal(VERSION, intake)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sealed.value_size == size
    assert peak < size + 4 * MIB


async def test_hashing_that_lags_holds_its_sender_back() -> None:
    intake = Intake(64 * MIB)
    most = 0
    for _ in range(256):
        await intake.add(PIECE)
        most = max(most, len(intake) - intake._hashed)
    await intake.whole()
    assert most <= BEHIND_BYTES_MAX + len(PIECE)


@dataclass
class Copied:
    """Where a value goes too."""

    pieces: list[bytes | memoryview] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    let_go_of: int | None = None

    def add(self, piece: bytes | memoryview) -> None:
        assert not self.digests, "it has ended"
        self.pieces.append(piece)

    def let_go(self) -> None:
        self.let_go_of = len(self.pieces)

    def end(self, digest: bytes) -> None:
        self.digests.append(digest)


async def test_a_copy_gets_every_piece_and_in_the_end_the_digest_of_the_envelope() -> None:
    copied = Copied()
    intake = Intake(MIB, copied)
    for piece in (b"a", b"", b"bc", PIECE):
        await intake.add(piece)
    await intake.whole()
    assert copied.let_go_of == 3
    assert not copied.digests
    sealed = seal(VERSION, intake, metadata=b"{}")
    assert copied.pieces == [b"a", b"bc", PIECE]
    assert copied.digests == [sealed.digest]


async def test_a_copy_may_hold_on_to_what_has_landed() -> None:
    copied = Copied()
    intake = Intake(2 * len(PIECE) + trailer_bytes(b""), copied)
    await intake.add(PIECE)
    intake.place(len(PIECE))[:] = PIECE
    await intake.landed(len(PIECE))
    await intake.whole()
    sealed = seal(VERSION, intake)
    assert sealed == seal(VERSION, PIECE * 2)
    assert copied.pieces == [PIECE, PIECE]


async def test_a_sender_that_gives_up_disturbs_nobody() -> None:
    async def endless() -> None:
        intake = Intake(0)
        while True:
            await intake.add(PIECE)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await endless()
    assert (await taken_in([b"next"], 0)).end(b"")[0] == b"next"


_GIVEN_UP = """
import asyncio, gc
from tandem.runtime.intake import Intake

async def main():
    intake = Intake(1000)
    await intake.add(b"some of it")
    intake.itself = intake

asyncio.run(main())
gc.collect()
"""


def test_a_value_that_is_given_up_goes_without_a_word() -> None:
    """Python 3.13 would tell each time; 3.11 does where it is asked to."""
    run = [sys.executable, "-X", "dev", "-c", _GIVEN_UP]
    assert subprocess.run(run, capture_output=True, check=True).stderr == b""
