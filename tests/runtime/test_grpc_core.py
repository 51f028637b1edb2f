"""What the programs tell gRPC's core: to be silent when a peer goes away, and not to crash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tandem.runtime.grpc_core import STEADY

LOSES_ITS_PEER = """
import {program}
import asyncio
import grpc

async def main():
    for _ in range(10):
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{{port}}") as channel:
            await channel.channel_ready()
            await server.stop(0)
            await asyncio.sleep(0.02)

asyncio.run(main())
"""


def _said(program: str, **environment: str) -> str:
    inherited = {name: text for name, text in os.environ.items() if name != "GRPC_VERBOSITY"}
    done = subprocess.run(
        (sys.executable, "-c", LOSES_ITS_PEER.format(program=program)),
        env={**inherited, **environment}, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stderr


@pytest.mark.parametrize("program", ["kvgateway", "kvsp", "crawler", "kvctl"])
def test_a_program_does_not_pass_on_what_grpc_says(program: str) -> None:
    assert _said(program) == ""


def test_grpc_would_say_it_otherwise_and_does_to_whoever_asks() -> None:
    tries = 20  # it is up to chance whether a channel hears of its peer before it is closed itself
    assert any("goaway" in _said("os") for _ in range(tries))
    assert "Log level INFO" in _said("kvctl", GRPC_VERBOSITY="INFO")


@pytest.mark.parametrize("given", ["", "-event_engine_dns"])
def test_a_program_goes_without_the_engine_that_crashes_unless_told_otherwise(given: str) -> None:
    told = {"GRPC_EXPERIMENTS": given} if given else {}
    inherited = {name: text for name, text in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    done = subprocess.run(
        (sys.executable, "-c", "import kvgateway, os; print(os.environ['GRPC_EXPERIMENTS'])"),
        env={**inherited, **told}, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == (given or STEADY)
