"""Splits batches into those that calibrate and those that judge, so that no sample does both. Needs no torch."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from handlers.tasks.arrays import Arrays

__all__ = ["cut", "has_samples", "in_halves", "take_some", "without"]

_CALIBRATING_SHARE = 4  # of evaluation data, where there are no others: every fourth batch, or the first quarter of one


def has_samples(batch: Arrays, axes: Mapping[str, Mapping[int, str]]) -> bool:
    """Whether axis 0 counts the samples of every input, so that a batch can be cut."""
    return all(0 in axes[name] for name in batch) and len({len(value) for value in batch.values()}) == 1


def cut(batch: Arrays, piece: slice) -> Arrays:
    """Return some samples of a batch."""
    return {name: value[piece] for name, value in batch.items()}


def in_halves(batches: Sequence[Arrays], axes: Mapping[str, Mapping[int, str]]) -> tuple[list[Arrays], list[Arrays]]:
    """Return the first half of the batches, or of the only one, and the second, which is empty if there is none."""
    if len(batches) > 1:
        half = len(batches) // 2
        return list(batches[:half]), list(batches[half:])
    only = batches[0]
    count = _length(only)
    if count < 2 or not has_samples(only, axes):  # noqa: PLR2004 - two halves
        return [only], []
    return [cut(only, slice(0, count // 2))], [cut(only, slice(count // 2, None))]


def take_some(
    batches: Sequence[Arrays], targets: Sequence[np.ndarray] | None, axes: Mapping[str, Mapping[int, str]]
) -> tuple[list[Arrays], list[Arrays], list[np.ndarray] | None]:
    """Take a quarter out of evaluation data: what was taken, and the inputs and targets that are left.

    Nothing is taken from a single batch that cannot be cut.
    """
    if len(batches) > 1:
        taken = set(range(0, len(batches), _CALIBRATING_SHARE))
        left = [i for i in range(len(batches)) if i not in taken]
        kept = None if targets is None else [targets[i] for i in left]
        return [batches[i] for i in sorted(taken)], [batches[i] for i in left], kept
    only = batches[0]
    count = _length(only)
    fits = targets is None or (targets[0].ndim > 0 and len(targets[0]) == count)
    if count < _CALIBRATING_SHARE or not has_samples(only, axes) or not fits:
        return [], list(batches), None if targets is None else list(targets)
    some = count // _CALIBRATING_SHARE
    kept = None if targets is None else [targets[0][some:]]
    return [cut(only, slice(0, some))], [cut(only, slice(some, None))], kept


def without(
    batches: Sequence[Arrays], judging: Iterable[Arrays], axes: Mapping[str, Mapping[int, str]]
) -> tuple[list[Arrays], int]:
    """Return the batches without samples that are among those that judge, and how many these were.

    What cannot be cut into samples is compared whole.
    """
    known = {key for batch in judging for key in _keys(batch, axes)}
    kept: list[Arrays] = []
    dropped = 0
    for batch in batches:
        fresh = np.array([key not in known for key in _keys(batch, axes)])
        dropped += int((~fresh).sum())
        if fresh.all():
            kept.append(batch)
        elif fresh.any():
            kept.append({name: value[fresh] for name, value in batch.items()})
    return kept, dropped


def _keys(batch: Arrays, axes: Mapping[str, Mapping[int, str]]) -> list[bytes]:
    if not has_samples(batch, axes):
        return [b"".join(value.tobytes() for value in batch.values())]
    return [b"".join(value[i].tobytes() for value in batch.values()) for i in range(_length(batch))]


def _length(batch: Arrays) -> int:
    first = next(iter(batch.values()))
    return len(first) if first.ndim else 1
