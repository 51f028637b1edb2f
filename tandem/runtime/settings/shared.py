"""The settings that several programs read: each declared once, above the tables of the file."""

from collections.abc import Sequence
from pathlib import Path

from tandem.core.key import OBJECT_PREFIX_BYTES_MAX, is_object_prefix
from tandem.runtime.logs import LogFormat, LogLevel
from tandem.runtime.settings.fields import Relation, setting
from tandem.runtime.settings.kinds import (
    ADDRESS,
    BOOLEAN,
    OPTIONAL_TEXT,
    PATH,
    Address,
    Kind,
    choice,
)


def data() -> Path:
    return setting(
        PATH, Path("data"), "directory for everything that must survive a restart", shared=True
    )


def grpc_address() -> Address:
    return setting(
        ADDRESS, Address("127.0.0.1", 8781), "where clients reach the gRPC services",
        env="TANDEM_GRPC", flag="--grpc", shared=True,
    )  # fmt: skip


def http_address() -> Address:
    return setting(
        ADDRESS, Address("127.0.0.1", 8780), "where health, metrics and the HTTP API are served",
        env="TANDEM_HTTP", flag="--http", shared=True,
    )  # fmt: skip


def kvsp_address() -> Address:
    return setting(
        ADDRESS, Address("127.0.0.1", 8782), "where KVSP, the proxy of the SQL clusters, listens",
        env="TANDEM_KVSP", flag="--kvsp", shared=True,
    )  # fmt: skip


def crawler_address() -> Address:
    return setting(
        ADDRESS, Address("127.0.0.1", 8783), "where the crawler is asked and told",
        env="TANDEM_CRAWLER", flag="--crawler", shared=True,
    )  # fmt: skip


def s3_bucket() -> str:
    return setting(
        OPTIONAL_TEXT, "", "bucket of the object store; none: the embedded file home", shared=True
    )


def s3_endpoint() -> str:
    return setting(
        OPTIONAL_TEXT, "", "URL of an S3-compatible store; none: as boto3 finds it", shared=True
    )


def bucket_relations(endpoint: str, bucket: str) -> Sequence[Relation]:
    """What must hold between the two settings above."""
    if endpoint and not bucket:
        return [Relation(("s3_endpoint", "s3_bucket"), "a bucket must be given with an endpoint")]
    return []


def address_relations(**addresses: Address) -> Sequence[Relation]:
    """What must hold between doors: the system lets two of one address share what comes to it."""
    taken: dict[Address, str] = {}
    pairs = [(taken.setdefault(at, name), name) for name, at in addresses.items() if at.port]
    must = "each must have an address of its own"
    return [Relation(pair, must) for pair in pairs if pair[0] != pair[1]]


def s3_region() -> str:
    return setting(OPTIONAL_TEXT, "", "region of the bucket; none: as boto3 finds it", shared=True)


def _prefix(text: str) -> str:
    if not is_object_prefix(text):
        raise ValueError(text)
    return text


OBJECT_PREFIX: Kind[str] = Kind(
    f'a path of at most {OBJECT_PREFIX_BYTES_MAX} bytes with "/" at its end alone, or nothing',
    _prefix,
    metavar="PATH/",
)


def s3_prefix() -> str:
    return setting(
        OBJECT_PREFIX, "tandem/", "what the names of all objects begin with", shared=True
    )


def s3_create_bucket() -> bool:
    return setting(BOOLEAN, False, "whether a bucket that does not exist is created", shared=True)


def admin_token() -> str:
    return setting(
        OPTIONAL_TEXT, "", "a token that always opens every door of this machine",
        shared=True, secret=True, reload=True,
    )  # fmt: skip


def admin_token_file() -> str:
    return setting(
        OPTIONAL_TEXT, "", "a file with the admin token, instead of the token itself",
        shared=True, reload=True,
    )  # fmt: skip


def log_level() -> LogLevel:
    return setting(
        choice(LogLevel), LogLevel.INFO, "least level that is logged", shared=True, reload=True
    )


def log_format() -> LogFormat:
    return setting(
        choice(LogFormat), LogFormat.AUTO, "auto: JSON unless on a terminal",
        shared=True, reload=True,
    )  # fmt: skip


def tls_certificate() -> str:
    return setting(
        OPTIONAL_TEXT, "", "PEM file with the certificate, and what leads from it to its"
        " authority, that servers and clients are shown; none: the ports speak plain text",
        shared=True,
    )  # fmt: skip


def tls_key() -> str:
    return setting(OPTIONAL_TEXT, "", "PEM file with the key of the certificate", shared=True)


def tls_ca() -> str:
    return setting(
        OPTIONAL_TEXT, "", "PEM file with the authorities of the servers that are connected to, or"
        " system: those that this machine trusts; none: these servers speak plain text",
        shared=True,
    )  # fmt: skip


def tls_client_ca() -> str:
    return setting(
        OPTIONAL_TEXT, "", "PEM file with the authorities of clients, which must show a certificate"
        " then; none: they need not", shared=True,
    )  # fmt: skip
