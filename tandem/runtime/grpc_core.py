"""What gRPC's C core is told before it is first imported: it reads its environment then, and once.

So each program's package does this before any of its modules can import it.
"""

import os
from typing import Final

STEADY: Final = "-event_engine_client"
"""grpcio 1.85 ends the process with SIGSEGV, in a thread of its event engine, where a connection is
refused at the wrong moment: a worker that starts together with KVSP died so in one start of two.
Without the engine in its clients it does not."""


def prepare_grpc() -> None:
    """For the programs; whoever sets GRPC_VERBOSITY or GRPC_EXPERIMENTS gets what it says.

    The core logs what every outage brings (`Got goaway`) to standard error, where a program's own
    words go.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # noqa: TID251 - it is the C core that reads it
    os.environ.setdefault("GRPC_EXPERIMENTS", STEADY)  # noqa: TID251 - and this
