"""Opens S3 homes over test servers, with the credentials that the environment gives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest

from tandem.backends.s3.address import Address, Location, resolve
from tandem.backends.s3.opening import S3Options, open_bucket, open_s3_home
from tandem.backends.s3.store import S3Home
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tandem.runtime.clock import Clock, SystemClock
from tandem.runtime.randomness import SystemEntropy
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

REGION = "us-east-1"
BUCKET = "store"
_ENTROPY = SystemEntropy()


@dataclass
class ShiftedClock:
    """The machine's clocks, the wall clock set wrong by `wrong_us`."""

    wrong_us: int = 0

    def now_us(self) -> int:
        return SystemClock().now_us() + self.wrong_us

    def monotonic_us(self) -> int:
        return SystemClock().monotonic_us()


def use_keys_of(server: Rgw | Ministack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def options(endpoint: str, directory: Path, bucket: str = BUCKET) -> S3Options:
    """Options with a prefix of their own, so that each test has an empty home."""
    return S3Options(
        Location(bucket, endpoint, REGION),
        prefix=f"{_ENTROPY.token(8).hex()}/",
        verdict_file=directory / "verdicts.json",
        create_bucket=True,
    )


_of = cache(resolve)


def resolved(location: Location) -> Address:
    """As boto3 resolves it, which takes it 80 ms: on this machine only the port is another."""
    parts = urlsplit(location.endpoint or "")
    if parts.hostname != "127.0.0.1":
        return resolve(location)
    found = _of(replace(location, endpoint="http://127.0.0.1:1"))
    return replace(found, port=parts.port or found.port, authority=parts.netloc)


async def open_home(chosen: S3Options, clock: Clock | None = None) -> S3Home:
    with patch("tandem.backends.s3.opening.resolve", resolved):
        return await open_s3_home(chosen, clock or SystemClock(), _ENTROPY)


@asynccontextmanager
async def opened(chosen: S3Options, clock: Clock | None = None) -> AsyncIterator[S3Home]:
    home = await open_home(chosen, clock)
    try:
        yield home
    finally:
        await home.aclose()


@asynccontextmanager
async def through(home: S3Home, chosen: S3Options, endpoint: str) -> AsyncIterator[S3Home]:
    """The same home by another way: not probed again, but the store's time is known."""
    detour = replace(chosen, location=replace(chosen.location, endpoint=endpoint))
    with patch("tandem.backends.s3.opening.resolve", resolved):
        bucket = await open_bucket(detour, SystemClock())
    again = S3Home(bucket, chosen.prefix, home.verdict)
    try:
        await again.get(Key("ab" * 16, "never written"), 20.0)
        yield again
    finally:
        await again.aclose()


def values(*texts: bytes) -> list[Record]:
    """Records with ascending versions, minted five seconds ago."""
    minted_us = SystemClock().now_us() - 5_000_000
    return [seal(Version.at(minted_us + n), text) for n, text in enumerate(texts)]


def value(text: bytes = b"value") -> Record:
    return values(text)[0]


async def refusal_of(chosen: S3Options) -> str:
    """Why the home does not open, as a person is told."""
    with pytest.raises(ConfigurationError) as refusal:
        async with opened(chosen):
            pass
    return str(refusal.value)
