"""The real program: killed under load, stopped, started again, refused."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc.aio
import pytest

from tandem.backends.kvsp import KvspBackend
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import MIB, PIECE_BYTES
from tandem.core.record import Record
from tandem.core.reply import Found, Missing, Stored
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.wire.large_codec import large_head
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1.storage_pb2_grpc import StorageStub
from tests.kvsp.records import NAMESPACE


class Program:
    """One run of `kvsp` on a data directory and a free port."""

    def __init__(self, data: Path, *arguments: str, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kvsp.main", "--data", str(data),
             "--kvsp", f"127.0.0.1:{port}", "--log-format", "json", *arguments],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def log_until(self, event: str) -> dict[str, object]:
        """The next line with this event; the last line where the program ended before it."""
        assert self.process.stderr is not None
        line: dict[str, object] = {}
        for text in self.process.stderr:
            if not text.startswith("{"):
                continue  # gRPC's own
            line = json.loads(text)
            if line["event"] == event:
                break
        return line

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def running(data: Path, *arguments: str) -> Iterator[tuple[Program, str]]:
    program = Program(data, *arguments)
    try:
        ready = program.log_until("ready")
        assert ready["event"] == "ready", ready
        yield program, str(ready["address"])
    finally:
        program.end()


@asynccontextmanager
async def client(address: str) -> AsyncIterator[KvspBackend]:
    backend = KvspBackend(address, SystemEntropy())
    backend.start()
    try:
        yield backend
    finally:
        await backend.aclose()


async def write_on(backend: KvspBackend, writer: int, stored: dict[str, Record]) -> None:
    """Writes one key after the other until one fails; notes what was acknowledged."""
    clock, entropy, number = SystemClock(), SystemEntropy(), 0
    while True:
        name = f"{writer}-{number % 50}"
        text = bytes([65 + number % 26]) * (300_000 if number % 20 == 0 else 300)
        record = seal(Version.at(clock.now_us(), entropy.token(8)), text)
        if not isinstance(await backend.put_if_newer(Key(NAMESPACE, name), record, 30.0), Stored):
            return
        stored[name] = record
        number += 1


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    stored: dict[str, Record] = {}
    for _ in range(2):
        with running(tmp_path) as (program, address):
            async with client(address) as backend:
                writers = [
                    asyncio.create_task(write_on(backend, writer, stored)) for writer in range(32)
                ]
                known = len(stored)
                async with asyncio.timeout(60):
                    while len(stored) < known + 300:
                        await asyncio.sleep(0.01)
                    program.process.kill()
                    await asyncio.gather(*writers)
    with running(tmp_path) as (_, address):
        async with client(address) as backend:
            for name, record in stored.items():
                found = await backend.get(Key(NAMESPACE, name), 30.0)
                assert isinstance(found, Found)
                assert found.record.version >= record.version


async def test_a_stop_answers_what_has_come(tmp_path: Path) -> None:
    with running(tmp_path) as (program, address):
        async with client(address) as backend:
            clock = SystemClock()
            first = await backend.put_if_newer(
                Key(NAMESPACE, "first"), seal(Version.at(clock.now_us()), b""), 30.0
            )
            assert isinstance(first, Stored)
            program.process.send_signal(signal.SIGTERM)
            assert program.process.wait(60) == 0
            assert program.log_until("stopped")["event"] == "stopped"


def test_a_second_program_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with running(tmp_path):
        second = Program(tmp_path)
        try:
            line = second.log_until("cannot_start")
            assert "is in use by process" in str(line["mistakes"])
            assert second.process.wait(60) == 2
        finally:
            second.end()


def test_another_ring_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "--clusters", "2"):
        pass
    other = Program(tmp_path, "--clusters", "3")
    try:
        assert "ring of 2 clusters" in str(other.log_until("cannot_start")["mistakes"])
        assert other.process.wait(60) == 2
    finally:
        other.end()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "a") as (_, address):
        port = int(address.rpartition(":")[2])
        other = Program(tmp_path / "b", port=port)
        try:
            line = other.log_until("cannot_start")
            assert f"cannot listen on 127.0.0.1:{port}" in str(line["mistakes"])
            assert other.process.wait(60) == 2
        finally:
            other.end()


async def test_killed_with_a_large_value_half_way_it_holds_nothing_of_it(tmp_path: Path) -> None:
    """What is left of the value is a file that no row names, which its collector takes."""
    key, record = Key(NAMESPACE, "large"), sealed(b"x" * 4 * MIB)
    with running(tmp_path) as (program, address):
        async with grpc.aio.insecure_channel(address) as channel:
            call = StorageStub(channel).PutLarge()
            await call.write(large_head(key, record, 0, over_corrupt=False))
            await call.write(pb.LargePut(piece=record.value[:PIECE_BYTES]))
            async with asyncio.timeout(60):
                while not half_written(tmp_path):
                    await asyncio.sleep(0.01)
            program.process.kill()
            with pytest.raises(grpc.aio.AioRpcError):
                await call
    with running(tmp_path) as (_, address):
        async with client(address) as backend:
            assert isinstance(await backend.get(key, 30), Missing)
            again = sealed(b"y" * 4 * MIB)
            assert isinstance(await backend.put_if_newer(key, again, 30), Stored)
            found = await backend.get(key, 30)
            assert isinstance(found, Found)
            assert found.record == again


def half_written(data: Path) -> list[Path]:
    return [file for file in (data / "kvsp" / "blobs").rglob("*") if file.is_file()]


def sealed(value: bytes) -> Record:
    return seal(Version.at(SystemClock().now_us()), value)
