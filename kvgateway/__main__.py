"""Where the gateway begins: who asks for a reload before it can be taken does not end it."""

import signal
import sys

from tandem.runtime.standard_streams import fill_closed_streams


def main() -> int:
    """The console script. SIGHUP is held while the program is loaded, until `serve` takes it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    fill_closed_streams()
    from kvgateway.main import main as run  # what it imports takes half a second

    return run()


if __name__ == "__main__":
    sys.exit(main())
