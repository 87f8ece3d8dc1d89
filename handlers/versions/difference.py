"""One way in which a version differs from the one whose place it is to take."""

from typing import Literal

import msgspec

__all__ = ["Difference"]

Part = Literal["input", "output", "task", "labels", "column"]


class Difference(msgspec.Struct, frozen=True):
    """What is other, in words; None where there is no such part.

    `problem` says what it would do to those who use the present version; None: nothing, so that it is compatible.
    """

    part: Part
    name: str
    before: str | None
    after: str | None
    problem: str | None = None

    def __str__(self) -> str:
        """Say it in a sentence, as an objection to the version."""
        expected = "no such part" if self.before is None else f"what fits in the place of {self.before}"
        return f"{self.part} {self.name!r}: {self.after or 'not there'}, expected {expected}; {self.problem}"
