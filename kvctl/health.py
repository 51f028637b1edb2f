"""Whether a gRPC server says that it serves: for `kvctl health`, and for `kvctl up` to wait."""

from typing import Any

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kvctl.asking import Asked
from kvctl.endings import negative
from kvctl.options import asks
from kvctl.output import print_json, print_line
from tandem.runtime.rpc_channel import open_channel
from tandem.runtime.rpc_words import in_words
from tandem.runtime.settings import Address
from tandem.runtime.tls import TlsFiles


async def health(address: Address, timeout_s: float, tls: TlsFiles | None) -> str:
    """What the standard health service there says, such as SERVING, or why it says nothing."""
    async with open_channel(str(address), tls=tls) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {in_words(error.details() or '')}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


async def serves(address: Address, tls: TlsFiles | None, timeout_s: float = 1.0) -> bool:
    """Whether the standard health service there says SERVING."""
    return await health(address, timeout_s, tls) == "SERVING"


@click.command("health")
@asks
def health_command(asked: Asked) -> None:
    """Exit 0 when the gateway serves. Else 1, also when it cannot be reached."""
    said = asked.complete(lambda: health(asked.gateway, asked.timeout_s, asked.tls))
    if asked.as_json:
        print_json({"gateway": str(asked.gateway), "serving": said == "SERVING", "status": said})
    else:
        print_line(f"{asked.gateway}: {said}")
    if said != "SERVING":
        raise negative()
