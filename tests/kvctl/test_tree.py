"""Which files of a tree become keys, and why the others do not."""

import os
import socket
from pathlib import Path

import pytest

from kvctl.content_types import content_type
from kvctl.tree import NotRead, Refused, TreeFile, read_whole, walk
from tandem.core.limits import VALUE_BYTES_MAX

OCTETS = b'{"contentType":"application/octet-stream"}'


def names(root: Path, prefix: str = "", *, follow_links: bool = True) -> list[str]:
    found = walk(str(root), prefix, follow_links=follow_links)
    return [item.name for item in found if isinstance(item, TreeFile)]


def refusals(root: Path, *, follow_links: bool = True) -> dict[str, str]:
    found = walk(str(root), "", follow_links=follow_links)
    return {
        os.path.relpath(item.path, root): item.reason for item in found if isinstance(item, Refused)
    }


def test_keys_are_relative_posix_paths_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b/c/d.txt", "b/a", "z", "b.txt", "ü", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    assert names(tmp_path) == [".hidden", "b.txt", "z", "ü", "b/a", "b/c/d.txt"]
    assert names(tmp_path, "site/")[-1] == "site/b/c/d.txt"
    assert refusals(tmp_path) == {}


def test_names_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    (deep / ("f" * 110)).touch()
    (deep / ("g" * 111)).touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()
    assert [len(name) for name in names(tmp_path)] == [512]
    assert sorted(refusals(tmp_path).values()) == [
        "its name as a key: UTF-8 length of 513 bytes exceeds the limit of 512",
        "its name is not UTF-8",
    ]


def test_a_file_of_the_greatest_size_is_taken_and_one_byte_more_refused(tmp_path: Path) -> None:
    for name, size in (("max", VALUE_BYTES_MAX), ("more", VALUE_BYTES_MAX + 1)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert names(tmp_path) == ["max"]
    assert refusals(tmp_path) == {
        "more": f"its size of {VALUE_BYTES_MAX + 1} bytes exceeds the limit of {VALUE_BYTES_MAX}"
    }


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").write_bytes(b"x")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "a/b/root").symlink_to(tmp_path)
    (tmp_path / "beside").symlink_to(tmp_path / "a/file")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    circle = "is a symbolic link to a directory that it lies in"
    assert names(tmp_path) == ["beside", "a/file"]
    assert refusals(tmp_path) == {
        "a/b/up": circle,
        "a/b/root": circle,
        "broken": "is a broken symbolic link",
        "itself": "cannot be read: Too many levels of symbolic links",
    }


def test_links_can_be_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert names(tmp_path, follow_links=False) == ["file"]
    assert refusals(tmp_path, follow_links=False) == {"link": "is a symbolic link, not followed"}


def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert refusals(tmp_path) == dict.fromkeys(("pipe", "socket"), "is not a regular file")


def test_a_folder_that_is_gone_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    found = walk(str(tmp_path), "", follow_links=True)
    first = next(found)
    (tmp_path / "b/file").unlink()
    (tmp_path / "b").rmdir()
    assert first == TreeFile("a/file", str(tmp_path / "a/file"), 0, OCTETS)
    assert list(found) == [
        Refused(str(tmp_path / "b"), "cannot be read: No such file or directory")
    ]


def test_a_file_is_read_as_it_was_found(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    file = TreeFile("f", str(path), 3, b"")
    assert read_whole(file) == b"abc"
    path.write_bytes(b"abcd")
    with pytest.raises(NotRead, match="changed since the import began"):
        read_whole(file)
    path.unlink()
    with pytest.raises(NotRead, match="vanished since the import began"):
        read_whole(file)
    os.mkfifo(path)
    with pytest.raises(NotRead, match="changed since the import began"):
        read_whole(file)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(NotRead, match="cannot be read: Too many levels"):
        read_whole(file)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/index.html", "text/html"),
        ("x.py", "text/x-python"),
        ("x.JSON", "application/json"),
        ("x.js", "text/javascript"),
        ("x.woff2", "font/woff2"),
        ("x.tar.gz", "application/gzip"),
        ("x.txt.xz", "application/x-xz"),
        ("a.html/README", "application/octet-stream"),
        ("http://host/x.css", "text/css"),
    ],
)
def test_the_content_type_comes_from_the_name(name: str, expected: str) -> None:
    assert content_type(name) == expected
