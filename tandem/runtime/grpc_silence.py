"""Keeps gRPC's C core from writing to a program's standard error, where its own words go.

The core logs what every outage brings (`Got goaway`), and reads how much when it is first imported:
so each program's package does this before any of its modules can import it.
"""

import os


def silence_grpc() -> None:
    """For the programs; whoever sets GRPC_VERBOSITY gets what it says."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # noqa: TID251 - it is the C core that reads it
