"""Packs a model's weights beside a later request: it pays after some ten runs, and the first answer need not wait.

onnxruntime lays weights out anew for its kernels when it opens a session. Without that, a run takes up to a third
longer, whatever its length, and 110 MB of int8 open in 13 instead of 89 ms (docs/decisions/0006).
"""

import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Self

from handlers.memory import release_memory

__all__ = ["Packing", "Scratch"]


class Scratch:
    """A folder of its own for a model's files: gone at the end of the context, or, once kept, with this object."""

    def __init__(self, parent: Path) -> None:
        _sweep(parent)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            self.remove()

    @property
    def free_bytes(self) -> int:
        """How much room is left beside it."""
        return shutil.disk_usage(self.folder).free

    def keep(self) -> None:
        """Let it outlive the context."""
        self._kept = True

    def remove(self) -> None:
        """Delete it with all that is in it. Does nothing the second time."""
        self._remove()


class Packing:
    """What is left to do for a session that was opened without packing. Safe to use from several threads.

    A frozen environment has no background: what begins beside one request may end beside the next.
    """

    def __init__(self, pack: Callable[[], None], scratch: Scratch) -> None:
        """Do nothing yet.

        Args:
            pack: Does it; raises nothing.
            scratch: Where the files are that it needs; removed when it is done.
        """
        self._pack = pack
        self._scratch = scratch
        self._requests = 0
        self._lock = threading.Lock()

    def is_due(self) -> bool:
        """Count a request, and tell whether it is the second: the first is the one that must not wait."""
        if self._requests > 1:  # the many
            return False
        with self._lock:
            self._requests += 1
            return self._requests == 2  # noqa: PLR2004 - the second

    def run(self) -> None:
        """Pack. Nobody else may take the memory of the model meanwhile."""
        self._pack()
        self.give_up()
        release_memory()  # the session that was there before is gone

    def give_up(self) -> None:
        """Leave it as it is."""
        self._scratch.remove()


_PREFIX = "lambdaserve-"
_swept: set[Path] = set()
_sweeping = threading.Lock()  # who comes meanwhile waits: a folder of this process must not be taken for an old one


def _sweep(parent: Path) -> None:
    """Remove what processes left that were killed: Lambda starts a new one in the same environment, with its /tmp."""
    with _sweeping:
        if parent in _swept:
            return
        for folder in parent.glob(f"{_PREFIX}*-*"):
            owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if owner.isdecimal() and not _is_alive(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)
        _swept.add(parent)


def _is_alive(process: int) -> bool:
    if process == os.getpid():  # of another one with the same number: this one has none yet
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of somebody else
        return True
    return True
