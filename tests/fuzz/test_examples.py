"""Examples are the same in every run, whatever else its process has imported."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WORD, NUMBER = "a word of a module", 7_654_321


@pytest.fixture
def _imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with a word and a number that nobody would draw by chance."""
    module = ModuleType("words_of_the_test")
    module.__file__ = str(tmp_path / "words.py")
    Path(module.__file__).write_text(f"WORDS = {WORD!r}, {NUMBER}\n")
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("_imported")
def test_what_is_imported_is_not_drawn() -> None:
    drawn: set[str | int] = set()

    @settings(max_examples=500)
    @given(st.text(), st.integers())
    def draw(word: str, number: int) -> None:
        drawn.update((word, number))

    draw()
    assert len(drawn) > 100
    assert not drawn & {WORD, NUMBER}
