"""The exceptions of Tandem, each defined once.

TandemError
├── InvalidArgument      the caller's fault: names the field and the limit
├── NamespaceNotFound    no namespace with this id or title
├── NamespaceExists      another namespace has this title
├── TokenNotFound        no token with this id
├── Unauthenticated      no credentials, or none that are valid
├── PermissionDenied     valid credentials that do not allow this
├── QuotaExceeded        a quota of the namespace or the token is used up; says when to try again
├── Unavailable          no home could answer; a write's outcome is unknown
│   ├── Unconfirmed          a home that may know the namespace, or token, does not answer
│   └── Unchanged            a change needs both homes, and one does not answer; nothing was written
├── Overloaded           a bound was reached; try again later
│   └── TooManyNamespaces    the account has as many as there can be
└── ConfigurationError   every mistake of a configuration, at once

A home that does not answer is not an exception but a reply (`tandem.core.reply.Failed`).
"""

import enum
from collections.abc import Sequence
from typing import Final

SAID_BYTES_MAX: Final = 1024
"""How long a text is at most that a caller is told: many clients take no more than 8 KiB of
metadata, and in those is each text twice, once with three bytes for one that is not ASCII."""
_LEFT_OUT: Final = b"[...]"


class Breach(enum.Enum):
    """How an argument breaks its rule; a door with words of its own finds them by this."""

    FORM = enum.auto()
    """It cannot be understood."""
    EMPTY = enum.auto()
    RESERVED = enum.auto()
    """Well-formed, and never allowed."""
    TOO_MUCH = enum.auto()
    """Longer, larger or later than its limit."""
    TOO_LITTLE = enum.auto()
    """Below its minimum."""
    PAST = enum.auto()
    """Not even in the future."""


class TandemError(Exception):
    """Anything that Tandem itself reports."""


class InvalidArgument(TandemError):
    """A request that can never succeed; `field` names what is wrong with it.

    `given` is what breaks the rule: a number, or the length of what is too long.
    """

    def __init__(
        self, field: str, message: str, breach: Breach = Breach.FORM, given: int | str = ""
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.breach = breach
        self.given = given


class NamespaceNotFound(TandemError):
    """No namespace has this id or title."""

    def __init__(self, namespace: str) -> None:
        super().__init__(f"namespace not found: {namespace}")
        self.namespace = namespace


class NamespaceExists(TandemError):
    """A namespace with this title exists already."""

    def __init__(self, title: str) -> None:
        super().__init__(f"a namespace with the title {title!r} already exists")
        self.title = title


class TokenNotFound(TandemError):
    """No token that is valid has this id."""

    def __init__(self, token: str) -> None:
        super().__init__(f"token not found: {token}")
        self.token = token


class Unauthenticated(TandemError):
    """There are no credentials, or they are unknown, expired or revoked; nothing was done."""


class PermissionDenied(TandemError):
    """The credentials are valid, and do not allow what was asked for; nothing was done."""


class QuotaExceeded(TandemError):
    """A quota is used up; nothing was done. `retry_after_s` says when there is room again."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(TandemError):
    """No home could answer. A write that ends so may still have happened."""


class Unconfirmed(Unavailable):
    """Whoever answers does not know the namespace (or token), and a home that may know it does not
    answer: mostly an id that was misspelled. Nothing was done, and another try will say the same
    until that home is back."""


class Unchanged(Unavailable):
    """A change of a namespace or a token needs both homes, and one does not answer. Nothing was
    written, and another try will say the same until that home is back or switched off."""


class Overloaded(TandemError):
    """A bound of this process was reached; nothing was started."""


class TooManyNamespaces(Overloaded):
    """An account has as many namespaces as it can have; one must be deleted first."""


class ConfigurationError(TandemError):
    """All mistakes of one configuration; nothing was started with it."""

    def __init__(self, mistakes: Sequence[str], *, passes: bool = False) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)
        self.passes = passes
        """Whether it is no mistake of anybody's, and may go by itself, as a full disk does."""


def sayable(text: str, bytes_max: int = SAID_BYTES_MAX) -> str:
    """What is told a caller, who may have given any text that it quotes: nothing that cannot be
    encoded, and no more than `bytes_max` bytes. Left out is the middle: what is wrong stands
    before or behind the quoted text."""
    if len(text) <= bytes_max and text.isascii():
        return text
    raw = text.encode(errors="backslashreplace")
    if len(raw) > bytes_max:
        half = (bytes_max - len(_LEFT_OUT)) // 2
        raw = raw[:half] + _LEFT_OUT + raw[-half:]
    return raw.decode(errors="ignore")
