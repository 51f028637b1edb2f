"""Whose key signs: resolved by boto3 off the event loop, looked up again while requests go on.

Keys are looked up anew every minute, so rotation needs no restart; boto3 itself renews those that
expire a quarter of an hour ahead. A refusal by the store has them looked up at once.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import boto3
from botocore.credentials import Credentials as BotoCredentials
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from tandem.backends.s3.sigv4 import Credentials
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG = logs.get("s3")
_LOOK_EVERY_US: Final = 60_000_000
_LOOK_PAUSE_US: Final = 2_000_000
"""However often the store refuses a key, it is looked up no more often than this."""

_SOURCE_DOWN: Final = (
    BotoConnectionError, CredentialRetrievalError, HTTPClientError, MetadataRetrievalError,
    ResponseParserError,  # a proxy's answer; botocore's, but no BotoCoreError
)  # fmt: skip

NOBODY: Final = Credentials("none", "none")
"""Signs while no key can be had: the store refuses it, and the refusal has keys looked up."""


class NoCredentials(Exception):
    """No key can be had now; says why, and whether that may pass without a person."""

    def __init__(self, why: str, *, may_pass: bool = False) -> None:
        super().__init__(why)
        self.may_pass = may_pass


class SessionCredentials:
    """The key that a boto3 session finds (environment, profile, role ...). Calls block."""

    def __init__(self) -> None:
        self._renewing: BotoCredentials | None = None

    def __call__(self, afresh: bool) -> Credentials:
        """The key now; NoCredentials if there is none. `afresh` trusts nothing held so far."""
        try:
            return self._resolve(afresh)
        except (BotoCoreError, ClientError, ResponseParserError, OSError, ValueError) as error:
            raise NoCredentials(str(error), may_pass=_may_pass(error)) from error

    def _resolve(self, afresh: bool) -> Credentials:
        found = None if afresh else self._renewing
        if found is None:
            found = boto3.session.Session().get_credentials()
        if found is None:
            raise NoCredentials(
                "boto3 finds none: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
            )
        self._renewing = found if isinstance(found, RefreshableCredentials) else None
        key = found.get_frozen_credentials()
        if not key.access_key or not key.secret_key:
            raise NoCredentials("boto3 finds a key without its secret")
        return Credentials(key.access_key, key.secret_key, key.token)


def _may_pass(error: Exception) -> bool:
    """Whether who gives out keys (STS, a role's endpoint, a process) is only down; often it is so
    together with the store, whose provider is the same."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    return isinstance(error, _SOURCE_DOWN)


class CredentialKeeper:
    """The key in use. Owns at most one lookup at a time; `aclose` ends it."""

    def __init__(self, resolve: Callable[[bool], Credentials], clock: Clock) -> None:
        self._resolve = resolve
        self._clock = clock
        self._looked_at_us = 0
        self._lookup: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._looked.set()
        self._closed = False
        self._current = NOBODY
        self.problem = ""
        """Why the last lookup found nothing; empty if it did."""
        self.problem_may_pass = False

    async def open(self) -> None:
        """Looks the key up for the first time."""
        await self._look(afresh=True)

    def current(self) -> Credentials:
        """The key to sign with; never waits. Starts a lookup when the last one is long ago."""
        if self._clock.monotonic_us() - self._looked_at_us >= _LOOK_EVERY_US:
            self._start(afresh=False)
        return self._current

    async def renew(self, refused: Credentials) -> bool:
        """After the store has refused a key: whether there is another one now."""
        if self._current != refused:
            return True
        if self._clock.monotonic_us() - self._looked_at_us >= _LOOK_PAUSE_US:
            self._start(afresh=True)
        await self._looked.wait()
        return self._current != refused

    def describe(self) -> str:
        """The last four characters of the access key, or why there is none."""
        if self._current is NOBODY:
            return f"no access key ({self.problem})"
        return f"access key ...{self._current.access_key[-4:]}"

    async def aclose(self) -> None:
        """Ends a lookup under way, and starts no more."""
        self._closed = True
        if self._lookup is not None:
            self._lookup.cancel()
            await asyncio.gather(self._lookup, return_exceptions=True)

    def _start(self, afresh: bool) -> None:
        if self._looked.is_set() and not self._closed:
            self._looked.clear()
            self._lookup = asyncio.get_running_loop().create_task(self._look(afresh))

    async def _look(self, afresh: bool) -> None:
        self._looked_at_us = self._clock.monotonic_us()
        try:
            found = await asyncio.to_thread(self._resolve, afresh)
        except NoCredentials as error:
            self.problem, self.problem_may_pass = str(error), error.may_pass
            _LOG.error("s3_credentials_not_found", home="s3", error=self.problem)
            return
        finally:
            self._looked.set()
        self.problem = ""
        if found != self._current:
            is_another, self._current = self._current is not NOBODY, found
            if is_another:
                _LOG.info("s3_credentials", key=self.describe())
