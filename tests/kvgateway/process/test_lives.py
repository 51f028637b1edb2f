"""What a worker reads of the lives of all workers."""

from pathlib import Path

from kvgateway.process.lives import Lives, LivesSeen, write


def test_before_anything_was_told_nothing_is_shown(tmp_path: Path) -> None:
    seen = LivesSeen(tmp_path / "lives.json", 0)
    seen.look()
    assert (seen.own(), seen.restarts()) == (Lives(), 0)


def test_what_was_told_last_is_shown_and_stays_while_nothing_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "lives.json"
    seen = LivesSeen(path, 1)
    for started in (1, 3):
        write(path, [Lives(started=2, died=1), Lives(started=started, died=started - 1)])
        seen.look()
    path.unlink()
    seen.look()
    assert (seen.own(), seen.restarts()) == (Lives(started=3, died=2), 3)


def test_what_gave_way_to_other_settings_is_no_restart(tmp_path: Path) -> None:
    path = tmp_path / "lives.json"
    write(path, [Lives(started=5, replaced=3, not_started=1), Lives(started=3, replaced=2)])
    seen = LivesSeen(path, 1)
    seen.look()
    assert (seen.own(), seen.restarts()) == (Lives(started=3, replaced=2), 0)


def test_one_that_was_never_started_is_no_restart(tmp_path: Path) -> None:
    path = tmp_path / "lives.json"
    write(path, [Lives(not_started=4), Lives(started=1)])
    seen = LivesSeen(path, 0)
    seen.look()
    assert (seen.own(), seen.restarts()) == (Lives(not_started=4), 0)
