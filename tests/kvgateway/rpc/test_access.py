"""Every gRPC method with every kind of credential, through a real server."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tandem.core.access import Permission
from tests.kvgateway.access.entered import ADMIN_TOKEN
from tests.kvgateway.rpc.guarded import ADMIN, HEX, METHODS, SERVICES, Guarded, bearer

REACHES = ("namespace", "account", "deployment")


def test_every_method_is_in_the_table() -> None:
    methods = {
        f"{name}/{method.name}"
        for name, (module, _) in SERVICES.items()
        for method in module.DESCRIPTOR.services_by_name[name].methods
    }
    assert methods == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_with_every_token(guarded: Guarded, name: str) -> None:
    reach_needed, needed = METHODS[name]
    for permission in Permission:
        for at, reach in enumerate(REACHES):
            await guarded.prepare()
            account = None if reach == "deployment" else "mine"
            only = frozenset({guarded.namespace}) if reach == "namespace" else None
            token = await guarded.gateway.token(permission, account, only)
            enough = reach_needed == "anything" or at >= REACHES.index(reach_needed)
            expected = "OK" if permission >= needed and enough else "PERMISSION_DENIED"
            assert await guarded.call(name, bearer(token.text)) == expected, (permission, reach)
    assert await guarded.call(name, bearer(ADMIN_TOKEN)) == "OK"


FOREIGN_REFUSALS = {
    "KV/Batch": "NOT_FOUND",
    "Namespaces/ListNamespaces": "OK",
    "Namespaces/CreateNamespace": "PERMISSION_DENIED",
    "Namespaces/GetNamespaceMode": "PERMISSION_DENIED",
    "Namespaces/StepNamespaceMode": "PERMISSION_DENIED",
    "Tokens/CreateToken": "PERMISSION_DENIED",
    "Tokens/ListTokens": "PERMISSION_DENIED",
}


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_with_the_token_of_another_account(guarded: Guarded, name: str) -> None:
    token = await guarded.gateway.token(ADMIN, "theirs")
    refusal = "PERMISSION_DENIED" if name.startswith("Ops/") else "NOT_FOUND"
    assert await guarded.call(name, bearer(token.text)) == FOREIGN_REFUSALS.get(name, refusal)


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_without_a_valid_credential(guarded: Guarded, name: str) -> None:
    revoked = await guarded.gateway.token(ADMIN)
    await guarded.gateway.tokens.revoke(revoked.token.id)
    expired = await guarded.gateway.token(ADMIN, ttl_s=1)
    guarded.gateway.homes.clock.advance(2)
    for metadata in (
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer "),),
        (("authorization", f"Basic {ADMIN_TOKEN}"),),
        (("authorization", ADMIN_TOKEN),),
        (("x-auth-key", ADMIN_TOKEN),),
        bearer("nonsense"),
        bearer(f"tdm_{HEX}_{HEX * 4}"),
        bearer(revoked.text),
        bearer(expired.text),
    ):
        assert await guarded.call(name, metadata) == "UNAUTHENTICATED", metadata


async def test_health_and_reflection_ask_nobody(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        reply = health_pb2.HealthCheckResponse.FromString(await check(b""))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        method: Any = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        call = method()
        await call.write(b"\x3a\x00")
        assert await call.read() is not grpc.aio.EOF
        call.cancel()
