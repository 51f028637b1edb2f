"""Ports for servers of tests: each is one test process's own, of all on this machine."""

import fcntl
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from socket import socket

_PORTS = range(10_000, 32_768)
"""Below those that Linux gives to whoever connects."""
_LOCKS = Path("/tmp") / f"tandem-kv-test-ports-{os.getuid()}"
"""Stays empty, and where it is: a process that holds a lock of a removed file is alone with it."""


def reserved(ports: Sequence[int], locks: Path) -> Iterator[int]:
    """Those of `ports` that nobody has, each from then on this process's until it ends.

    To have a port is to have locked that byte of the file `locks`, as servers come and go: one that
    is not started yet, or is to start again, holds nothing that another process could see.
    """
    file = os.open(locks, os.O_RDWR | os.O_CREAT, 0o600)  # never closed: that would unlock them all
    for port in ports:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except BlockingIOError:
            continue
        if _is_unused(port):
            yield port


def _is_unused(port: int) -> bool:
    """Whether no other program of this machine has it."""
    with socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_own = reserved(random.SystemRandom().sample(_PORTS, len(_PORTS)), _LOCKS)


def free_port() -> int:
    """A loopback port that no test and no client's connection will take until this process ends."""
    port = next(_own, None)
    if port is None:
        raise RuntimeError("every port is taken")
    return port
