"""Standard streams that a program was started without, as by `<&-` or some supervisors."""

import os
import sys


def fill_closed_streams() -> None:
    """Takes the numbers of those that are closed, before a file or a socket is given one of them.

    What is printed to one goes nowhere; reading from one fails.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_WRONLY)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode))
