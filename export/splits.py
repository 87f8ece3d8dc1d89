"""Splits batches into those that calibrate and those that judge, so that no sample does both. Needs no torch."""

from collections.abc import Iterable, Sequence

import numpy as np

from handlers.tasks.arrays import Arrays

__all__ = ["cut", "in_halves", "length_of", "take_some", "without"]

_SHARE = 4  # of evaluation data, where there are no others: every fourth sample calibrates


def cut(batch: Arrays, piece: slice | np.ndarray) -> Arrays:
    """Return some samples of a batch, along axis 0."""
    return {name: value[piece] for name, value in batch.items()}


def length_of(batch: Arrays) -> int:
    """Return how long axis 0 of the first input is; 1 where there is none."""
    first = next(iter(batch.values()))
    return len(first) if first.ndim else 1


def in_halves(batches: Sequence[Arrays], *, divisible: bool) -> tuple[list[Arrays], list[Arrays]]:
    """Return the first half of the batches, or of the only one, and the second, which is empty if there is none.

    Args:
        batches: One at the least.
        divisible: Whether axis 0 counts samples, so that a batch can be cut.
    """
    if len(batches) > 1:
        half = len(batches) // 2
        return list(batches[:half]), list(batches[half:])
    half = length_of(batches[0]) // 2
    if not half or not divisible:
        return list(batches), []
    return [cut(batches[0], slice(0, half))], [cut(batches[0], slice(half, None))]


def take_some(
    batches: Sequence[Arrays], targets: Sequence[np.ndarray] | None, *, divisible: bool
) -> tuple[list[Arrays], list[Arrays], list[np.ndarray] | None]:
    """Take a quarter out of evaluation data: what was taken, and the inputs and targets that are left.

    Every fourth sample is taken, or, where batches cannot be cut, every fourth batch, and one at the least. Nothing is
    taken from a single batch that cannot be cut.
    """
    lengths = [length_of(batch) for batch in batches]
    fits = targets is None or all(
        target.ndim and len(target) == length for target, length in zip(targets, lengths, strict=True)
    )
    if divisible and fits and sum(lengths) >= _SHARE:
        ends = np.cumsum([0, *lengths])
        taking = [np.arange(start, start + length) % _SHARE == 0 for start, length in zip(ends, lengths, strict=False)]
        taken = [cut(batch, some) for batch, some in zip(batches, taking, strict=True) if some.any()]
        left = [(batch, some) for batch, some in zip(batches, taking, strict=True) if not some.all()]
        kept = None
        if targets is not None:
            kept = [target[~some] for target, some in zip(targets, taking, strict=True) if not some.all()]
        return taken, [cut(batch, ~some) for batch, some in left], kept
    if len(batches) == 1:
        return [], list(batches), None if targets is None else list(targets)
    chosen = set(range(0, max(1, len(batches) // _SHARE * _SHARE), _SHARE))
    others = [i for i in range(len(batches)) if i not in chosen]
    kept = None if targets is None else [targets[i] for i in others]
    return [batches[i] for i in sorted(chosen)], [batches[i] for i in others], kept


def without(batches: Sequence[Arrays], judging: Iterable[Arrays], *, divisible: bool) -> tuple[list[Arrays], int]:
    """Return the batches without samples that are among those that judge, and how many these were.

    Padding with zeros makes no difference. What cannot be cut into samples is compared whole.
    """
    known = {key for batch in judging for key in _keys(batch, divisible=divisible)}
    kept: list[Arrays] = []
    dropped = 0
    for batch in batches:
        fresh = np.array([key not in known for key in _keys(batch, divisible=divisible)])
        dropped += int((~fresh).sum())
        if fresh.all():
            kept.append(batch)
        elif fresh.any():
            kept.append(cut(batch, fresh))
    return kept, dropped


def _keys(batch: Arrays, *, divisible: bool) -> list[bytes]:
    pieces = [cut(batch, slice(i, i + 1)) for i in range(length_of(batch))] if divisible else [batch]
    return [b"|".join(np.trim_zeros(piece[name].ravel(), "b").tobytes() for name in sorted(piece)) for piece in pieces]
