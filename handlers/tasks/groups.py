"""Batches of instances, cut so that little is padded."""

from collections.abc import Iterator, Sequence

from handlers.tasks.task import Prepared

__all__ = ["in_groups"]


def in_groups(prepared: Sequence[Prepared], most: int) -> Iterator[list[int]]:
    """Yield the indices of batches of at most `most` instances; those of about one length go together."""
    order = sorted(range(len(prepared)), key=lambda index: prepared[index].length)
    for start in range(0, len(order), most):
        yield order[start : start + most]
