"""How rows are put into statements: all of them, in order, in few statements of few lengths."""

from tandem.backends.sqlite_rows import STATEMENTS, marks, together

ROWS = 300


def test_every_row_is_there_once_and_in_order() -> None:
    for count in range(ROWS):
        rows = list(range(count))
        assert [row for part in together(rows) for row in part] == rows


def test_few_lengths_occur() -> None:
    lengths = {len(part) for count in range(ROWS) for part in together(range(count))}
    assert len(lengths) == STATEMENTS


def test_a_group_takes_two_statements_more_than_its_whole_ones_at_most() -> None:
    for count in range(ROWS):
        assert len(list(together(range(count)))) <= count // 64 + 2


def test_a_row_of_marks() -> None:
    assert marks(columns=2, rows=3) == "(?,?),(?,?),(?,?)"
