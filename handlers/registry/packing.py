"""Packs a model's weights beside a later request: it pays after some ten runs, and the first answer need not wait.

onnxruntime lays weights out anew for its kernels when it opens a session. Without that, a run takes up to a third
longer, whatever its length, and 110 MB of int8 open in 13 instead of 89 ms (docs/decisions/0006).
"""

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Self

__all__ = ["Packing", "Scratch"]


class Scratch:
    """A folder of its own for a model's files: gone at the end of the context, or, once kept, with this object."""

    def __init__(self, parent: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lambdaserve-", dir=parent))
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            self.remove()

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

    def request_comes(self) -> None:
        """Begin to pack beside the second request: the first is the one that must not wait."""
        if self._requests > 1:  # the many
            return
        with self._lock:
            self._requests += 1
            if self._requests == 2:  # noqa: PLR2004 - the second
                threading.Thread(target=self._run, name="pack-weights", daemon=True).start()

    def _run(self) -> None:
        try:
            self._pack()
        finally:
            self._scratch.remove()
