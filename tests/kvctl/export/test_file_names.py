"""Every key has a path that a file system takes, and every path leads back to its key."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvctl.export.file_names import free_path_of, name_of, path_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: len(name.encode()) <= 512 and name not in {".", ".."}
)
ODD_NAMES = st.text(st.sampled_from("a/.%\0é\n"), min_size=1, max_size=12) | st.integers(
    1, 512
).map("x".__mul__)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "a"), ("docs/a b.html", "docs/a b.html"), (".hidden/é🤓", ".hidden/é🤓"),
        ("a/", "a%2F"), ("/a", "%2Fa"), ("a//b", "a/%2Fb"), ("/", "%2F"), ("//", "%2F%2F"),
        ("../a", "%2E%2E/a"), ("a/./b", "a/%2E/b"), ("...", "..."), ("100%", "100%25"),
        ("a%2Fb", "a%252Fb"), ("\0", "%00"), ("a\nb\x7f", "a%0Ab%7F"), ("%/b", "%25/b"),
        ("x" * 240, "x" * 240), ("x" * 241, "x" * 240 + "%/x"),
        ("é" * 200, "é" * 120 + "%/" + "é" * 80), ("\0" * 81, "%00" * 80 + "%/%00"),
    ],
)  # fmt: skip
def test_paths(name: str, path: str) -> None:
    assert path_of(name) == path
    assert name_of(path) == name


@given(NAMES | ODD_NAMES)
def test_a_path_is_one_that_a_file_system_takes(name: str) -> None:
    path = path_of(name)
    assert name_of(path) == name
    for part in path.split("/"):
        assert part not in {"", ".", ".."}
        assert len(part.encode()) <= 255
        assert part.isascii() is False or part.isprintable()


@given(names=st.sets(NAMES | ODD_NAMES, max_size=30))
def test_many_names_in_their_order_find_places_beside_each_other(
    names: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("values")
    names |= {f"{name}/b"[:500] for name in names if len(name.encode()) < 400}
    written = {}
    for name in sorted(names):
        path = free_path_of(name, root)
        assert name_of(path) == name
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(name.encode())
        written[name] = path
    assert {name: (root / path).read_bytes().decode() for name, path in written.items()} == {
        name: name for name in names
    }


def test_a_name_below_a_file_goes_on_in_the_same_part(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert free_path_of("a", tmp_path) == "a"
    assert free_path_of("a/b/c", tmp_path) == "a%2Fb%2Fc"
    assert free_path_of("a/" + "x" * 300, tmp_path) == "a%2F" + "x" * 236 + "%/" + "x" * 64
    (tmp_path / "d").mkdir()
    (tmp_path / "d/e").touch()
    assert free_path_of("d/e/f", tmp_path) == "d/e%2Ff"
    assert free_path_of("d/f", tmp_path) == "d/f"
