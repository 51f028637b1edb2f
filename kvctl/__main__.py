"""Where `kvctl` begins: who asks `kvctl up` for a reload before it can be taken does not end it."""

import signal
import sys
from typing import Final

from tandem.runtime.standard_streams import fill_closed_streams

_INTERRUPTED: Final = 130


def main() -> int:
    """The console script. `up` holds SIGHUP until it takes it; any other command ends with its
    terminal, and to it SIGTERM is Ctrl-C: it says how far it came, and mends the terminal."""
    if sys.argv[1:2] == ["up"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    elif signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is of jobs of a script
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    fill_closed_streams()
    try:
        from kvctl.main import main as run  # what it imports takes half a second
    except KeyboardInterrupt:
        return _INTERRUPTED
    return run()


if __name__ == "__main__":
    sys.exit(main())
