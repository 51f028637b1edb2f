"""`kvctl import`: a tree into a namespace, again and again."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from kvctl.importing import FAILURES_KEPT_MAX, UNANSWERED_MAX, BytesAtOnce
from tandem.errors import (
    NamespaceNotFound,
    PermissionDenied,
    TandemError,
    Unauthenticated,
    Unavailable,
)
from tests.kvctl.serving import ARTICLES, Gateway


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in range(300):
        (tmp_path / f"{number % 7}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 7}/{number}.txt").write_bytes(b"%d\xff" % number * number)
    return tmp_path


def test_each_file_becomes_a_key_with_its_content_type(gateway: Gateway, tree: Path) -> None:
    result = gateway.kvctl("import", str(tree), *ARTICLES)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("300 files in ")
    assert ": 300 stored (" in result.stdout
    assert {name: gateway.stored(name) for name in gateway.names()} == {
        path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.glob("*/*")
    }
    got = gateway.json("key", "get", "1/1.txt", *ARTICLES)
    assert got["metadata"] == {"contentType": "text/plain"}


def test_a_repeat_stores_only_what_differs(gateway: Gateway, tree: Path) -> None:
    gateway.kvctl("import", str(tree), *ARTICLES)
    writes = gateway.store.writes
    (tree / "1/1.txt").write_bytes(b"new")
    gateway.kvctl("key", "put", "2/2.txt", (tree / "2/2.txt").read_text("latin-1"), *ARTICLES)
    gateway.kvctl("key", "delete", "3/3.txt", *ARTICLES)
    expiring = ("--metadata", '{"contentType": "text/plain"}', "--ttl", "60")
    source = ("--file", str(tree / "4/4.txt"))
    gateway.kvctl("key", "put", "4/4.txt", *source, *expiring, *ARTICLES)
    again = gateway.json("import", str(tree), *ARTICLES)
    assert (again["stored"], again["skipped"], again["failed"]) == (4, 296, 0)
    assert gateway.store.writes == writes + 3 + 4
    assert gateway.stored("1/1.txt") == b"new"
    assert gateway.json("key", "get", "4/4.txt", *ARTICLES)["expires_at_s"] is None


def test_all_is_stored_without_a_look_when_that_is_asked_for(gateway: Gateway, tree: Path) -> None:
    gateway.kvctl("import", str(tree), *ARTICLES)
    reads = gateway.store.reads
    again = gateway.json("import", str(tree), "--all", *ARTICLES)
    assert (again["stored"], again["skipped"], gateway.store.reads) == (300, 0, reads)


def test_a_prefix_begins_each_name(gateway: Gateway, tree: Path) -> None:
    gateway.kvctl("import", str(tree / "0"), *ARTICLES, "--prefix", "v1/")
    assert "v1/7.txt" in gateway.names()


def test_the_namespace_is_created_when_asked_for(gateway: Gateway, tmp_path: Path) -> None:
    unknown = gateway.kvctl("import", str(tmp_path), "-n", "site")
    assert unknown.exit_code == 1
    assert "kvctl namespace create site" in unknown.stderr
    for _ in range(2):
        assert gateway.kvctl("import", str(tmp_path), "-n", "site", "--create").exit_code == 0
    titles = gateway.kvctl("namespace", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["title"] for line in titles] == ["articles", "site"]


def test_what_fails_is_named_and_the_others_go_on(gateway: Gateway, tree: Path) -> None:
    bad = os.fsdecode(os.fsencode(tree) + b"/\xff\n")
    Path(bad).touch()
    (tree / "broken").symlink_to("nothing")
    result = gateway.kvctl("import", str(tree), *ARTICLES, "--json")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{tree}/broken: is a broken symbolic link",
        f"{tree}/\\xff\\n: its name is not UTF-8",
    ]
    summary = json.loads(result.stdout)
    assert summary.pop("seconds") >= 0
    size = sum(path.stat().st_size for path in tree.glob("*/*"))
    assert summary == {
        "files": 302, "bytes": size, "stored": 300, "stored_bytes": size, "skipped": 0,
        "expired": 0, "failed": 2, "complete": True,
        "failures": [
            {"path": f"{tree}/broken", "reason": "is a broken symbolic link"},
            {"path": f"{tree}/\\xff\n", "reason": "its name is not UTF-8"},
        ],
    }  # fmt: skip


@pytest.mark.usefixtures("at_once")
def test_nothing_is_tried_when_what_is_stored_cannot_be_listed(
    gateway: Gateway, tree: Path
) -> None:
    gateway.store.failure = Unavailable("both homes are away")
    result = gateway.kvctl("import", str(tree), *ARTICLES)
    assert result.exit_code == 3
    assert "could not answer" in result.stderr
    assert result.stdout.startswith("interrupted after 0 files")
    gateway.store.failure = None
    assert gateway.names() == []


@pytest.mark.usefixtures("at_once")
def test_it_gives_up_when_the_gateway_no_longer_answers(gateway: Gateway, tmp_path: Path) -> None:
    for number in range(FAILURES_KEPT_MAX):
        (tmp_path / str(number)).touch()
    gateway.store.failure = Unavailable("both homes are away")
    gateway.store.lists_anyway = True
    result = gateway.kvctl("import", str(tmp_path), *ARTICLES, "--json")
    assert result.exit_code == 3
    assert "stopped answering, so the rest was not tried" in result.stderr
    assert "not confirmed: both homes are away" in result.stderr
    summary = json.loads(result.stdout)
    assert not summary["complete"]
    assert UNANSWERED_MAX <= summary["failed"] < FAILURES_KEPT_MAX


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (PermissionDenied("no"), "kvctl: not allowed: no\n"),
        (Unauthenticated("no"), "did not let you in: no\n"),
        (NamespaceNotFound("n"), "kvctl: no namespace has the title 'articles'"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_it_ends_once_no_file_can_be_stored_any_more(
    gateway: Gateway, tree: Path, failure: TandemError, says: str
) -> None:
    gateway.store.failure = failure
    gateway.store.lists_anyway = True
    result = gateway.kvctl("import", str(tree), *ARTICLES)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 2)
    assert says in result.stderr
    assert result.stdout.startswith("interrupted after 0 files")


def test_large_files_are_stored_whole(gateway: Gateway, tmp_path: Path) -> None:
    content = {f"{number}.bin": os.urandom(1 << 20) * 20 for number in range(5)}
    for name, value in content.items():
        (tmp_path / name).write_bytes(value)
    result = gateway.kvctl("import", str(tmp_path), *ARTICLES, "--timeout", "60s")
    assert result.exit_code == 0, result.stderr
    assert {name: gateway.stored(name) for name in gateway.names()} == content


def test_the_bytes_under_way_stay_within_their_bound() -> None:
    async def scenario() -> None:
        room = BytesAtOnce(100)
        order: list[str] = []

        async def hold(name: str, count: int, until: asyncio.Event) -> None:
            await room.take(count)
            order.append(name)
            await until.wait()
            await room.give_back(count)

        first, second, rest = asyncio.Event(), asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(hold("a", 60, first))
            group.create_task(hold("b", 40, second))
            group.create_task(hold("larger than all", 101, rest))
            await _idle()
            assert order == ["a", "b"]
            first.set()
            await _idle()
            assert order == ["a", "b"]
            second.set()
            await _idle()
            assert order == ["a", "b", "larger than all"]
            rest.set()

    asyncio.run(scenario())


async def _idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_there_is_nothing_to_import_from_a_file(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert gateway.kvctl("import", str(tmp_path / "f"), *ARTICLES).exit_code == 2
    assert gateway.kvctl("import", str(tmp_path / "none"), *ARTICLES).exit_code == 2
