"""AWS Signature V4 for S3: the request target and the signed headers, byte for byte.

The target is made once, by `target()`, and that one string is both signed and sent: what S3
verifies cannot differ from what travels.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One access key as boto3's session resolved it; secrets stay out of `repr`."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _SigningTime:
    """What all signatures of one second share."""

    second: int
    amz_date: str
    day: str
    scope: str
    preamble: str


@dataclass(frozen=True, slots=True)
class _SigningKey:
    secret_key: str = field(repr=False)
    day: str
    key: bytes = field(repr=False)


def target(path: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """The request target for a raw path (`/bucket/name`) and raw query parameters.

    Parameters are percent-encoded and then sorted, so the query is canonical as it stands; one
    without a value (`versioning`) is written with an empty one, which S3 treats alike.
    """
    encoded_path = quote(path, safe="/~")
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in parameters)
    if not pairs:
        return encoded_path
    return f"{encoded_path}?" + "&".join([f"{name}={value}" for name, value in pairs])


def payload_hash(body: bytes, *, encrypted: bool) -> str:
    """What goes into `x-amz-content-sha256` for a body.

    Over plain HTTP the body is signed, so nobody on the way can exchange it. Over TLS, which
    already protects it, a signed `Content-MD5` suffices and 25 MiB are not hashed twice. This is
    the rule of AWS's own clients.
    """
    if not body:
        return EMPTY_SHA256
    return UNSIGNED_PAYLOAD if encrypted else hashlib.sha256(body).hexdigest()


class Signer:
    """Signs for one host and region; keeps the signing key of the day and the stamp of the second.

    Credentials come with each call: they may be exchanged at any time without a restart.
    """

    def __init__(self, *, host: str, region: str) -> None:
        self._host = host
        self._region = region
        self._time = self._time_of(0)
        self._signing_key = _SigningKey("", "", b"")

    def sign(
        self,
        credentials: Credentials,
        method: str,
        target: str,
        headers: Mapping[str, str],
        *,
        payload_sha256: str,
        signed_at_us: int,
    ) -> dict[str, str]:
        """All headers to send: the given ones, `host`, the `x-amz-` ones and `authorization`.

        Every given header is signed; names are in lower case. `signed_at_us` is rounded down to
        the second, so that a signature runs out early rather than late.
        """
        second = signed_at_us // 1_000_000
        if second != self._time.second:
            self._time = self._time_of(second)
        signed = {
            **headers,
            "host": self._host,
            "x-amz-content-sha256": payload_sha256,
            "x-amz-date": self._time.amz_date,
        }
        if credentials.session_token is not None:
            signed["x-amz-security-token"] = credentials.session_token
        signed["authorization"] = self._authorization(credentials, method, target, signed)
        return signed

    def _authorization(
        self, credentials: Credentials, method: str, target: str, signed: Mapping[str, str]
    ) -> str:
        path, _, query = target.partition("?")
        names = sorted(signed)
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in names])
        signed_names = ";".join(names)
        canonical = (
            f"{method}\n{path}\n{query}\n{lines}\n{signed_names}\n{signed['x-amz-content-sha256']}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(
            self._key(credentials.secret_key), f"{self._time.preamble}{digest}".encode(), "sha256"
        )
        return (
            f"{_ALGORITHM} Credential={credentials.access_key}/{self._time.scope}, "
            f"SignedHeaders={signed_names}, Signature={signature.hex()}"
        )

    def _key(self, secret_key: str) -> bytes:
        cached = self._signing_key
        if cached.day == self._time.day and cached.secret_key == secret_key:
            return cached.key
        key = f"AWS4{secret_key}".encode()
        for part in (self._time.day, self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._signing_key = _SigningKey(secret_key, self._time.day, key)
        return key

    def _time_of(self, second: int) -> _SigningTime:
        amz_date = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        day = amz_date[:8]
        scope = f"{day}/{self._region}/s3/aws4_request"
        return _SigningTime(second, amz_date, day, scope, f"{_ALGORITHM}\n{amz_date}\n{scope}\n")
