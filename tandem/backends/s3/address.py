"""Where a bucket is and how it is addressed: asked of boto3, so every setting of its own holds."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from urllib3 import HTTPResponse

from tandem.errors import ConfigurationError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_DEFAULT_REGION: Final = "us-east-1"
_ANY_KEY: Final = "k"


@dataclass(frozen=True, slots=True)
class Location:
    """What a person says of a bucket; None leaves it to boto3's own configuration."""

    bucket: str
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """What follows from it for a request."""

    bucket: str
    host: str
    port: int
    encrypted: bool
    authority: str
    """The `Host` header."""
    path: str
    """What stands before an object's name; begins and ends with a slash."""
    region: str
    ca_bundle: str | None

    @property
    def url(self) -> str:
        """The bucket's own address, to be shown."""
        return f"{'https' if self.encrypted else 'http'}://{self.authority}{self.path}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """What to verify the server with; None over plain HTTP. Reads files."""
        return ssl.create_default_context(cafile=self.ca_bundle) if self.encrypted else None


def resolve(location: Location) -> Address:
    """Asks boto3 for the address; blocks. ConfigurationError when it has none."""
    try:
        client = control_client(location, Config(signature_version=UNSIGNED))
        url = _url_of_an_object(client, location.bucket)
        session = botocore.session.Session()
        ca_bundle: str | None = session.get_config_variable("ca_bundle")
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError([f"s3: {error}"]) from error
    parts = urlsplit(url)
    encrypted = parts.scheme == "https"
    region = client.meta.region_name or _DEFAULT_REGION
    return Address(
        bucket=location.bucket,
        host=parts.hostname or "",
        port=parts.port or (443 if encrypted else 80),
        encrypted=encrypted,
        authority=parts.netloc,
        path=parts.path.removesuffix(_ANY_KEY),
        region=_DEFAULT_REGION if region == "aws-global" else region,
        ca_bundle=ca_bundle,
    )


def _url_of_an_object(client: "S3Client", bucket: str) -> str:
    """Where boto3 would send a HEAD, which is caught before it leaves.

    A presigned URL would say it more simply, but has AWS's global host name instead of a region's.
    """
    urls: list[str] = []

    def catch(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        urls.append(str(request.url))
        return AWSResponse(
            urls[-1], 200, HTTPHeaders(), HTTPResponse(BytesIO(), preload_content=False)
        )

    client.meta.events.register("before-send.s3.HeadObject", cast("Callable[..., None]", catch))
    client.head_object(Bucket=bucket, Key=_ANY_KEY)
    return urls[-1]


def control_client(location: Location, config: Config | None = None) -> "S3Client":
    """A boto3 client for rare work; its calls block."""
    session = boto3.session.Session(region_name=location.region)
    return session.client("s3", endpoint_url=location.endpoint, config=config)
