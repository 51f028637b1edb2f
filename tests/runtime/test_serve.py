"""Signals, last-resort logging, bounded background tasks, and gRPC on the loop that is used."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest

from tandem.runtime.logs import Logs, RepeatLimit, Sink, configure, get
from tandem.runtime.serve import Process, Tasks, TooManyTasks, run, unless
from tests.runtime.clocks import StillClock
from tests.runtime.wire import Recorded

_STUBBORN = """
import asyncio, sys
from tandem.runtime import logs
from tandem.runtime.clock import SystemClock
from tandem.runtime.serve import run
async def main(process):
    print("ready", flush=True)
    await process.stop.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()
sys.exit(run(main, logs.get("t"), logs.configure(SystemClock())))
"""


async def test_tasks_are_bounded_and_refused_work_is_closed() -> None:
    tasks = Tasks(1, Recorded())
    forever = asyncio.Event()
    tasks.start("one", _waiting(forever))
    with pytest.raises(TooManyTasks, match="two: 1 tasks"):
        tasks.start("two", _waiting(forever))
    forever.set()
    assert await tasks.drain(5) == 0
    assert len(tasks) == 0


async def _waiting(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_failed_task_is_counted_and_logged_with_its_name() -> None:
    log = Recorded()
    tasks = Tasks(4, log)

    async def bug() -> None:
        raise RuntimeError("bug")

    tasks.start("repair", bug())
    await tasks.drain(5)
    assert tasks.failures == 1
    assert [(event, fields["operation"]) for event, fields in log.events] == [
        ("task_failed", "repair")
    ]


async def test_drain_cancels_what_outlives_the_deadline() -> None:
    tasks = Tasks(4, Recorded())
    tasks.start("stuck", _waiting(asyncio.Event()))
    assert await tasks.drain(0) == 1
    assert tasks.failures == 0


async def test_who_is_cancelled_has_unwound_when_a_drain_returns() -> None:
    """What it uses may be closed then."""
    tasks, unwound = Tasks(1, Recorded()), False

    async def work() -> None:
        nonlocal unwound
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            unwound = True

    tasks.start("work", work())
    await asyncio.sleep(0)
    assert await tasks.drain(0.0) == 1
    assert unwound


def _logs() -> Logs:
    clock = StillClock()
    return Logs(Sink(io.StringIO()), RepeatLimit(clock), clock)


@pytest.mark.usefixtures("own_logs")
def test_repeats_are_summed_up_while_a_program_runs() -> None:
    clock, stream = StillClock(), io.StringIO()
    log_state = configure(clock, stream=stream)

    async def main(process: Process) -> int:
        for why in ("one", "other"):
            get("t").warning("crawl_stopped", why=why)
        assert "other" not in stream.getvalue()
        clock.advance(10)
        while "other" not in stream.getvalue():
            await asyncio.sleep(0)
        return 3

    assert run(main, Recorded(), log_state) == 3


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_status_comes_back(received: signal.Signals) -> None:
    async def main(process: Process) -> int:
        os.kill(os.getpid(), received)
        await process.stop.wait()
        return 3

    log = Recorded()
    assert run(main, log, _logs()) == 3
    assert log.events == [("stopping", {"signal": received.name})]


def test_the_second_signal_ends_the_process_at_once() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _STUBBORN],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    try:
        for expected in ("ready\n", "stopping\n"):
            assert child.stdout.readline() == expected
            child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 130
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_thread_that_computes_gives_way_to_the_loop_soon() -> None:
    """In a process of its own: it holds for all threads of one."""
    asked = (
        "import sys; from tandem.runtime import logs; from tandem.runtime.serve import run\n"
        "from tandem.runtime.clock import SystemClock\n"
        "async def main(process): return round(sys.getswitchinterval() * 1e3)\n"
        "sys.exit(run(main, None, logs.configure(SystemClock())))"
    )
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 1


def test_hangup_and_loop_errors_reach_their_owners() -> None:
    log = Recorded()

    async def main(process: Process) -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        asyncio.get_running_loop().call_soon(_fail)
        await process.reload.wait()
        while not process.loop_errors:
            await asyncio.sleep(0)
        return process.loop_errors

    assert run(main, log, _logs()) == 1
    assert [event for event, _ in log.events] == ["loop_error"]


def _fail() -> None:
    raise RuntimeError("in a callback")


def _same(data: bytes) -> bytes:
    return data


async def _unary(request: bytes, context: object) -> bytes:
    return request


async def _stream(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


def test_grpc_works_on_the_loop_of_run() -> None:
    method: Callable[..., Any] = grpc.method_handlers_generic_handler
    handlers = method(
        "t.T",
        {
            "U": grpc.unary_unary_rpc_method_handler(_unary, _same, _same),
            "S": grpc.stream_stream_rpc_method_handler(_stream, _same, _same),
        },
    )

    async def main(process: Process) -> int:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/t.T/U", _same, _same)(b"u") == b"u"
            call = channel.stream_stream("/t.T/S", _same, _same)(iter([b"1", b"2"]))
            assert [reply async for reply in call] == [b"1", b"2"]
        await server.stop(0)
        return 0

    typed: Callable[[Process], Coroutine[Any, Any, int]] = main
    assert run(typed, Recorded(), _logs()) == 0


async def test_what_is_waited_for_is_given_up_at_a_stop() -> None:
    stop, forever = asyncio.Event(), asyncio.Event()
    ended = asyncio.Event()

    async def work() -> str:
        try:
            await forever.wait()
        finally:
            ended.set()
        return "done"

    waiting = asyncio.create_task(unless(stop, work()))
    await asyncio.sleep(0)
    stop.set()
    assert await waiting is None
    assert ended.is_set()
    stop.clear()
    forever.set()
    assert await unless(stop, work()) == "done"


async def test_whoever_waits_may_be_cancelled_without_a_stop() -> None:
    forever = asyncio.Event()

    async def work() -> None:
        await forever.wait()

    waiting = asyncio.create_task(unless(asyncio.Event(), work()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
