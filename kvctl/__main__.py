"""Where `kvctl` begins: who asks `kvctl up` for a reload before it can be taken does not end it."""

import signal
import sys


def main() -> int:
    """The console script. `up` holds SIGHUP until it takes it; any other command ends with its
    terminal."""
    if sys.argv[1:2] == ["up"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from kvctl.main import main as run  # what it imports takes half a second

    return run()


if __name__ == "__main__":
    sys.exit(main())
