"""What a process tried and what became of it, on the disk before it goes on: it may be killed at any moment."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

__all__ = ["Entry", "Journal", "read_journals"]

TRIED = "tried"


class Entry(msgspec.Struct, frozen=True):
    """One line: an operation, what it is, and what became of it; first of all that it is tried."""

    id: str
    kind: str
    outcome: str = TRIED
    version: str | None = None


@dataclass(frozen=True)
class Journal:
    """A file of one process, to which lines are added."""

    descriptor: int

    @classmethod
    def open(cls, path: Path) -> Self:
        return cls(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))

    def write(self, entry: Entry) -> None:
        os.write(self.descriptor, msgspec.json.encode(entry) + b"\n")
        os.fsync(self.descriptor)


def read_journals(folder: Path) -> list[Entry]:
    """Return what all processes wrote. A last line without an end is of one that was killed."""
    lines = [line for path in sorted(folder.glob("*.journal")) for line in path.read_bytes().split(b"\n")[:-1]]
    return [msgspec.json.decode(line, type=Entry) for line in lines]
