"""Load on asynchronous calls, and what came of it: rates, latencies, CPU and memory."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Call = Callable[[int], Awaitable[object]]
"""One operation; the number says which key."""
_TICK_S = 0.0005


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast calls went."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Of this process, for one call."""


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keeps Python from looking for cycles for a while: with the heap of a bench each search takes
    50 ms, which would be charged to the server that is measured."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def on_last_core() -> Iterator[int]:
    """Keeps this process to one core for a while, and what it starts meanwhile, so that nothing
    that is measured is to be started within; what was started before may use any."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield max(cores)
    finally:
        os.sched_setaffinity(0, cores)


async def measured(call: Call, callers: int, round_s: float) -> Rate:
    """`callers` tasks, each calling again as soon as it has its answer, for a round."""
    latencies: list[float] = []
    cpu_before_s = time.process_time()
    start_s = time.perf_counter()
    end_s = start_s + round_s

    async def caller(number: int) -> None:
        before_s = time.perf_counter()
        while before_s < end_s:
            number += callers
            await call(number)
            after_s = time.perf_counter()
            latencies.append(after_s - before_s)
            before_s = after_s

    await asyncio.gather(*(caller(number) for number in range(callers)))
    elapsed_s = time.perf_counter() - start_s
    cpu_s = time.process_time() - cpu_before_s
    return Rate(
        len(latencies) / elapsed_s,
        quantile(latencies, 0.50) * 1e3,
        quantile(latencies, 0.99) * 1e3,
        cpu_s / len(latencies) * 1e6,
    )


@dataclass(slots=True)
class Paced:
    """Latencies of a load that comes at its own pace, whatever the answers do."""

    latencies_s: list[float]
    failures: int = 0

    def ms(self, share: float) -> float:
        """The quantile of `share`, in milliseconds."""
        return quantile(self.latencies_s, share) * 1e3


@contextmanager
def ticking(each_s: float) -> Iterator[Callable[[], Awaitable[object]]]:
    """What waits for the next tick, for as long as the block runs. The ticks are of a timer of the
    kernel's: uvloop's count milliseconds, and a call that went out so late would be charged to the
    server."""
    loop, tick = asyncio.get_running_loop(), asyncio.Event()

    async def next_tick() -> None:
        tick.clear()
        await tick.wait()

    loop.add_signal_handler(signal.SIGALRM, tick.set)
    signal.setitimer(signal.ITIMER_REAL, each_s, each_s)
    try:
        yield next_tick
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        loop.remove_signal_handler(signal.SIGALRM)


async def paced(calls: Mapping[str, tuple[Call, float]], length_s: float) -> dict[str, Paced]:
    """Makes each of `calls` so many times a second. Time counts from when a call was due, so a
    server that stalls is charged for the calls that it kept from being made, too."""
    done = {name: Paced([]) for name in calls}
    running: set[asyncio.Task[None]] = set()

    async def one(name: str, number: int, due_s: float) -> None:
        try:
            await calls[name][0](number)
        except Exception:
            done[name].failures += 1
        done[name].latencies_s.append(time.perf_counter() - due_s)

    with collector_at_rest(), ticking(_TICK_S) as next_tick:
        start_s = time.perf_counter()
        made = dict.fromkeys(calls, 0)
        while (passed_s := time.perf_counter() - start_s) < length_s:
            for name, (_, per_s) in calls.items():
                while made[name] < passed_s * per_s:
                    task = asyncio.create_task(one(name, made[name], start_s + made[name] / per_s))
                    running.add(task)
                    task.add_done_callback(running.discard)
                    made[name] += 1
            await next_tick()
        await asyncio.gather(*running)
    return done


async def nothing(_: int) -> None:
    """A call whose latency is all the client's."""
    await asyncio.sleep(0)


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def cpu_s(pids: Iterable[int]) -> float:
    """The CPU time that processes have used."""
    return sum(_cpu_s(pid) for pid in pids)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_cpu_s() -> float:
    """The CPU time that all processes of the machine have used; waiting for disks is not in it."""
    user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")


def own_mib(pid: int) -> float:
    """The memory of a process that is its own: without files and what it shares with others."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)["RssAnon"].split()[0]) / 1024
