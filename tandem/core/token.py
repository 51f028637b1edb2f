"""What a token is: the text that a client sends, and the JSON record that both homes keep.

The text is `tdm_ID_SECRET`. The record holds SHA-256 of the secret, and that is enough: the secret
is 256 random bits, so there is nothing to guess or to look up in a table, which is what slow hashes
of passwords are for, and each request may be checked for the price of one hash.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

from tandem.core.access import Grant, Permission, check_account
from tandem.core.namespace import check_namespace_id
from tandem.core.quota import NO_QUOTA, QUOTA_FIELDS, Quota, check_quota
from tandem.errors import InvalidArgument, NamespaceNotFound

FORMAT: Final = 1
PREFIX: Final = "tdm"
ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
NAME_CHARS_MAX: Final = 100
NAMESPACES_MAX: Final = 100
"""That one token names."""
TTL_S_MAX: Final = 100 * 365 * 86_400

_HEX: Final = frozenset("0123456789abcdef")


class Credential(NamedTuple):
    """The two parts of a token's text."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is kept; what it opens is for whoever knows the secret."""

    id: str
    name: str
    permission: Permission
    secret_hash: bytes
    account: str | None = None
    """The only account that it reaches; None for all."""
    namespaces: frozenset[str] | None = None
    """The only namespaces that it reaches; None for all of the account."""
    created_at_s: int = 0
    expires_at_s: int = 0
    """0 for never."""
    quota: Quota = NO_QUOTA

    def grant(self) -> Grant:
        """What its holder may do."""
        return Grant(f"token {self.id}", self.permission, self.account, self.namespaces, self.quota)

    def expired(self, now_us: int) -> bool:
        """Whether its time is over."""
        return bool(self.expires_at_s) and now_us >= self.expires_at_s * 1_000_000

    def opened_by(self, secret: str) -> bool:
        """Whether this is the secret, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(hash_of(secret), self.secret_hash)


@dataclass(frozen=True, slots=True)
class TokenWish:
    """What somebody wants a new token to be."""

    name: str
    permission: Permission
    account: str | None
    """None for all."""
    namespaces: frozenset[str] | None = None
    """None for all of the account."""
    ttl_s: int = 0
    """0 for never ending."""
    quota: Quota = NO_QUOTA


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new token, and the only showing of what a client sends."""

    token: Token
    text: str


class BadTokenRecord(ValueError):
    """Bytes that are not a token in a format that this program knows."""


_NO_TOKEN: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,  # an infinite number of seconds
    RecursionError,  # too deep for JSON
    InvalidArgument,
    NamespaceNotFound,
)


def hash_of(secret: str) -> bytes:
    """What a record keeps of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def is_token_id(text: str) -> bool:
    """Whether `text` has the form of a token's id: 16 lower-case hex digits."""
    return len(text) == 2 * ID_BYTES and _HEX.issuperset(text)


def token_text(token_id: str, secret: str) -> str:
    """What a client sends."""
    return f"{PREFIX}_{token_id}_{secret}"


def parse_credential(text: str) -> Credential | None:
    """The parts of a token's text; None for any other text."""
    if len(text) != len(PREFIX) + 2 * (ID_BYTES + SECRET_BYTES) + 2:
        return None
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not is_token_id(token_id) or not _HEX.issuperset(secret):
        return None
    return Credential(token_id, secret)


def check_token_name(name: str) -> str:
    """`name`; InvalidArgument unless it has 1 to 100 characters that can be printed."""
    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise InvalidArgument("name", f"must have 1 to {NAME_CHARS_MAX} printable characters")
    return name


def check_reach(namespaces: frozenset[str] | None) -> frozenset[str] | None:
    """`namespaces`; InvalidArgument when they are too many or one is no namespace's id."""
    if namespaces is None:
        return None
    if not 1 <= len(namespaces) <= NAMESPACES_MAX:
        raise InvalidArgument("namespaces", f"must be 1 to {NAMESPACES_MAX}, or none for all")
    for namespace in namespaces:
        check_namespace_id(namespace)
    return namespaces


def check_ttl_s(ttl_s: int) -> int:
    """`ttl_s`; InvalidArgument unless it is 0, or up to a hundred years."""
    if not 0 <= ttl_s <= TTL_S_MAX:
        raise InvalidArgument("ttl_s", f"must be 1 to {TTL_S_MAX} seconds, or 0 for never")
    return ttl_s


def encode_token(token: Token) -> bytes:
    """The value of the token's record."""
    return json.dumps(
        {
            "format": FORMAT,
            "id": token.id,
            "name": token.name,
            "permission": token.permission.name.lower(),
            "secret_sha256": token.secret_hash.hex(),
            "account": token.account,
            "namespaces": None if token.namespaces is None else sorted(token.namespaces),
            "created_at_s": token.created_at_s,
            "expires_at_s": token.expires_at_s,
            **{name: limit for name, limit in asdict(token.quota).items() if limit},
        },
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    ).encode()


def decode_token(raw: bytes) -> Token:
    """The token in a record's value; BadTokenRecord when it is none.

    Everything that limits its reach must be there: what a newer program calls otherwise opens
    nothing. A quota that is not there is none.
    """
    try:
        fields = json.loads(raw)
        if fields["format"] != FORMAT:
            raise BadTokenRecord(f"token format {fields['format']!r} is not known here")
        account, namespaces = fields["account"], fields["namespaces"]
        token = Token(
            id=str(fields["id"]),
            name=check_token_name(fields["name"]),
            permission=Permission[fields["permission"].upper()],
            secret_hash=bytes.fromhex(fields["secret_sha256"]),
            account=None if account is None else check_account(account),
            namespaces=None if namespaces is None else check_reach(frozenset(namespaces)),
            created_at_s=int(fields["created_at_s"]),
            expires_at_s=int(fields["expires_at_s"]),
            quota=Quota(*(check_quota(int(fields.get(name, 0)), name) for name in QUOTA_FIELDS)),
        )
        if not is_token_id(token.id) or len(token.secret_hash) != hashlib.sha256().digest_size:
            raise BadTokenRecord("the id or the hash has the wrong length")
    except _NO_TOKEN as error:
        raise BadTokenRecord(f"not a token: {error!r}") from error
    return token
