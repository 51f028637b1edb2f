"""A bucket of its own for each deployment on a real S3 server."""

from uuid import uuid4

import boto3
from botocore.config import Config

from tests.e2e.deployment import Bucket
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw


def new_bucket(server: Rgw | Ministack) -> Bucket:
    """An empty bucket under a new name."""
    bucket = Bucket(server.endpoint, f"e2e-{uuid4().hex}", server.access_key, server.secret_key)
    client = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=bucket.name)
    return bucket
