"""A port has one owner among all test processes, for as long as that process lives."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

from tests.servers.ports import free_port, reserved

_OTHER = """
import sys
from pathlib import Path
from tests.servers.ports import reserved
own = reserved([int(port) for port in sys.argv[2:]], Path(sys.argv[1]))
print(next(own), next(own), flush=True)
sys.stdin.read()
"""


@contextmanager
def _another_process_has_two_of(ports: list[int], locks: Path) -> Iterator[list[int]]:
    command = (sys.executable, "-c", _OTHER, str(locks), *map(str, ports))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        yield [int(port) for port in it.stdout.readline().split()]
        it.kill()


def test_no_two_processes_have_the_same_port_and_the_dead_have_none(tmp_path: Path) -> None:
    ports, locks = [free_port() for _ in range(4)], tmp_path / "locks"
    with _another_process_has_two_of(ports, locks) as others:
        assert others == ports[:2]
        assert list(reserved(ports, locks)) == ports[2:]
    assert list(reserved(ports, locks)) == ports


def test_a_process_is_given_a_port_once() -> None:
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == len(ports)


def test_a_port_that_another_program_listens_on_is_left_to_it(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    with create_server(("127.0.0.1", first)):
        assert list(reserved([first, second], tmp_path / "locks")) == [second]
