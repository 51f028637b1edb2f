"""`kvctl export`, and back by `kvctl import`."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kvctl.export.exporting import KEYS_AT_ONCE
from kvctl.export.manifest import MANIFEST, MARK, Manifest, Scope
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.request import Read, ReadResult
from tandem.core.version import Version
from tandem.errors import TandemError, Unavailable
from tandem.runtime.clock import SystemClock
from tests.kvctl.serving import ARTICLES, Gateway
from tests.kvgateway.rpc.memory_store import NAMESPACE, MemoryStore
from tests.servers.small_disk import fill

FAR_S = SystemClock().now_us() // 1_000_000 + 100_000
RECORDS = {
    "index.html": (b"<p>", b'{"contentType":"text/html"}', 0),
    "a": (b"a file", b"", FAR_S),
    "a/b": (b"below a file", b'"text"', 0),
    "a//b/": (b"odd", b"0", FAR_S + 1),
    "../up": (b"", b"false", 0),
    "/": (b"\xff\0", b'{"u":"\\ud83e\\udd13 \xc3\xa9"}', 0),
    "\0\n%": (b"control", b"", 0),
    "x" * 512: (b"long", b"[]", 0),
    "half": (b"a surrogate pair", b'"\\ud83e"', 0),
    "large": (os.urandom(3 << 20), b"", 0),
    "nowhere": (b"", b"null", 0),
    **{
        f"letters/{number}": (b"", text, 0)
        for number, text in enumerate(
            (
                b"1e2",
                b"-0",
                b"1.10",
                b' {"a" :\n1.0}\t',
                b'{"a":1,"a":[2],"b":1e999}',
                b'"\\/"',
                b'"\\u00e9"',
                b"[1e999]",
                b"[" + b",".join([b"1e15"] * 150) + b"]",
                b"[" * 500 + b"]" * 500,
                b"12345678901234567890123",
            )
        )
    },
    **{f"many/{number:03}": (b"%d" % number, b"", 0) for number in range(50)},
}


def hold(gateway: Gateway) -> dict[Key, Record]:
    """Has the gateway hold all of them."""
    held = {
        Key(NAMESPACE, name): seal(Version.at(1), value, metadata=metadata, expires_at_s=expires)
        for name, (value, metadata, expires) in RECORDS.items()
    }
    gateway.store.records.update(held)
    return held


def what_is_held(gateway: Gateway) -> dict[str, tuple[bytes, bytes, int]]:
    return {
        key.name: (record.value, record.metadata, record.expires_at_s)
        for key, record in gateway.store.records.items()
    }


def manifest(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / MANIFEST).read_bytes().splitlines()]


def export(gateway: Gateway, directory: Path, *options: str) -> dict[str, Any]:
    done: dict[str, Any] = gateway.json("export", str(directory), *ARTICLES, *options)
    return done


def test_what_is_exported_and_imported_is_equal(gateway: Gateway, tmp_path: Path) -> None:
    hold(gateway)
    before = what_is_held(gateway)
    done = export(gateway, tmp_path / "out")
    assert (done["keys"], done["complete"], done["resumed"]) == (len(RECORDS), True, False)
    assert done["bytes"] == sum(len(value) for value, _, _ in RECORDS.values())
    gateway.store.records.clear()
    back = gateway.json("import", str(tmp_path / "out"), *ARTICLES)
    assert (back["stored"], back["failed"]) == (len(RECORDS), 0)
    assert what_is_held(gateway) == before
    again = gateway.json("import", str(tmp_path / "out"), *ARTICLES)
    assert (again["stored"], again["skipped"]) == (0, len(RECORDS))
    export(gateway, tmp_path / "second")
    assert _files(tmp_path / "second") == _files(tmp_path / "out")


def _files(directory: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(directory): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_metadata_whose_letters_count_are_told_apart_and_shown_beside(
    gateway: Gateway, tmp_path: Path
) -> None:
    texts = {"a": b'{"a":1.0}', "b": b'{"a": 1.0}', "c": b'[1e999,{"a":1,"a":2}]', "d": b"null"}
    for name, text in texts.items():
        record = seal(Version.at(1), b"", metadata=text)
        gateway.store.records[Key(NAMESPACE, name)] = record
    export(gateway, tmp_path)
    _, *lines, _ = [json.loads(line, parse_constant=pytest.fail) for line in
                    (tmp_path / MANIFEST).read_bytes().splitlines()]  # fmt: skip
    assert [(line.get("metadata"), line.get("metadata_json")) for line in lines] == [
        ({"a": 1.0}, None),
        ({"a": 1.0}, '{"a": 1.0}'),
        ([None, {"a": 2}], '[1e999,{"a":1,"a":2}]'),
        (None, "null"),
    ]
    gateway.kvctl("key", "put", "b", "", *ARTICLES, "--metadata", '{"a":1.0}')
    again = gateway.json("import", str(tmp_path), *ARTICLES)
    assert (again["stored"], again["skipped"]) == (1, 3)
    assert {name: metadata for name, (_, metadata, _) in what_is_held(gateway).items()} == texts


def test_files_are_called_like_their_keys_where_that_can_be(
    gateway: Gateway, tmp_path: Path
) -> None:
    hold(gateway)
    export(gateway, tmp_path)
    values = tmp_path / "values"
    assert (values / "index.html").read_bytes() == b"<p>"
    assert (values / "many/007").read_bytes() == b"7"
    assert (values / "a%2Fb").read_bytes() == b"below a file"
    assert (values / "%2E%2E/up").read_bytes() == b""


def test_the_manifest_says_what_files_cannot(gateway: Gateway, tmp_path: Path) -> None:
    hold(gateway)
    export(gateway, tmp_path, "--prefix", "a")
    head, *lines, end = manifest(tmp_path)
    assert head == {
        "format": "tandem-export", "version": 1, "namespace": NAMESPACE, "title": "articles",
        "prefix": "a",
    }  # fmt: skip
    assert [(line["name"], line["file"]) for line in lines] == [
        ("a", "a"), ("a//b/", "a%2F%2Fb%2F"), ("a/b", "a%2Fb"),
    ]  # fmt: skip
    assert lines[0]["expires_at_s"] == FAR_S
    assert "metadata" not in lines[0]
    assert lines[1]["metadata"] == 0
    assert lines[0]["bytes"] == 6
    assert end == {"complete": True}


def test_an_import_puts_a_prefix_before_the_names(gateway: Gateway, tmp_path: Path) -> None:
    gateway.hold("k")
    export(gateway, tmp_path)
    gateway.json("import", str(tmp_path), *ARTICLES, "--prefix", "copy/")
    assert gateway.names() == ["copy/k", "k"]


def test_nothing_to_export_is_an_export_too(gateway: Gateway, tmp_path: Path) -> None:
    assert export(gateway, tmp_path)["keys"] == 0
    assert gateway.json("import", str(tmp_path), *ARTICLES)["files"] == 0


class GoesAway(MemoryStore):
    """Answers so many reads, and then no more."""

    reads_max = 1 << 30

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]]:
        away = self.reads >= self.reads_max
        self.failure = Unavailable("both homes are away") if away else None
        return super().read(reads)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("reads", [0, 8, 24, 40])
def test_an_interrupted_export_goes_on_where_it_was(tmp_path: Path, reads: int) -> None:
    store = GoesAway(SystemClock())
    store.lists_anyway = True
    with Gateway(store) as gateway:
        hold(gateway)
        store.reads_max = reads
        failed = gateway.kvctl("export", str(tmp_path), *ARTICLES, "--json")
        assert failed.exit_code == 3
        first = json.loads(failed.stdout)
        assert first["complete"] is False
        assert first["keys"] % KEYS_AT_ONCE == 0
        store.reads_max = 1 << 30
        rest = export(gateway, tmp_path)
        assert rest["resumed"] == bool(first["keys"])
        assert first["keys"] + rest["keys"] == len(RECORDS)
        names = [line["name"] for line in manifest(tmp_path)[1:-1]]
        assert names == sorted(RECORDS)


def test_an_export_that_may_lack_keys_says_so(gateway: Gateway, tmp_path: Path) -> None:
    gateway.hold("k")
    gateway.store.stale_lists = True
    done = gateway.kvctl("export", str(tmp_path / "told"), *ARTICLES)
    assert (done.exit_code, "keys may be missing" in done.stderr) == (0, True)
    assert export(gateway, tmp_path / "json")["may_lack_keys"]


class MissesOne(MemoryStore):
    """Does not find what it lists, as when the only home that has it went down in between."""

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]]:
        return super().read([read._replace(key=Key(NAMESPACE, "no such key")) for read in reads])


def test_an_export_leaves_out_no_key_that_a_silent_home_may_hold(tmp_path: Path) -> None:
    with Gateway(MissesOne(SystemClock())) as gateway:
        gateway.hold("k")
        gateway.store.one_home_answers = True
        gateway.store.stale_lists = True
        silent = gateway.kvctl("export", str(tmp_path / "silent"), *ARTICLES)
        assert silent.exit_code == 3
        assert "keys may be missing" in silent.stderr
        assert "'k' is listed, and the home that holds it does not answer" in silent.stderr
        gateway.store.one_home_answers = False
        gone = export(gateway, tmp_path / "gone")
        assert (gone["keys"], gone["complete"]) == (0, True)


@pytest.mark.parametrize("room", [0, 1, 2, 3, 10, 40])
def test_a_full_disk_is_told_in_a_sentence_and_the_export_goes_on_when_there_is_room(
    gateway: Gateway, small_disk: Path, room: int
) -> None:
    hold(gateway)
    before, ballast = what_is_held(gateway), fill(small_disk)
    os.truncate(ballast, ballast.stat().st_size - room * 4096)
    full = gateway.kvctl("export", str(small_disk / "out"), *ARTICLES)
    ballast.unlink()
    told = full.stderr.removesuffix(
        "Repeat the command when that is mended: it goes on from there.\n"
    )
    assert (full.exit_code, told) == (
        1 if "interrupted after" in full.stdout else 2,
        f"kvctl: {small_disk}/out: No space left on device\n",
    )
    export(gateway, small_disk / "out")
    gateway.store.records.clear()
    gateway.json("import", str(small_disk / "out"), *ARTICLES)
    assert what_is_held(gateway) == before


def test_half_a_line_is_written_again(gateway: Gateway, tmp_path: Path) -> None:
    hold(gateway)
    export(gateway, tmp_path)
    whole = (tmp_path / MANIFEST).read_bytes()
    for cut in (len(whole) - 1, whole.index(b"many/020"), whole.index(b"\n") + 1, 20, 0):
        (tmp_path / MANIFEST).write_bytes(whole[:cut])
        assert export(gateway, tmp_path)["complete"]
        assert (tmp_path / MANIFEST).read_bytes() == whole


def test_a_key_whose_place_an_interrupted_export_has_made_a_directory_is_written_there(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.hold("a")
    gateway.hold("d/e")
    export(gateway, tmp_path)
    lines = (tmp_path / MANIFEST).read_bytes().splitlines(keepends=True)
    (tmp_path / MANIFEST).write_bytes(b"".join(lines[:2]))  # as if it had been killed before d/e
    gateway.hold("d", b"a key since then")
    export(gateway, tmp_path)
    assert [line["file"] for line in manifest(tmp_path)[1:-1]] == ["a", "d", "d%2Fe"]
    assert (tmp_path / "values/d").read_bytes() == b"a key since then"


@pytest.mark.parametrize("left", [b"", None], ids=["cut off", "gone"])
def test_an_export_is_not_gone_on_with_when_a_power_cut_took_values(
    gateway: Gateway, tmp_path: Path, left: bytes | None
) -> None:
    hold(gateway)
    export(gateway, tmp_path)
    lines = (tmp_path / MANIFEST).read_bytes().splitlines(keepends=True)
    (tmp_path / MANIFEST).write_bytes(b"".join(lines[:-1]))
    lost = tmp_path / "values" / manifest(tmp_path)[3]["file"]
    lost.unlink()
    if left is not None:
        lost.write_bytes(left)
    refused = gateway.kvctl("export", str(tmp_path), *ARTICLES)
    assert refused.exit_code == 2
    assert f"{lost} is not what was exported" in refused.stderr


def test_a_directory_that_is_something_else_is_left_alone(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    refused = gateway.kvctl("export", str(tmp_path), *ARTICLES)
    assert refused.exit_code == 2
    assert "is not empty" in refused.stderr
    done = tmp_path / "done"
    export(gateway, done)
    again = gateway.kvctl("export", str(done), *ARTICLES)
    assert again.exit_code == 2
    assert "has a complete export already" in again.stderr
    (done / MANIFEST).write_text(
        (done / MANIFEST).read_text().replace('"prefix": ""', '"prefix": "p"').split("\n")[0] + "\n"
    )
    other = gateway.kvctl("export", str(done), *ARTICLES)
    assert other.exit_code == 2
    assert "another export" in other.stderr
    assert [path.name for path in tmp_path.iterdir()].count("mine") == 1


def test_a_file_that_cannot_be_written_is_told(gateway: Gateway, tmp_path: Path) -> None:
    gateway.hold("k")
    (tmp_path / "out/values").mkdir(parents=True)
    (tmp_path / "out/values").rename(tmp_path / "out" / MANIFEST)
    refused = gateway.kvctl("export", str(tmp_path / "out"), *ARTICLES)
    assert refused.exit_code == 2
    assert f"{MANIFEST}: Is a directory" in refused.stderr
    unread = gateway.kvctl("import", str(tmp_path / "out"), *ARTICLES)
    assert (unread.exit_code, unread.stderr) == (2, refused.stderr)
    (tmp_path / "out" / MANIFEST).rmdir()
    (tmp_path / "out/values/.partial%").mkdir(parents=True)
    (tmp_path / "out" / MANIFEST).touch()
    failed = gateway.kvctl("export", str(tmp_path / "out"), *ARTICLES)
    assert failed.exit_code == 1
    assert ".partial%: Is a directory\nRepeat the command when that is mended" in failed.stderr


def test_a_prefix_that_is_none_leaves_no_manifest(gateway: Gateway, tmp_path: Path) -> None:
    refused = gateway.kvctl("export", str(tmp_path), *ARTICLES, "--prefix", "p" * 513)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("kvctl: prefix: UTF-8 length of 513 bytes exceeds")
    assert list(tmp_path.iterdir()) == []


def test_two_exports_into_one_directory_do_not_mix(gateway: Gateway, tmp_path: Path) -> None:
    gateway.hold("a", b"value")
    first = Manifest(tmp_path, Scope(NAMESPACE, "articles", ""))
    refused = gateway.kvctl("export", str(tmp_path), *ARTICLES)
    assert refused.exit_code == 2
    assert "another export is at work there" in refused.stderr
    first.close()
    export(gateway, tmp_path)
    assert [line.get("name") for line in manifest(tmp_path)] == [None, "a", None]


def test_values_of_an_export_without_their_manifest_are_no_tree(
    gateway: Gateway, tmp_path: Path
) -> None:
    hold(gateway)
    gateway.hold(MANIFEST, b"a value, called like the manifest")
    backup = tmp_path / "backup"
    export(gateway, backup)
    gateway.store.records.clear()
    values = gateway.kvctl("import", str(backup / "values"), *ARTICLES)
    (backup / MANIFEST).unlink()
    alone = gateway.kvctl("import", str(backup), *ARTICLES)
    assert (alone.exit_code, alone.stderr, gateway.names()) == (2, values.stderr, [])
    assert f"expirations are in {backup / MANIFEST}\n" in alone.stderr
    (backup / "values" / MARK).unlink()
    gateway.kvctl("import", str(backup), *ARTICLES)
    assert "values/index.html" in gateway.names()


@pytest.mark.parametrize("link", ["a", "d"])
def test_an_import_of_an_export_follows_no_links(
    gateway: Gateway, tmp_path: Path, link: str
) -> None:
    outside, backup = tmp_path / "outside", tmp_path / "backup"
    for name in ("a", "d/b"):
        gateway.hold(name, b"value")
    export(gateway, backup)
    gateway.store.records.clear()
    (backup / "values" / link).rename(outside)
    (backup / "values" / link).symlink_to(outside)
    lines = [{**line, **({"bytes": len(str(outside))} if line.get("name") == link else {})}
             for line in manifest(backup)]  # fmt: skip
    (backup / MANIFEST).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    result = gateway.kvctl("import", str(backup), *ARTICLES)
    assert result.exit_code == 1
    assert "does not lie in the export" in result.stderr
    assert len(gateway.store.records) == 1


def test_an_import_refuses_what_is_not_as_exported(gateway: Gateway, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d", "e", "f"):
        gateway.hold(name, b"value")
    export(gateway, tmp_path)
    gateway.store.records.clear()
    values = tmp_path / "values"
    (values / "a").write_bytes(b"other")
    (values / "b").write_bytes(b"longer than it was")
    (values / "c").unlink()
    lines = manifest(tmp_path)
    lines[4]["file"] = "../../d"
    lines[6]["expires_at_s"] = 1_795_778_466_000  # milliseconds: no time that has passed
    changed = {**lines[5], "metadata": {"a": 2}, "metadata_json": '{"a": 1}'}
    others = [{**changed, "metadata_json": text} for text in (5, "{", '"\ud83e"')]
    lines += [changed, *others]
    text = "\n".join([*map(json.dumps, lines), "not JSON", '{"name": 1}', ""])
    (tmp_path / MANIFEST).write_text(text)
    result = gateway.kvctl("import", str(tmp_path), *ARTICLES)
    assert result.exit_code == 1
    reasons = [line.split(": ", 1)[1] for line in result.stderr.splitlines() if "/" in line]
    assert len([reason for reason in reasons if "is not what was exported" in reason]) == 1
    for part in ("has 18 bytes, not 5", "No such file", "does not lie in the export"):
        assert part in result.stderr
    assert result.stderr.count("not a line of an export") == 3 + len(lines[8:])
    assert gateway.names() == ["e"]


def test_what_expires_within_the_minute_is_left_out(gateway: Gateway, tmp_path: Path) -> None:
    now_s = SystemClock().now_us() // 1_000_000
    record = seal(Version.at(1), b"v", metadata=b"", expires_at_s=now_s + 30)
    gateway.store.records[Key(NAMESPACE, "soon")] = record
    gateway.hold("later")
    export(gateway, tmp_path)
    gateway.store.records.clear()
    summary = gateway.json("import", str(tmp_path), *ARTICLES)
    assert (summary["stored"], summary["expired"], summary["failed"]) == (1, 1, 0)
    shown = gateway.kvctl("import", str(tmp_path), *ARTICLES)
    assert " 1 expired, 0 failed" in shown.stdout


def test_an_export_that_is_cut_anywhere_is_imported_as_far_as_it_came_and_says_so(
    gateway: Gateway, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        gateway.hold(name)
    export(gateway, tmp_path)
    whole = (tmp_path / MANIFEST).read_bytes()
    ends = [end + 1 for end, byte in enumerate(whole) if byte == ord("\n")]
    for cut in (*ends[:-1], *(end - 1 for end in ends[1:]), *(end + 9 for end in ends[:-1])):
        (tmp_path / MANIFEST).write_bytes(whole[:cut])
        gateway.store.records.clear()
        result = gateway.kvctl("import", str(tmp_path), *ARTICLES)
        there = sum(end <= cut for end in ends[1:3])
        assert (result.exit_code, gateway.names()) == (1, ["a", "b"][:there]), cut
        assert f"{MANIFEST}: the export was interrupted" in result.stderr
    for cut in (0, 5, ends[0] - 2):
        (tmp_path / MANIFEST).write_bytes(whole[:cut])
        assert gateway.kvctl("import", str(tmp_path), *ARTICLES).exit_code == 2, cut


def test_a_line_without_an_end_hides_no_key_after_it(gateway: Gateway, tmp_path: Path) -> None:
    """As when a disk gives zeros in the place of a block."""
    for name in ("a", "b"):
        gateway.hold(name)
    export(gateway, tmp_path)
    lines = (tmp_path / MANIFEST).read_bytes().splitlines(keepends=True)
    lines.insert(2, bytes(100_000) + b"\n")
    (tmp_path / MANIFEST).write_bytes(b"".join(lines))
    gateway.store.records.clear()
    result = gateway.kvctl("import", str(tmp_path), *ARTICLES)
    assert (result.exit_code, gateway.names()) == (1, ["a", "b"])
