"""The test servers are what other tests take them for: conditional, restartable, durable."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from types_boto3_s3 import S3Client

from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw


def _client(server: Rgw | Ministack) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture(params=["rgw", "ministack"])
def server(request: pytest.FixtureRequest) -> Rgw | Ministack:
    chosen: Rgw | Ministack = request.getfixturevalue(request.param)
    return chosen


def test_a_second_create_is_refused(server: Rgw | Ministack) -> None:
    client = _client(server)
    client.create_bucket(Bucket="creates")
    client.put_object(Bucket="creates", Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="creates", Key="k", Body=b"second", IfNoneMatch="*")
    assert client.get_object(Bucket="creates", Key="k")["Body"].read() == b"first"


def test_a_kill_refuses_connections_and_a_restart_brings_the_data_back(
    server: Rgw | Ministack,
) -> None:
    client = _client(server)
    client.create_bucket(Bucket="kills")
    client.put_object(Bucket="kills", Key="k", Body=b"kept")
    server.kill()
    with pytest.raises(EndpointConnectionError):
        client.head_object(Bucket="kills", Key="k")
    server.restart()
    assert client.get_object(Bucket="kills", Key="k")["Body"].read() == b"kept"


def test_a_cluster_on_disk_survives_a_stop(rgw_on_disk: Rgw) -> None:
    client = _client(rgw_on_disk)
    client.create_bucket(Bucket="stops")
    client.put_object(Bucket="stops", Key="k", Body=b"kept")
    rgw_on_disk.stop()
    rgw_on_disk.start()
    assert client.get_object(Bucket="stops", Key="k")["Body"].read() == b"kept"
