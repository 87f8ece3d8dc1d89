"""Who works here: what the history of a store says of changes that are made by hand."""

import getpass
import os
import socket

__all__ = ["who"]


def who() -> str:
    """Return the user and the machine, `name@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id need not have a name; OSError from Python 3.13 on
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
