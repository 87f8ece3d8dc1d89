"""Batches along axis 0: cut to what a model and the memory take, and put together again."""

from collections.abc import Iterator, Sequence

import numpy as np

from handlers.errors import InvalidInput
from handlers.tasks.arrays import Arrays

__all__ = ["batch_length", "cut_batch", "join_batch"]


def batch_length(inputs: Arrays) -> int | None:
    """Return how many samples there are; None where the inputs do not agree."""
    length = None
    for value in inputs.values():
        if not value.ndim or length not in {None, len(value)}:
            return None
        length = len(value)
    return length


def cut_batch(inputs: Arrays, at_once: int, *, exactly: bool) -> Iterator[tuple[Arrays, int]]:
    """Yield pieces of at most `at_once` samples in their order, and how many samples of each piece count.

    Args:
        inputs: Arrays whose axes 0 are of one length.
        at_once: Samples in a piece, one at the least.
        exactly: Whether each piece must have as many: the last sample is repeated then, and does not count.
    """
    length = len(next(iter(inputs.values())))
    for start in range(0, length, at_once):
        piece = {name: value[start : start + at_once] for name, value in inputs.items()}
        count = min(at_once, length - start)
        if exactly and count < at_once:
            lacking = at_once - count
            piece = {name: np.concatenate([value, value[-1:].repeat(lacking, 0)]) for name, value in piece.items()}
        yield piece, count


def join_batch(pieces: Sequence[tuple[Arrays, int]]) -> Arrays:
    """Return the outputs of all samples that count, in their order.

    Raises:
        InvalidInput: The answers to some samples are longer than those to others along another axis.
    """
    if len(pieces) == 1:
        outputs, count = pieces[0]
        return {name: value[:count] for name, value in outputs.items()}
    try:
        return {name: np.concatenate([outputs[name][:count] for outputs, count in pieces]) for name in pieces[0][0]}
    except ValueError as error:
        msg = f"inputs: answers of different shapes ({error}), expected samples that fit one tensor; send fewer at once"
        raise InvalidInput(msg) from error
