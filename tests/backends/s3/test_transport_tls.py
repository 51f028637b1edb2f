"""The transport over TLS: the same exchanges, and what an untrusted server gets."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tandem.backends.s3.exchange import FailureKind, TransportError
from tandem.backends.s3.transport import HttpTransport
from tests.backends.s3.exchanges import ANSWER, LARGE, LARGE_HEAD, PLENTY_S, get, put
from tests.backends.s3.scripted_server import ClientGone, Say, Take, scripted


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate that it signed itself, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: TLS is not tested")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_25_mib_both_ways_on_one_connection(
    certificate: Path, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    script = (Take(), Say(LARGE_HEAD + LARGE), *ANSWER)
    async with scripted(script, context=server_context) as server:
        transport = HttpTransport("127.0.0.1", server.port, ssl_context=trusting)
        reply = await transport.request(put(LARGE), deadline_s=PLENTY_S)
        assert server.seen[0].body == LARGE
        assert reply.body == LARGE
        assert (await transport.request(get(), deadline_s=PLENTY_S)).body == b"ok"
        await transport.aclose()
    assert server.connections == 1


async def test_deadline_drops_the_connection(
    certificate: Path, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    scripts = ((*ANSWER, Take(), ClientGone()), ANSWER)
    async with scripted(*scripts, context=server_context) as server:
        transport = HttpTransport("127.0.0.1", server.port, ssl_context=trusting)
        await transport.request(put(), deadline_s=PLENTY_S)
        with pytest.raises(TransportError) as failure:
            await transport.request(put(), deadline_s=0.1)
        assert (failure.value.kind, failure.value.sent) == (FailureKind.TIMEOUT, True)
        await server.until_finished(0)
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"
        await transport.aclose()


async def test_untrusted_server_is_told_nothing(server_context: ssl.SSLContext) -> None:
    async with scripted(ANSWER, context=server_context) as server:
        transport = HttpTransport(
            "127.0.0.1", server.port, ssl_context=ssl.create_default_context()
        )
        with pytest.raises(TransportError, match="self-signed") as failure:
            await transport.request(put(), deadline_s=PLENTY_S)
        assert (failure.value.kind, failure.value.sent) == (FailureKind.REFUSED, False)
        await transport.aclose()
    assert server.seen == []
