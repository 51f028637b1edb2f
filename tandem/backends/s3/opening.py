"""Opening the S3 home: where it is, whose key, whether the bucket is there, what the store can do.

A store that is down keeps nobody from starting: if it was probed before, that verdict stands.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from botocore.exceptions import BotoCoreError, ClientError

from tandem.backends.s3.address import Location, control_client, resolve
from tandem.backends.s3.bucket import Bucket, Call
from tandem.backends.s3.credentials import CredentialKeeper, SessionCredentials
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.probe import probe
from tandem.backends.s3.replies import error_of
from tandem.backends.s3.store import S3Home
from tandem.backends.s3.store_clock import StoreClock
from tandem.backends.s3.transport import HttpTransport
from tandem.backends.s3.verdict import Verdict, VerdictFile
from tandem.errors import ConfigurationError, Unavailable
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy

if TYPE_CHECKING:
    from types_boto3_s3.literals import BucketLocationConstraintType

_LOG = logs.get("s3")
_CHECK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to open the home."""

    location: Location
    prefix: str
    """What all objects' names begin with: empty, or ends with a slash."""
    verdict_file: Path
    create_bucket: bool = False


async def open_s3_home(options: S3Options, clock: Clock, entropy: Entropy) -> S3Home:
    """The home, checked and probed; the caller closes it.

    Raises ConfigurationError for what only a person can change (a wrong key, no bucket, a store
    that cannot keep Tandem's promises), Unavailable when the store is down and was never probed.
    """
    bucket = await open_bucket(options, clock)
    try:
        verdict = await _verdict(bucket, options, entropy)
    except BaseException:
        await bucket.aclose()
        raise
    home = S3Home(bucket, options.prefix, verdict)
    _LOG.info("s3_open", home="s3", location=home.location, detail=home.describe())
    return home


async def open_bucket(options: S3Options, clock: Clock) -> Bucket:
    """The bucket with a key to sign; nothing is asked of the store yet."""
    address = await asyncio.to_thread(resolve, options.location)
    try:
        ssl_context = await asyncio.to_thread(address.ssl_context)
    except OSError as error:
        where = address.ca_bundle or "this machine"
        raise ConfigurationError(
            [f"s3: the certificates of {where} cannot be used: {error}"]
        ) from error
    transport = HttpTransport(address.host, address.port, ssl_context=ssl_context)
    credentials = CredentialKeeper(SessionCredentials(), clock)
    await credentials.open()
    return Bucket(address, transport, credentials, StoreClock(clock))


async def _verdict(bucket: Bucket, options: S3Options, entropy: Entropy) -> Verdict:
    file, url = VerdictFile(options.verdict_file), bucket.address.url
    stored = await asyncio.to_thread(file.load, url)
    try:
        server = await _check(bucket, options)
        if stored and stored.valid(server, bucket.clock.now_us()):
            return stored
        verdict = await probe(bucket, options.prefix, entropy)
    except Unavailable as error:
        if stored is None:
            raise
        _LOG.warning("s3_down_at_start", home="s3", error=str(error), verdict=stored.describe())
        return stored
    try:
        await asyncio.to_thread(file.save, url, verdict)
    except OSError as error:
        _LOG.warning("s3_verdict_not_stored", home="s3", error=str(error))
    return verdict


async def _check(bucket: Bucket, options: S3Options) -> str:
    """Makes sure that the bucket is there and lets us in; what its server calls itself."""
    if bucket.credentials.problem:
        why = f"s3: no access key: {bucket.credentials.problem}"
        raise Unavailable(why) if bucket.credentials.problem_may_pass else ConfigurationError([why])
    call = Call("GET", "", parameters=(("list-type", "2"), ("max-keys", "1")))
    for may_create in (options.create_bucket, False):
        try:
            until_s = asyncio.get_running_loop().time() + _CHECK_S
            answer = await bucket.ask(call, until_s)
        except TransportError as silence:
            raise Unavailable(f"s3: {bucket.address.url} does not answer: {silence}") from silence
        error = error_of(answer.http)
        if answer.http.status == 200:
            return answer.http.headers.get("server", "")
        if error.code != "NoSuchBucket" or not may_create:
            break
        await asyncio.to_thread(_create, options.location)
    detail = f"{answer.http.status} {error.code} {error.message}".strip()
    if answer.http.status >= 500 or answer.http.status == 429:
        raise Unavailable(f"s3: {bucket.address.url} answers {detail}")
    raise ConfigurationError([_advice(bucket, error.code, detail)])


def _advice(bucket: Bucket, code: str, detail: str) -> str:
    place, key = bucket.address.url, bucket.credentials.describe()
    match code:
        case "NoSuchBucket":
            what = "create the bucket, or let Tandem do it (s3_create_bucket)"
        case "SignatureDoesNotMatch":
            what = f"the secret does not belong to the {key}"
        case "InvalidAccessKeyId":
            what = f"the store does not know the {key}"
        case "AccessDenied":
            what = f"the {key} must be allowed to list, read, write and delete objects there"
        case _:
            what = f"check endpoint, region ({bucket.address.region}) and {key}"
    return f"s3: {place} refuses ({detail}): {what}"


def _create(location: Location) -> None:
    client = control_client(location)
    region = cast("BucketLocationConstraintType", client.meta.region_name)
    try:
        if location.endpoint is None and client.meta.region_name != "us-east-1":
            client.create_bucket(
                Bucket=location.bucket, CreateBucketConfiguration={"LocationConstraint": region}
            )
        else:
            client.create_bucket(Bucket=location.bucket)
    except (BotoCoreError, ClientError) as error:
        raise ConfigurationError([f"s3: cannot create {location.bucket}: {error}"]) from error
