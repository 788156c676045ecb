"""Standard input, output and error of this process."""

import os
import sys
from contextlib import suppress

_STREAMS = (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_WRONLY, "w"), ("stderr", os.O_WRONLY, "w"))


def open_closed_streams() -> None:
    """Open to nothing what whoever started this process has closed of its standard streams (`>&-`, some daemons).

    Python has None in their place, on which each print to it fails, and a file that is opened next would take their
    number, so that what a child process says would be written into it.
    """
    for number, (name, flags, mode) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:  # lower ones are open
                os.dup2(opened, number)
                os.close(opened)
            else:
                os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  (for as long as the process)


def unwritten() -> str | None:
    """Why what is still to be written to standard output can't be, such as a full disk; None where it can.

    Raises BrokenPipeError where its reader has gone away.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_output()
        return f"What it says can't be written to standard output ({error.strerror})."
    return None


def give_up_output() -> None:
    """Send what is still to be written to standard output nowhere, since nobody can read it."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
