"""Load on an HTTP server over raw sockets: nothing but one `send` and one `recv` for a request.

The lean client is a process of its own, with connections that are kept and no request sent before
the answer to the last; it believes that all answers to a request have the same length.
"""

import asyncio
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

_RECEIVE_BYTES = 1 << 18
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


class Answers(NamedTuple):
    """What came of a round of the lean client."""

    requests: int
    per_s: float
    cpu_us: float
    """Of the client, for one request."""


async def answers(
    port: int, request: bytes, keys: int, connections: int, round_s: float
) -> Answers:
    """A round of requests over so many connections of the lean client; `request` has a `%d` where
    the number of a key goes."""
    arguments = (str(port), request, str(keys), str(connections), str(round_s))
    command = (sys.executable, "-m", "bench.http_load", *arguments)
    # Not asyncio's way: uvloop forks, and a fork of a process that uses gRPC may crash.
    client = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True)
    count, elapsed_s, cpu_s = map(float, client.stdout.split())
    return Answers(int(count), count / elapsed_s, cpu_s / count * 1e6)


def connected(port: int) -> socket.socket:
    """A connection to a server of this machine."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def whole_answer(connection: socket.socket, buffer: bytearray) -> int:
    """Receives an answer with status 200 to its end, into a buffer that may be used again; the
    length of its body."""
    received = connection.recv_into(buffer)
    head, _, _ = bytes(buffer[: min(received, 4096)]).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head[:200]
    length = _LENGTH.search(head + b"\r\n")
    assert length is not None
    left = len(head) + 4 + int(length[1]) - received
    while left:
        more = connection.recv_into(buffer)
        assert more, "the connection was closed within an answer"
        left -= more
    return int(length[1])


def _size_of_answer(connection: socket.socket, request: bytes) -> int:
    connection.sendall(request)
    received = connection.recv(_RECEIVE_BYTES)
    assert received.startswith(b"HTTP/1.1 200 "), received[:200]
    return len(received)


def _run(port: int, requests: Sequence[bytes], count: int, round_s: float) -> None:
    """Prints how many requests were answered, in what time, and what CPU time they took here."""
    connections = [connected(port) for _ in range(count)]
    for request in requests:  # the last answer to each is what the others will be
        _size_of_answer(connections[0], request)
    size = _size_of_answer(connections[0], requests[0])
    by_number = {connection.fileno(): connection for connection in connections}
    epoll = select.epoll()
    for number in by_number:
        epoll.register(number, select.EPOLLIN)
    cpu_s, start_s = time.process_time(), time.perf_counter()
    end_s = start_s + round_s
    done = 0
    for at, connection in enumerate(connections):
        connection.send(requests[at % len(requests)])
    while time.perf_counter() < end_s:
        for number, _ in epoll.poll():
            connection = by_number[number]
            received = len(connection.recv(_RECEIVE_BYTES))
            assert received == size, f"an answer of {received} bytes, not {size}"
            done += 1
            connection.send(requests[done % len(requests)])
    print(done, time.perf_counter() - start_s, time.process_time() - cpu_s, flush=True)


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    port, request, keys, connections, round_s = sys.argv[1:]
    sent = [request.encode() % number for number in range(int(keys))]
    _run(int(port), sent, int(connections), float(round_s))
