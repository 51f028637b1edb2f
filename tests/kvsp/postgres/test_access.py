"""Who is let in, and what is between: TLS, passwords, poolers. No secret is shown anywhere."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from kvsp.postgres import schema
from kvsp.postgres.connecting import session_settings
from tandem.core.reply import Stored
from tandem.errors import ConfigurationError
from tests.conftest import require
from tests.kvsp.records import SetClock, get, put, value
from tests.kvsp.serving import open_postgres_store
from tests.servers import pgbouncer
from tests.servers.certificates import Authority
from tests.servers.pgbouncer import Pgbouncer
from tests.servers.postgres import Postgres

SECRET = "correct-horse"


async def refused(dsn: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        await open_postgres_store([dsn])
    return str(error.value)


@pytest.fixture
def authority(sockets: Path) -> Authority:
    """Its files lie where the server's own user can read them."""
    sockets.chmod(0o755)
    return Authority(sockets)


@pytest.fixture
def port(postgres: Postgres, authority: Authority) -> Iterator[int]:
    """Of a server that asks for TLS, and has one user with a password and a database."""
    postgres.sql(f"create role keeper login password '{SECRET}'")
    postgres.sql("create database kept template template0 encoding 'UTF8' owner keeper")
    with postgres.over_tls(*authority.pair().write(authority.directory)) as port:
        yield port
    postgres.sql("drop database kept")
    postgres.sql("drop role keeper")


async def test_a_password_over_tls(
    port: int,
    authority: Authority,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    dsn = f"postgresql://keeper@localhost:{port}/kept?sslmode=verify-full&sslrootcert="
    monkeypatch.setenv("PGPASSWORD", SECRET)
    store = await open_postgres_store([f"{dsn}{authority.file}"], clock)
    [cluster] = store.clusters
    assert await cluster.write([put("key", value())]) == [Stored(0)]
    async with cluster._reach.others.one() as connection:
        assert await connection.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    await store.aclose()

    monkeypatch.delenv("PGPASSWORD")
    passwords = authority.directory / "passwords"
    passwords.write_text(f"localhost:*:*:keeper:{SECRET}\n")
    passwords.chmod(0o600)
    store = await open_postgres_store([f"{dsn}{authority.file}&passfile={passwords}"], clock)
    assert await store.clusters[0].read([get("key")]) == [value().envelope]
    assert SECRET not in str(await store.store.lives())
    await store.aclose()

    stranger = Authority(authority.directory, "stranger")
    said = [await refused(f"{dsn}{stranger.file}&passfile={passwords}")]
    assert "certificate verify failed" in said[-1]
    monkeypatch.setenv("PGPASSWORD", f"not-{SECRET}")
    said.append(await refused(f"{dsn}{authority.file}"))
    assert 'password authentication failed for user "keeper"' in said[-1]
    said.append(await refused(f"postgresql://keeper@localhost:{port}/kept?sslmode=disable"))
    assert "no pg_hba.conf entry" in said[-1]
    captured = capfd.readouterr()
    assert SECRET not in captured.out + captured.err + "".join(said)


@pytest.fixture
def before(
    request: pytest.FixtureRequest, postgres: Postgres, sockets: Path
) -> Iterator[Pgbouncer]:
    """A pooler before the server."""
    require(pgbouncer.why_missing(), pgbouncer.PACKAGE, request.config)
    pooler = Pgbouncer(postgres, sockets, ignored=request.param)
    pooler.start()
    yield pooler
    pooler.stop()


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("extra_float_digits", "unsupported startup parameter"),
        (
            ", ".join(("jit", "tcp_user_timeout", *session_settings())),
            "idle_in_transaction_session_timeout, lock_timeout, search_path, statement_timeout as",
        ),
    ],
    indirect=["before"],
    ids=["as installed", "swallowing settings"],
)
async def test_a_pooler_is_refused_by_name(
    postgres: Postgres, before: Pgbouncer, dsn: str, told: str
) -> None:
    async with asyncpg.create_pool(before.dsn("postgres"), min_size=1) as pool:
        assert await pool.fetchval("select 1") == 1, "it is there"
    database = dsn.partition("?")[0].rpartition("/")[2]
    said = await refused(before.dsn(database))
    assert told in said
    assert schema.POOLER in said
