"""Files on their way into a folder: hidden, locked by whoever writes them, and swept away when nobody does any more."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

__all__ = ["find_abandoned", "temporary_file"]

_NAME = re.compile(r"\.[0-9a-f]{32}")  # no key starts with a dot: no such file can be read or listed


@contextmanager
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """Open a new file in `folder` that is locked while it is open, and remove it afterwards if it is still there."""
    file = _create_locked(folder)
    try:
        with file:
            yield file
    finally:
        Path(file.name).unlink(missing_ok=True)


def find_abandoned(folder: Path, *, remove: bool) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files that a writer made below `folder` and that nobody is writing; remove them if so asked."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                path = Path(entry)
                if entry.is_dir(follow_symlinks=False):
                    yield from find_abandoned(path, remove=remove)
                elif _NAME.fullmatch(entry.name) and (found := _try_abandoned(path, remove=remove)) is not None:
                    yield path, found
    except (FileNotFoundError, NotADirectoryError):
        return


def _create_locked(folder: Path) -> BinaryIO:
    # not tempfile: that makes files which only their owner can read
    while True:
        file = (folder / f".{uuid4().hex}").open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # somebody swept it between its making and its locking


def _try_abandoned(path: Path, *, remove: bool) -> os.stat_result | None:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until it is removed: a writer waits, and sees that
            found = os.fstat(file.fileno())
            if remove:
                path.unlink()
            return found
    except (FileNotFoundError, BlockingIOError):
        return None
