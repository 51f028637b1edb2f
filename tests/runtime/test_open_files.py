"""The limit of open files goes up to what the system allows, and never down."""

import subprocess
import sys

import pytest

_RAISE = """
import resource
from tandem.runtime.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(256, 4096, "4096 4096 4096"), (300, 300, "300 300 300"), (1024, 2000, "2000 2000 2000")],
)
def test_the_limit_is_raised_as_far_as_it_goes(soft: int, hard: int, expected: str) -> None:
    source = _RAISE.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr


def test_every_program_raises_it() -> None:
    source = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 2048))
from tandem.runtime import logs, serve
from tandem.runtime.clock import SystemClock
async def main(process):
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return 0
serve.run(main, logs.get("t"), logs.configure(SystemClock()))
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout.strip() == "2048", done.stderr
