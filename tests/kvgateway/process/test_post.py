"""What the supervisor tells a worker reaches it whole."""

from pathlib import Path

import pytest

from kvgateway.process.post import Post


@pytest.mark.parametrize("offset_us", [None, 0, -5, 1_795_610_682_501_601])
def test_a_worker_reads_what_the_supervisor_wrote(offset_us: int | None) -> None:
    post = Post(1, 4, 7, Path("/dev/shm/a"), bytes(range(4)), "5" * 32, offset_us)
    assert Post.taken_from(post.arguments()) == post


def test_each_slot_has_two_seats() -> None:
    posts = [Post(seat, 2, 7, Path("/dev/shm/a"), b"", "5" * 32) for seat in range(4)]
    assert [post.slot for post in posts] == [0, 1, 0, 1]
