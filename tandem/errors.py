"""The exceptions of Tandem, each defined once.

TandemError
├── InvalidArgument      the caller's fault: names the field and the limit
├── NamespaceNotFound    no namespace with this id or title
├── NamespaceExists      another namespace has this title
├── Unauthenticated      no credentials, or none that are valid
├── PermissionDenied     valid credentials that do not allow this
├── QuotaExceeded        a quota of the namespace or the token is used up; says when to try again
├── Unavailable          no home could answer; a write's outcome is unknown
│   └── NamespaceUnconfirmed   a home that may know the namespace does not answer
├── Overloaded           a bound was reached; try again later
└── ConfigurationError   every mistake of a configuration, at once

A home that does not answer is not an exception but a reply (`tandem.core.reply.Failed`).
"""

from collections.abc import Sequence


class TandemError(Exception):
    """Anything that Tandem itself reports."""


class InvalidArgument(TandemError):
    """A request that can never succeed; `field` names what is wrong with it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


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


class NamespaceUnconfirmed(Unavailable):
    """Whoever answers does not know the namespace, and a home that may know it does not answer:
    mostly an id that was misspelled. Nothing was done, and another try will say the same until that
    home is back."""


class Overloaded(TandemError):
    """A bound of this process was reached; nothing was started."""


class ConfigurationError(TandemError):
    """All mistakes of one configuration; nothing was started with it."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)
