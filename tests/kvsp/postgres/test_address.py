"""Addresses of databases: nothing secret is shown of them, not even of one that is mistaken."""

from pathlib import Path

import pytest

from kvsp.postgres.address import label_of, refuse_unreadable
from tandem.errors import ConfigurationError
from tests.kvsp.serving import open_postgres_store


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://",
        "postgres://host",
        "postgresql:///tandem",
        "postgresql://kv@host/tandem",
        "postgresql://kv:secret@db1:5432,db2/tandem?sslmode=require",
        "postgresql://kv:se:cret@[::1]:5432,[fe80::1]/tandem",
        "postgresql://kv:se%2Fcret%40%23@host/tan%2Fdem",
        "postgresql:///tandem?host=/run/a@b&password=se/cret?&port=5433",
    ],
)
def test_what_can_be_taken_in_one_way_only_is_taken(dsn: str) -> None:
    refuse_unreadable([dsn])


@pytest.mark.parametrize(
    "dsn",
    [
        "mysql://kv:secret@host/name",
        "kv:secret@host/name",
        "secret",
        *(
            f"postgresql://kv:{password}@{host}/name"
            for password in ("se/cret", "1/secret", "se?cret", "1?secret", "se#cret", "se@cret",
                             "se[cret", "se]cret", "se%cret", "secret%")
            for host in ("host", "host:5432", "[::1]:5432")
        ),
        "postgresql://kv:secret@host:port/name",
        "postgresql://kv:secret@host/one/two",
        "postgresql://kv:secret@host/name?sslmode",
    ],
)  # fmt: skip
async def test_what_could_be_taken_for_another_is_refused_without_a_word_of_it(dsn: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        await open_postgres_store(["postgresql://host/first", dsn])
    said = str(error.value)
    assert "address 2 of a database must be written as postgresql://user:password@host" in said
    assert "address 1" not in said
    assert "cret" not in said


@pytest.mark.parametrize("name", ["passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert"])
async def test_a_file_that_is_not_there_is_not_waited_for(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    dsn = f"postgresql://kv:secret@host/name?{name}={file}"
    with pytest.raises(ConfigurationError) as error:
        await open_postgres_store([dsn])
    assert str(error.value).endswith(f"names a file that is not there: {name}={file}")
    file.write_text("")
    refuse_unreadable([dsn])


@pytest.mark.parametrize("rest", ["127.0.0.1:99999/name", "/name?host=127.0.0.1&port=abc"])
async def test_what_asyncpg_does_not_understand_is_a_mistake(rest: str) -> None:
    with pytest.raises(ConfigurationError):
        await open_postgres_store([f"postgresql://{rest}"])


@pytest.mark.parametrize(
    ("dsn", "label"),
    [
        ("postgresql://kv:secret@db1:5432,db2/tandem?sslmode=require", "db1:5432,db2/tandem"),
        ("postgresql:///tandem?host=/run&password=secret", "/tandem"),
        ("postgresql://", "the database of the environment"),
    ],
)
def test_a_label_holds_no_secret(dsn: str, label: str) -> None:
    assert label_of(dsn) == label
