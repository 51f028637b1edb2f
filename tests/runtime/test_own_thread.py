"""A thread for blocking work: in order, each outcome to its caller, and how it ends."""

import asyncio
import subprocess
import sys
import weakref
from threading import Event, current_thread, main_thread

import pytest

from tandem.runtime.own_thread import OwnThread

_LEFT = """
import asyncio, threading
from tandem.runtime.own_thread import OwnThread

began = threading.Event()

def hang() -> None:
    began.set()
    threading.Event().wait()

async def main() -> None:
    OwnThread("left").do(hang)
    began.wait()

asyncio.run(main())
"""

_LATE = """
import asyncio, threading
from tandem.runtime.own_thread import OwnThread

go = threading.Event()

async def main() -> OwnThread:
    thread = OwnThread("late")
    thread.do(go.wait)
    return thread

thread = asyncio.run(main())
go.set()
thread.end()
"""


class Body:
    """Something large, such as what a group of writes holds."""


async def test_work_is_done_in_order_on_another_thread() -> None:
    thread = OwnThread("t")
    done: list[int] = []
    for number in range(100):
        last = thread.do(lambda number=number: done.append(number))  # type: ignore[misc]
    await last
    assert done == list(range(100))
    assert await thread.do(current_thread) is not main_thread()
    thread.end()


async def test_what_work_raises_is_its_callers_alone() -> None:
    thread = OwnThread("t")

    def refused() -> None:
        raise OSError("the disk is full")

    first, second = thread.do(refused), thread.do(lambda: 2)
    with pytest.raises(OSError, match="the disk is full"):
        await first
    assert await second == 2
    thread.end()


async def test_work_that_nobody_waits_for_any_more_is_done_all_the_same() -> None:
    thread = OwnThread("t")
    go, done = Event(), Event()
    first, second = thread.do(go.wait), thread.do(done.set)
    first.cancel()
    second.cancel()
    go.set()
    thread.end()
    assert done.is_set()
    await asyncio.sleep(0)  # what came back for them finds them cancelled


async def test_the_end_comes_after_all_work() -> None:
    thread = OwnThread("t")
    go = Event()
    done: list[int] = []
    thread.do(go.wait)
    thread.do(lambda: done.append(1))
    go.set()
    thread.end()
    assert done == [1]


async def test_between_two_pieces_of_work_nothing_is_held() -> None:
    thread = OwnThread("t")
    body, released = Body(), Event()
    weakref.finalize(body, released.set)
    await thread.do(lambda body=body: None)  # type: ignore[misc]
    del body
    assert released.wait(30)
    thread.end()


@pytest.mark.parametrize("program", [_LEFT, _LATE], ids=["a hanging disk", "a loop that is gone"])
def test_who_leaves_it_is_not_held_up_and_hears_nothing(program: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
