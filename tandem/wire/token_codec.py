"""Messages of the Tokens service <-> the domain's tokens."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

from tandem.core.access import Permission, check_account
from tandem.core.quota import QUOTA_FIELDS, Quota, check_quota
from tandem.core.token import (
    Token,
    TokenWish,
    check_reach,
    check_token_name,
    check_ttl_s,
    is_token_id,
)
from tandem.errors import InvalidArgument
from tandem.wire.v1 import tokens_pb2

_PERMISSIONS: Final = {
    Permission.READ: tokens_pb2.PERMISSION_READ,
    Permission.WRITE: tokens_pb2.PERMISSION_WRITE,
    Permission.ADMIN: tokens_pb2.PERMISSION_ADMIN,
}
_SHOWN_CHARS: Final = 32
"""A whole token given by mistake must not be shown."""

_PERMISSION_BY_NUMBER: Final = {number: permission for permission, number in _PERMISSIONS.items()}


def token_message(token: Token) -> tokens_pb2.Token:
    """The message that shows a token, without its hash."""
    return tokens_pb2.Token(
        id=token.id,
        name=token.name,
        account=token.account or "",
        namespaces=sorted(token.namespaces or ()),
        permission=_PERMISSIONS[token.permission],
        created_at_s=token.created_at_s,
        expires_at_s=token.expires_at_s,
        quota=_quota_message(token.quota),
    )


def token_of(message: tokens_pb2.Token) -> Token:
    """The token that a message shows, without its hash; a permission that is not known here reads
    as the least."""
    return Token(
        id=message.id,
        name=message.name,
        permission=_PERMISSION_BY_NUMBER.get(message.permission, Permission.READ),
        secret_hash=b"",
        account=message.account or None,
        namespaces=frozenset(message.namespaces) or None,
        created_at_s=message.created_at_s,
        expires_at_s=message.expires_at_s,
        quota=_quota_of(message.quota),
    )


def wish_message(
    name: str,
    permission: Permission,
    account: str | None,
    namespaces: Iterable[str],
    ttl_s: int,
    quota: Quota,
) -> tokens_pb2.CreateTokenRequest:
    """The request for a token; no `account` is all of them, an empty one the caller's."""
    return tokens_pb2.CreateTokenRequest(
        name=name,
        account=account or "",
        all_accounts=account is None,
        namespaces=sorted(namespaces),
        permission=_PERMISSIONS[permission],
        ttl_s=ttl_s,
        quota=_quota_message(quota),
    )


def wish_of(message: tokens_pb2.CreateTokenRequest, own_account: str) -> TokenWish:
    """What a request wants; InvalidArgument for what cannot be."""
    permission = _PERMISSION_BY_NUMBER.get(message.permission)
    if permission is None:
        raise InvalidArgument("permission", f"{int(message.permission)} is not a permission")
    if message.all_accounts and message.account:
        raise InvalidArgument("account", "must be empty when all accounts are meant")
    account = check_account(message.account) if message.account else own_account
    return TokenWish(
        name=check_token_name(message.name),
        permission=permission,
        account=None if message.all_accounts else account,
        namespaces=check_reach(frozenset(message.namespaces) or None),
        ttl_s=check_ttl_s(message.ttl_s),
        quota=_quota_of(message.quota),
    )


def token_id_of(text: str) -> str:
    """`text`; InvalidArgument unless it has the form of a token's id."""
    if not is_token_id(text):
        shown = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
        raise InvalidArgument("id", f"{shown!r} is not a token's id, which has 16 hex digits")
    return text


def _quota_message(quota: Quota) -> tokens_pb2.Quota:
    """InvalidArgument for a quota that cannot be."""
    limits = asdict(quota)
    return tokens_pb2.Quota(**{name: check_quota(limits[name], name) for name in limits})


def _quota_of(message: tokens_pb2.Quota) -> Quota:
    return Quota(*(check_quota(getattr(message, name), name) for name in QUOTA_FIELDS))
