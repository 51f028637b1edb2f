"""Who may do what: accounts, permissions, and the grant that valid credentials stand for.

A permission includes the ones below it: whoever may write may read, an admin may do both. A grant
reaches one account or all of them, and within it some namespaces or all.
"""

import enum
from dataclasses import dataclass
from typing import Final

from tandem.core.quota import NO_QUOTA, Quota
from tandem.errors import InvalidArgument, PermissionDenied

ACCOUNT_CHARS_MAX: Final = 64
DEFAULT_ACCOUNT: Final = "default"
"""Whose namespaces are when nobody says so."""

_ACCOUNT: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class Permission(enum.IntEnum):
    """What may be done; each includes those before it."""

    READ = 1
    """Read values and list names; see which namespaces there are."""
    WRITE = 2
    """Write and delete values."""
    ADMIN = 3
    """Create, change and delete namespaces and tokens."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one caller may do."""

    holder: str
    """For logs and answers: the token's id, or what else let the caller in."""
    permission: Permission
    account: str | None = None
    """The only account that it reaches; None for all, and with them the deployment itself."""
    namespaces: frozenset[str] | None = None
    """The ids of the only namespaces that it reaches; None for all of the account."""
    quota: Quota = NO_QUOTA
    """What its holder may use, on each gateway machine."""

    def demand(self, permission: Permission, account: str, namespace: str) -> None:
        """Raises PermissionDenied unless this may be done to a namespace, which is `account`'s."""
        self._demand(permission)
        self._demand_account(account)
        if self.namespaces is not None and namespace not in self.namespaces:
            raise PermissionDenied(f"{self.holder} does not reach namespace {namespace}")

    def demand_account(self, permission: Permission, account: str) -> None:
        """Raises PermissionDenied unless this may be done to an account as a whole."""
        self._demand(permission)
        self._demand_account(account)
        if self.namespaces is not None:
            raise PermissionDenied(f"{self.holder} reaches some namespaces of the account only")

    def demand_deployment(self, permission: Permission) -> None:
        """Raises PermissionDenied unless this may be done to the whole deployment."""
        self._demand(permission)
        if self.account is not None or self.namespaces is not None:
            raise PermissionDenied(f"{self.holder} does not reach the deployment as a whole")

    def lacks(self, permission: Permission) -> PermissionDenied | None:
        """Why this cannot be done anywhere; None when it can be somewhere."""
        if self.permission >= permission:
            return None
        return PermissionDenied(
            f"{self.holder} may {self.permission.name.lower()},"
            f" and this needs {permission.name.lower()}"
        )

    def _demand(self, permission: Permission) -> None:
        if (error := self.lacks(permission)) is not None:
            raise error

    def _demand_account(self, account: str) -> None:
        if self.account not in (None, account):
            raise PermissionDenied(f"{self.holder} does not reach account {account}")


def check_account(text: str) -> str:
    """`text`; InvalidArgument unless it has 1 to 64 of the characters a-z, 0-9, "-" and "_"."""
    if not 1 <= len(text) <= ACCOUNT_CHARS_MAX or not _ACCOUNT.issuperset(text):
        raise InvalidArgument(
            "account", f'must have 1 to {ACCOUNT_CHARS_MAX} of the characters a-z, 0-9, "-" and "_"'
        )
    return text
